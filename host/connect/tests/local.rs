//! The local endpoint, against a gate that does what the test says.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portcullis_connect::local::{Listener, Options};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use self::common::{Gate, Manners, gate_and_upstream, soon};

/// A connection of a local client.
struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
}

async fn gate_and_client(manners: &Manners) -> (Gate, Client) {
    let (gate, upstream, _) = gate_and_upstream(manners).await;
    let listener = Listener::bind(Options::new("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let address = listener.address();
    tokio::spawn(listener.serve(upstream, CancellationToken::new()));
    let tcp = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    (gate, Client { sender, host: address.to_string() })
}

impl Client {
    fn request(&self, method: &str) -> Request<Full<Bytes>> {
        let body = Full::new(Bytes::from_static(b"{\"jsonrpc\":\"2.0\", \"id\":1}"));
        Request::builder()
            .method(method)
            .uri("/scripted/mcp?a=b")
            .header("host", &self.host)
            .header("connection", "x-mine")
            .header("x-mine", "1")
            .header("mcp-session-id", "one")
            .header("authorization", "Bearer token")
            .body(body)
            .unwrap()
    }
}

#[tokio::test]
async fn requests_and_answers_pass_with_their_headers_but_those_of_the_connection() {
    for http in ["h2", "http/1.1"] {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) = gate_and_client(&manners).await;
        let request = client.request("POST");
        let answer = tokio::spawn(client.sender.send_request(request));
        let arrival = gate.next().await;
        assert_eq!(arrival.method, "POST");
        assert_eq!(&arrival.bytes[..], b"{\"jsonrpc\":\"2.0\", \"id\":1}");
        assert_eq!(arrival.session(), Some("one"));
        assert_eq!(arrival.header("authorization"), Some("Bearer token"));
        assert_eq!(arrival.header("x-mine"), None);
        assert_eq!(arrival.header("connection"), None);
        let headers = [("content-type", "application/json"), ("mcp-session-id", "two")];
        arrival.answer_with(201, &headers, "{}");
        let answer = soon(answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["mcp-session-id"], "two");
        assert_eq!(soon(answer.into_body().collect()).await.unwrap().to_bytes(), "{}");
    }
}

#[tokio::test]
async fn a_stream_passes_as_it_comes_and_ends_when_the_local_client_goes() {
    for http in ["h2", "http/1.1"] {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) = gate_and_client(&manners).await;
        let request = client.request("GET");
        let answer = tokio::spawn(client.sender.send_request(request));
        let stream = gate.next().await.stream();
        let mut body = soon(answer).await.unwrap().unwrap().into_body();
        for text in ["data: 1\n\n", "data: 2\n\n"] {
            stream.write(text).await;
            let frame = soon(body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text);
        }
        drop((body, client));
        stream.gone().await;
    }
}

#[tokio::test]
async fn a_request_that_its_local_client_gives_up_is_given_up_at_the_gate() {
    for http in ["h2", "http/1.1"] {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) = gate_and_client(&manners).await;
        let request = client.request("POST");
        let answer = tokio::spawn(client.sender.send_request(request));
        let arrival = gate.next().await;
        answer.abort();
        drop(client);
        arrival.gone().await;
    }
}
