//! A server that speaks HTTP and whose answers a test writes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_mcp::{HttpServer, UpstreamTls};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::soon;

pub(crate) type UpstreamBody = BoxBody<Bytes, std::io::Error>;

/// A server whose answers a test writes.
pub(crate) struct Upstream {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) requests: mpsc::Receiver<Asked>,
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) answer: oneshot::Sender<Response<UpstreamBody>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                let service = service_fn(move |request| ask(request, sender.clone()));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, requests }
    }

    /// As a server behind the gate.
    pub(crate) fn server(&self, name: &str) -> HttpServer {
        let url = format!("http://{}/mcp", self.address).parse().unwrap();
        HttpServer::new(name, url, UpstreamTls::new(Some(&[]), None).unwrap())
    }

    pub(crate) async fn next(&mut self) -> Asked {
        soon(self.requests.recv()).await.unwrap()
    }

    /// Answers one request, and gives what it was.
    pub(crate) async fn answers(&mut self, response: Response<UpstreamBody>) -> (Parts, Bytes) {
        let Asked { parts, body, answer } = self.next().await;
        answer.send(response).unwrap();
        (parts, body)
    }
}

async fn ask(
    request: Request<Incoming>,
    sender: mpsc::Sender<Asked>,
) -> Result<Response<UpstreamBody>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (answer, answered) = oneshot::channel();
    sender.send(Asked { parts, body, answer }).await.unwrap();
    // Without an answer the connection breaks.
    answered.await.map_err(std::io::Error::other)
}

pub(crate) fn json_answer(text: &str) -> Response<UpstreamBody> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let body = body.map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

pub(crate) fn with_session(
    mut response: Response<UpstreamBody>,
    id: &'static str,
) -> Response<UpstreamBody> {
    response.headers_mut().insert("mcp-session-id", HeaderValue::from_static(id));
    response
}

/// A stream, and what writes to it. An error breaks it.
pub(crate) fn stream()
-> (mpsc::Sender<Result<&'static str, std::io::Error>>, Response<UpstreamBody>) {
    let (sender, events) = mpsc::channel(1);
    let mut response = Response::new(Events(events).boxed());
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    (sender, response)
}

struct Events(mpsc::Receiver<Result<&'static str, std::io::Error>>);

impl Body for Events {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let frame = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
        self.0.poll_recv(cx).map(|event| event.map(|event| event.map(frame)))
    }
}
