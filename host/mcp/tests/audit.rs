//! What is noted of requests, and how much one client may ask for.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::upstream::*;
use common::*;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_mcp::{Caller, McpService, Options};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const REMOTE: &str = "/remote/mcp";
const HOSTILE: &str = "/hostile/mcp";

struct Fixture {
    service: McpService,
    upstream: Upstream,
    requests: Requests,
    client: Client,
    _directory: TempDir,
}

async fn fixture(change: impl FnOnce(&mut Options)) -> Fixture {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let servers =
        vec![upstream.server("remote").into(), hostile(&directory.path().join("pid")).into()];
    let (service, requests) = audited(servers, change);
    let client = Client::connect(&service, &caller(0xa1, "alice")).await;
    Fixture { service, upstream, requests, client, _directory: directory }
}

#[tokio::test]
async fn a_record_tells_who_called_what_and_nothing_that_was_in_it() {
    let mut f = fixture(|_| {}).await;
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"get\n","arguments":{"password":"hunter2"}}}"#;
    let (response, _) = tokio::join!(
        f.client.post(REMOTE, "", body),
        f.upstream.answers(json_answer(r#"{"secret":1}"#))
    );
    response.into_body().collect().await.unwrap();
    let record = f.requests.next().await;
    assert_eq!((record.connection, record.principal.as_deref()), (0xa1, Some("alice")));
    assert_eq!((record.serial_number.as_str(), record.server.as_deref()), ("a1", Some("remote")));
    assert_eq!(
        (record.http_method.as_str(), record.method.as_deref()),
        ("POST", Some("tools/call"))
    );
    assert_eq!((record.name.as_deref(), record.status), (Some("get\\n"), Some(200)));
    assert_eq!((record.request_bytes, record.response_bytes), (body.len() as u64, 12));
    assert_eq!((record.outcome.as_str(), record.method_class()), ("answered", "tools/call"));
    let all = format!("{record:?}");
    assert!(!all.contains("hunter2") && !all.contains("secret"), "{all}");

    let read = r#"{"jsonrpc":"2.0","id":8,"method":"resources/read","params":{"uri":"https://a/b?token=hunter2"}}"#;
    let (_, _) =
        tokio::join!(f.client.post(REMOTE, "", read), f.upstream.answers(json_answer("{}")));
    let record = f.requests.next().await;
    assert_eq!(record.name.as_deref(), Some("https://a/b"));
}

#[tokio::test]
async fn another_clients_session_is_not_found_and_noted_wherever_it_was_opened() {
    let mut f = fixture(|_| {}).await;
    let mut thief = Client::connect(&f.service, &caller(0xee, "mallory")).await;
    let hostile = f.client.initialize(HOSTILE).await;
    let built_in = f.client.initialize("/portcullis/mcp").await;
    let body = initialize().to_string();
    let opened = with_session(json_answer("{}"), "remote-session");
    let (_, _) = tokio::join!(f.client.post(REMOTE, "", &body), f.upstream.answers(opened));
    for _ in 0..3 {
        assert_eq!(f.requests.next_end().await, (200, "answered", ""));
    }
    for (path, session) in
        [(HOSTILE, &*hostile), ("/portcullis/mcp", &*built_in), (REMOTE, "remote-session")]
    {
        let response = thief.post(path, session, &request(1, "tools/list")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let record = f.requests.next().await;
        assert_eq!(
            (record.code, record.principal.as_deref()),
            (Some("session-of-another"), Some("mallory"))
        );
        assert_eq!(thief.get(path, session).await.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(f.requests.next_end().await, (404, "refused", "session-of-another"));
        assert_eq!(thief.delete(path, session).await, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(f.requests.next_end().await, (404, "refused", "session-of-another"));
    }
    assert_eq!(
        thief.post(HOSTILE, "unknown", &request(1, "ping")).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(f.requests.next_end().await, (404, "answered", ""), "nobody's session was stolen");
}

#[tokio::test]
async fn a_session_goes_on_when_its_client_comes_with_a_renewed_certificate() {
    let mut f = fixture(|_| {}).await;
    let hostile = f.client.initialize(HOSTILE).await;
    let built_in = f.client.initialize("/portcullis/mcp").await;
    let body = initialize().to_string();
    let opened = with_session(json_answer("{}"), "remote-session");
    let (_, _) = tokio::join!(f.client.post(REMOTE, "", &body), f.upstream.answers(opened));
    let mut renewed = Client::connect_http2(&f.service, &caller(0xa2, "alice")).await;
    let call = request(1, "tools/list");
    assert_eq!(renewed.post(HOSTILE, &hostile, &call).await.status(), StatusCode::OK);
    assert_eq!(renewed.post("/portcullis/mcp", &built_in, &call).await.status(), StatusCode::OK);
    let (response, (parts, _)) = tokio::join!(
        renewed.post(REMOTE, "remote-session", &call),
        f.upstream.answers(json_answer("{}"))
    );
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(parts.headers["mcp-session-id"], "remote-session");
}

#[tokio::test]
async fn a_stream_is_noted_when_it_begins_and_when_it_ends() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(HOSTILE).await;
    f.requests.next().await;
    let listener = f.client.get(HOSTILE, &session).await;
    let record = f.requests.next().await;
    assert_eq!((record.outcome.as_str(), record.method_class()), ("opened", "GET"));
    drop(listener);
    f.client.leave().await;
    assert_eq!(f.requests.next_end().await, (200, "abandoned", ""));
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_is_noted() {
    let mut f = fixture(|_| {}).await;
    let asked = post(REMOTE, "", &request(1, "tools/list"));
    let sending = tokio::spawn(async move { f.client.send(asked).await });
    let asked = f.upstream.next().await;
    sending.abort();
    let record = f.requests.next().await;
    assert_eq!((record.outcome.as_str(), record.status), ("abandoned", None));
    drop(asked);
}

#[tokio::test]
async fn a_server_that_fails_is_noted_as_that_and_an_unknown_one_as_a_refusal() {
    let mut f = fixture(|_| {}).await;
    let list = request(1, "tools/list");
    let (_, ()) = tokio::join!(f.client.post(REMOTE, "", &list), async {
        drop(f.upstream.next().await);
    });
    assert_eq!(f.requests.next_end().await, (200, "failed", "server-broken"));
    f.client.post("/other/mcp", "", "{}").await;
    let record = f.requests.next().await;
    assert_eq!((record.server, record.code), (None, Some("unknown-server")));
}

#[tokio::test]
async fn more_requests_at_a_time_than_a_client_may_have_are_refused() {
    let mut f = fixture(|options| options.maximum_in_flight = 2).await;
    let session = f.client.initialize(HOSTILE).await;
    let mut client = Client::connect_http2(&f.service, &caller(0xa1, "alice")).await;
    let listener = client.get(HOSTILE, &session).await;
    let waiting = client.post(HOSTILE, &session, &request(1, "hang")).await;
    let refused = client.post(HOSTILE, &session, &request(2, "echo")).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let mut other = Client::connect(&f.service, &caller(0xb0, "bob")).await;
    other.initialize(HOSTILE).await;
    drop(waiting);
    let echoed = async {
        loop {
            let response = client.post(HOSTILE, &session, &request(3, "echo")).await;
            if response.status() == StatusCode::OK {
                return response;
            }
        }
    };
    let mut response = soon(echoed).await;
    assert_eq!(message(response.body_mut()).await.unwrap()["id"], 3);
    drop(listener);
}

#[tokio::test]
async fn more_requests_in_a_second_than_a_client_may_make_are_refused() {
    let mut f = fixture(|options| options.maximum_per_second = NonZeroU32::MIN).await;
    let ping = request(1, "ping");
    let mut codes = Vec::new();
    for _ in 0..3 {
        f.client.post(HOSTILE, "none", &ping).await;
        codes.push(f.requests.next().await.code.unwrap_or_default());
    }
    assert!(codes.contains(&"too-many-requests"), "{codes:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let f = fixture(|options| options.write_timeout = Duration::from_millis(100)).await;
    let (near, far) = tokio::io::duplex(1024);
    let (service, alice) = (f.service.clone(), caller(0xa1, "alice"));
    let served = tokio::spawn(serve(service, far, alice));
    let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
    let driving = tokio::spawn(connection);
    let opened = sender.send_request(post(HOSTILE, "", &initialize().to_string())).await.unwrap();
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    opened.into_body().collect().await.unwrap();
    f.requests.next().await;
    let flood: Request<Full<Bytes>> = post(HOSTILE, &session, &request(1, "flood"));
    let flooding = sender.send_request(flood).await.unwrap();
    // Nobody reads the flood from here on.
    soon(served).await.unwrap();
    assert_eq!(f.requests.next_end().await, (200, "abandoned", ""));
    drop(flooding);
    driving.abort();
}

/// Its connection goes on: only one answer is left where it is.
#[tokio::test]
async fn a_client_that_does_not_take_an_answer_over_http2_is_let_go() {
    let mut f = fixture(|options| options.write_timeout = Duration::from_millis(100)).await;
    let session = f.client.initialize(HOSTILE).await;
    f.requests.next().await;
    let (near, far) = tokio::io::duplex(1024 * 1024);
    let served = tokio::spawn(serve(f.service.clone(), far, caller(0xa1, "alice")));
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    let handshake = http2.initial_stream_window_size(1024).handshake(TokioIo::new(near));
    let (mut sender, connection) = handshake.await.unwrap();
    let driving = tokio::spawn(connection);
    let flood: Request<Full<Bytes>> = post(HOSTILE, &session, &request(1, "flood"));
    let flooding = sender.send_request(flood).await.unwrap();
    soon(served).await.unwrap();
    assert_eq!(f.requests.next_end().await, (200, "abandoned", ""));
    drop(flooding);
    driving.abort();
}

#[tokio::test]
async fn a_stream_of_subscriptions_is_noted_when_it_begins() {
    let mut f = fixture(|_| {}).await;
    let listen = request(1, "subscriptions/listen");
    let (_events, answer) = stream();
    let (_response, _) =
        tokio::join!(f.client.post(REMOTE, "", &listen), f.upstream.answers(answer));
    let record = f.requests.next().await;
    assert_eq!(
        (record.outcome.as_str(), record.method_class()),
        ("opened", "subscriptions/listen")
    );
}

async fn serve(service: McpService, io: tokio::io::DuplexStream, caller: Arc<Caller>) {
    service.serve_connection(io, caller, CancellationToken::new()).await;
}
