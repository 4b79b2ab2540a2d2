//! A server that speaks HTTP behind the gate: what reaches it, what comes back, and whose sessions are.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::upstream::*;
use common::*;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use portcullis_mcp::{HttpServer, McpService, Options};
use serde_json::json;

const PATH: &str = "/remote/mcp";
const CALL: &str = r#"{ "id" : 7,"jsonrpc":"2.0", "method":"tools/call","params":{"n":1.0e5} }"#;

struct Fixture {
    service: McpService,
    upstream: Upstream,
    client: Client,
}

async fn fixture(change: impl FnOnce(&mut HttpServer)) -> Fixture {
    let upstream = Upstream::start().await;
    let mut server = upstream.server("remote");
    change(&mut server);
    let service = McpService::new(Options::default(), vec![server.into()]).unwrap();
    let client = Client::connect(&service, &caller(1, "alice")).await;
    Fixture { service, upstream, client }
}

impl Fixture {
    /// A session of the client's.
    async fn open(&mut self, id: &'static str) {
        let body = initialize().to_string();
        let (response, _) = tokio::join!(
            self.client.post(PATH, "", &body),
            self.upstream.answers(with_session(json_answer("{}"), id))
        );
        assert_eq!(response.headers()["mcp-session-id"], id);
    }
}

async fn whole(response: Response<Incoming>) -> String {
    String::from_utf8(soon(response.into_body().collect()).await.unwrap().to_bytes().into())
        .unwrap()
}

#[tokio::test]
async fn messages_pass_byte_for_byte_and_headers_that_are_about_them() {
    let mut f = fixture(|_| {}).await;
    let mut request = post(PATH, "", CALL);
    for (name, value) in [
        ("mcp-method", "tools/call"),
        ("mcp-param-region", "eu"),
        ("x-unknown", "1"),
        ("connection", "x-mine, portcullis-principal"),
        ("x-mine", "1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("portcullis-principal", "mallory"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let mut answer = json_answer("{\r\n\"odd\" :1.0e5}");
    *answer.status_mut() = StatusCode::IM_A_TEAPOT;
    answer.headers_mut().insert("x-of-server", HeaderValue::from_static("2"));
    answer.headers_mut().insert("keep-alive", HeaderValue::from_static("timeout=5"));
    let (response, (parts, body)) =
        tokio::join!(f.client.send(request), f.upstream.answers(answer));
    assert_eq!(body, CALL);
    assert_eq!(parts.uri, "/mcp");
    assert_eq!(parts.headers["host"], f.upstream.address.to_string().as_str());
    for (name, there) in [
        ("accept", true),
        ("content-type", true),
        ("mcp-method", true),
        ("mcp-param-region", true),
        ("x-unknown", true),
        ("x-mine", false),
        ("x-forwarded-for", false),
    ] {
        assert_eq!(parts.headers.contains_key(name), there, "{name}");
    }
    assert_eq!(parts.headers["portcullis-principal"], "alice");
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers()["x-of-server"], "2");
    assert!(!response.headers().contains_key("keep-alive"));
    assert_eq!(whole(response).await, "{\r\n\"odd\" :1.0e5}");
}

#[tokio::test]
async fn what_is_no_message_is_for_the_server_to_refuse() {
    let mut f = fixture(|_| {}).await;
    let (response, (_, body)) =
        tokio::join!(f.client.post(PATH, "", "{not"), f.upstream.answers(json_answer("no")));
    assert_eq!((&*body, &*whole(response).await), (&b"{not"[..], "no"));
}

#[tokio::test]
async fn a_stream_passes_as_it_comes_over_both_versions_of_http() {
    let mut f = fixture(|_| {}).await;
    for http2 in [false, true] {
        let alice = caller(1, "alice");
        let mut client = match http2 {
            false => Client::connect(&f.service, &alice).await,
            true => Client::connect_http2(&f.service, &alice).await,
        };
        let (events, answer) = stream();
        let (mut response, _) =
            tokio::join!(client.post(PATH, "", CALL), f.upstream.answers(answer));
        for text in [": hello\n\n", "id: 1\ndata: \n\n", "data: {\"a\":\ndata: 1}\n\n"] {
            events.send(Ok(text)).await.unwrap();
            let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text);
        }
        drop(events);
        assert_eq!(whole(response).await, "");
    }
}

#[tokio::test]
async fn a_listener_resumes_where_it_was_and_ends_at_a_shutdown() {
    let mut f = fixture(|_| {}).await;
    f.open("s1").await;
    let get = Request::get(PATH)
        .header("host", "gate")
        .header("mcp-session-id", "s1")
        .header("last-event-id", "41")
        .body(Full::default())
        .unwrap();
    let (events, answer) = stream();
    let (mut response, (parts, _)) = tokio::join!(f.client.send(get), f.upstream.answers(answer));
    assert_eq!(
        (&parts.headers["last-event-id"], &parts.headers["mcp-session-id"]),
        (&HeaderValue::from_static("41"), &HeaderValue::from_static("s1"))
    );
    events.send(Ok("id: 42\ndata: {}\n\n")).await.unwrap();
    assert_eq!(text(response.body_mut()).await.unwrap(), "{}");
    f.client.shutdown.cancel();
    assert!(soon(response.body_mut().frame()).await.is_none());
    soon(events.closed()).await;
}

#[tokio::test]
async fn a_subscription_of_the_newest_revision_ends_at_a_shutdown_too() {
    let mut f = fixture(|_| {}).await;
    let (events, answer) = stream();
    let listen = request(1, "subscriptions/listen");
    let (mut response, _) =
        tokio::join!(f.client.post(PATH, "", &listen), f.upstream.answers(answer));
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert_eq!(text(response.body_mut()).await.unwrap(), "{}");
    f.client.shutdown.cancel();
    assert!(soon(response.body_mut().frame()).await.is_none());
    soon(f.client.served).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_requests_at_the_server() {
    let mut f = fixture(|_| {}).await;
    // Before the answer begins.
    let request = post(PATH, "", CALL);
    let sending = tokio::spawn(async move { f.client.send(request).await });
    let mut asked = f.upstream.next().await;
    sending.abort();
    let _ = sending.await;
    soon(asked.answer.closed()).await;
    // In the middle of it.
    let mut client = Client::connect(&f.service, &caller(1, "alice")).await;
    let (events, answer) = stream();
    let (response, _) = tokio::join!(client.post(PATH, "", CALL), f.upstream.answers(answer));
    events.send(Ok("data: {}\n\n")).await.unwrap();
    drop(response);
    client.leave().await;
    soon(events.closed()).await;
}

#[tokio::test]
async fn a_server_that_is_away_slow_or_breaks_is_an_error_for_its_caller() {
    let f = fixture(|server| server.url = "http://127.0.0.1:1/mcp".parse().unwrap()).await;
    let mut alice = Client::connect(&f.service, &caller(1, "alice")).await;
    assert_eq!(alice.get(PATH, "").await.status(), StatusCode::NOT_FOUND);
    let response = alice.post(PATH, "", CALL).await;
    // As the answer to its request: clients throw away what comes with another status.
    assert_eq!(response.status(), StatusCode::OK);
    let error = message(&mut response.into_body()).await.unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(-32603)));

    let mut f = fixture(|server| server.response_timeout = Duration::from_millis(100)).await;
    let (response, asked) = tokio::join!(f.client.post(PATH, "", CALL), f.upstream.next());
    assert_eq!(message(&mut response.into_body()).await.unwrap()["error"]["code"], -32603);
    drop(asked);

    let mut f = fixture(|_| {}).await;
    let (response, ()) =
        tokio::join!(f.client.post(PATH, "", CALL), async { drop(f.upstream.next().await) });
    assert_eq!(message(&mut response.into_body()).await.unwrap()["error"]["code"], -32603);

    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let (response, ()) = tokio::join!(f.client.post(PATH, "", notification), async {
        drop(f.upstream.next().await)
    });
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_unless_it_can_be_resumed() {
    let mut f = fixture(|_| {}).await;
    let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let (events, answer) = stream();
    let (mut response, _) = tokio::join!(f.client.post(PATH, "", CALL), f.upstream.answers(answer));
    events.send(Ok("data: {\"half\"")).await.unwrap();
    events.send(Err(broken())).await.unwrap();
    let said = whole(response).await;
    let error = said.strip_prefix("data: {\"half\"\n\ndata: ").unwrap();
    let error: serde_json::Value = serde_json::from_str(error).unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(-32603)));

    let (events, answer) = stream();
    (response, _) = tokio::join!(f.client.post(PATH, "", CALL), f.upstream.answers(answer));
    events.send(Ok("id: 1\ndata: \n\n")).await.unwrap();
    events.send(Err(broken())).await.unwrap();
    assert!(soon(response.into_body().collect()).await.is_err(), "the client is to resume");
}

#[tokio::test]
async fn a_redirection_is_not_for_the_client_to_follow() {
    let mut f = fixture(|_| {}).await;
    let mut answer = json_answer("");
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    answer.headers_mut().insert("location", HeaderValue::from_static("http://inside/mcp/"));
    let (response, _) = tokio::join!(f.client.post(PATH, "", CALL), f.upstream.answers(answer));
    assert!(!response.headers().contains_key("location"));
    let said = whole(response).await;
    assert!(said.contains("error") && !said.contains("inside"), "{said}");
}

#[tokio::test]
async fn a_session_belongs_to_the_client_that_opened_it() {
    let mut f = fixture(|_| {}).await;
    f.open("s1").await;
    let mut mallory = Client::connect(&f.service, &caller(2, "mallory")).await;
    for session in ["s1", "s2"] {
        assert_eq!(mallory.post(PATH, session, CALL).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(mallory.get(PATH, session).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(mallory.delete(PATH, session).await, StatusCode::NOT_FOUND);
    }
    let mut twice = post(PATH, "s1", CALL);
    twice.headers_mut().append("mcp-session-id", HeaderValue::from_static("s1"));
    assert_eq!(f.client.send(twice).await.status(), StatusCode::BAD_REQUEST);
    assert!(f.upstream.requests.try_recv().is_err(), "the server sees none of it");

    let answer = with_session(json_answer("{}"), "s1");
    let (response, (parts, _)) =
        tokio::join!(f.client.post(PATH, "s1", CALL), f.upstream.answers(answer));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(parts.headers["mcp-session-id"], "s1");

    // A server that gives the same id to somebody else gives away a session.
    let answer = with_session(json_answer("{}"), "s1");
    let (response, _) = tokio::join!(mallory.post(PATH, "", CALL), f.upstream.answers(answer));
    assert!(!response.headers().contains_key("mcp-session-id"));
    assert!(whole(response).await.contains("error"));
}

#[tokio::test]
async fn a_session_ends_when_its_client_or_its_server_says_so() {
    let mut f = fixture(|_| {}).await;
    f.open("s1").await;
    let (status, (parts, _)) =
        tokio::join!(f.client.delete(PATH, "s1"), f.upstream.answers(json_answer("")));
    assert_eq!((status, parts.method), (StatusCode::OK, http::Method::DELETE));
    assert_eq!(f.client.post(PATH, "s1", CALL).await.status(), StatusCode::NOT_FOUND);

    f.open("s2").await;
    let mut gone = json_answer("");
    *gone.status_mut() = StatusCode::NOT_FOUND;
    let (response, _) = tokio::join!(f.client.post(PATH, "s2", CALL), f.upstream.answers(gone));
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(f.client.post(PATH, "s2", CALL).await.status(), StatusCode::NOT_FOUND);
    soon(f.service.close()).await;
    assert!(f.upstream.requests.try_recv().is_err(), "there is nothing left to delete");
}

#[tokio::test]
async fn sessions_that_are_too_many_or_idle_are_deleted_at_the_server() {
    let mut f = fixture(|server| server.maximum_sessions_per_client = 1).await;
    f.open("s1").await;
    f.open("s2").await;
    let (parts, _) = f.upstream.answers(json_answer("")).await;
    assert_eq!(
        (parts.method.as_str(), parts.headers["mcp-session-id"].as_bytes()),
        ("DELETE", &b"s1"[..])
    );
    assert_eq!(f.client.post(PATH, "s1", CALL).await.status(), StatusCode::NOT_FOUND);

    let mut f = fixture(|server| server.maximum_sessions = 0).await;
    let body = initialize().to_string();
    let (response, _) = tokio::join!(
        f.client.post(PATH, "", &body),
        f.upstream.answers(with_session(json_answer("{}"), "s1"))
    );
    assert!(!response.headers().contains_key("mcp-session-id"));
    assert!(whole(response).await.contains("error"));
    assert_eq!(f.upstream.answers(json_answer("")).await.0.method, "DELETE");

    let mut f = fixture(|server| server.idle_timeout = Duration::from_millis(50)).await;
    f.open("s1").await;
    assert_eq!(f.upstream.answers(json_answer("")).await.0.method, "DELETE");
    assert_eq!(f.client.post(PATH, "s1", CALL).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_query_passes_unless_the_server_has_one_of_its_own() {
    let path = format!("{PATH}?a=b");
    let mut f = fixture(|_| {}).await;
    let (_, (parts, _)) =
        tokio::join!(f.client.post(&path, "", CALL), f.upstream.answers(json_answer("{}")));
    assert_eq!(parts.uri, "/mcp?a=b");
    let mut f =
        fixture(|server| server.url = format!("{}?key=k", server.url).parse().unwrap()).await;
    let (_, (parts, _)) =
        tokio::join!(f.client.post(&path, "", CALL), f.upstream.answers(json_answer("{}")));
    assert_eq!(parts.uri, "/mcp?key=k");
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_the_server_wait() {
    let part: &'static str = "x".repeat(64 * 1024).leak();
    let mut f = fixture(|_| {}).await;
    let (events, answer) = stream();
    let (response, _) = tokio::join!(f.client.post(PATH, "", CALL), f.upstream.answers(answer));
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(1), events.send(Ok(part))).await.is_ok() {
        sent += part.len();
        assert!(sent < 64 * 1024 * 1024, "somebody holds all of it");
    }
    drop(response);
}
