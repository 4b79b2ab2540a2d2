//! Who may call what, as clients and servers see it on the wire.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use bytes::Bytes;
use common::upstream::*;
use common::*;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use portcullis_mcp::{McpService, Rule};
use serde_json::{Value, json};

const PATH: &str = "/remote/mcp";
const TOOLS: &str =
    r#"{ "jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get_time"},{"name":"set_time"}]}}"#;

struct Fixture {
    service: McpService,
    upstream: Upstream,
    requests: Requests,
    /// May get things of `remote` and of `hostile`.
    alice: Client,
}

fn rule(principal: &str, servers: &[&str], change: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = Rule::default();
    rule.principals = Some(vec![principal.to_owned()]);
    rule.servers = servers.iter().map(|name| (*name).to_owned()).collect();
    change(&mut rule);
    rule
}

async fn fixture() -> Fixture {
    let upstream = Upstream::start().await;
    let servers =
        vec![upstream.server("remote").into(), hostile(std::path::Path::new("/dev/null")).into()];
    let (service, requests) = audited(servers, |options| {
        options.rules = vec![
            rule("alice", &["remote", "hostile"], |rule| {
                rule.tools = Some(vec!["get_*".to_owned()]);
                rule.resources = Some(vec!["file:///public/**".to_owned()]);
            }),
            rule("ops", &["*"], |_| {}),
        ];
    });
    let alice = Client::connect(&service, &caller(1, "alice")).await;
    Fixture { service, upstream, requests, alice }
}

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

async fn whole(response: Response<Incoming>) -> String {
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn error(response: Response<Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body: Value = serde_json::from_str(&whole(response).await).unwrap();
    (status, json!([body["id"], body["error"]["code"]]))
}

#[tokio::test]
async fn a_call_that_no_rule_allows_is_answered_with_an_error_and_never_reaches_its_server() {
    let mut f = fixture().await;
    let response = f.alice.post(PATH, "", &call("set_time")).await;
    assert_eq!(error(response).await, (200, json!([1, 403])));
    assert_eq!(f.requests.next_end().await, (200, "refused", "not-authorized"));
    let (response, (_, body)) = tokio::join!(
        async { f.alice.post(PATH, "", &call("get_time")).await },
        f.upstream.answers(json_answer("{}"))
    );
    assert_eq!((response.status().as_u16(), &*body), (200, call("get_time").as_bytes()));
    assert_eq!(f.requests.next_end().await, (200, "answered", ""));
}

#[tokio::test]
async fn lists_show_what_may_be_used_as_a_message_on_a_stream_and_resumed() {
    let mut f = fixture().await;
    let list = request(1, "tools/list");
    let shown = json!([{"name": "get_time"}]);
    let mut asked = post(PATH, "", &list);
    asked.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let (response, (parts, _)) =
        tokio::join!(f.alice.send(asked), f.upstream.answers(json_answer(TOOLS)));
    assert!(!parts.headers.contains_key("accept-encoding"));
    let body: Value = serde_json::from_str(&whole(response).await).unwrap();
    assert_eq!(body["result"]["tools"], shown);

    let (events, answer) = stream();
    let (mut response, _) = tokio::join!(f.alice.post(PATH, "", &list), f.upstream.answers(answer));
    for part in ["id: 1\r\nda", "ta: {}\r\n\r\n: wait\n\ndata: ", TOOLS, "\r\n", "\r\n"] {
        events.send(Ok(part)).await.unwrap();
    }
    assert_eq!(message(response.body_mut()).await.unwrap(), json!({}));
    assert_eq!(message(response.body_mut()).await.unwrap()["result"]["tools"], shown);
    drop(events);
    assert_eq!(message(response.body_mut()).await, None);

    let (events, answer) = stream();
    let (mut response, _) = tokio::join!(
        f.alice.send(
            Request::get(PATH)
                .header("host", "gate")
                .header("accept", "text/event-stream")
                .header("last-event-id", "1")
                .body(Full::default())
                .unwrap()
        ),
        f.upstream.answers(answer)
    );
    for part in ["data: ", TOOLS, "\n\n"] {
        events.send(Ok(part)).await.unwrap();
    }
    assert_eq!(message(response.body_mut()).await.unwrap()["result"]["tools"], shown);
}

#[tokio::test]
async fn who_may_use_the_whole_server_gets_its_lists_byte_for_byte() {
    let mut f = fixture().await;
    let mut ops = Client::connect(&f.service, &caller(2, "ops")).await;
    let list = request(1, "tools/list");
    let (response, _) =
        tokio::join!(ops.post(PATH, "", &list), f.upstream.answers(json_answer(TOOLS)));
    assert_eq!(response.headers()["content-length"], TOOLS.len().to_string());
    assert_eq!(whole(response).await, TOOLS);
}

#[tokio::test]
async fn a_command_is_asked_no_more_than_the_rules_allow() {
    let mut f = fixture().await;
    let path = "/hostile/mcp";
    let session = f.alice.initialize(path).await;
    let listed = f.alice.ask(&session, 1, "tools/list").await;
    assert_eq!(listed["result"]["tools"], json!([{"name": "get_time"}]));
    let mut called = f.alice.post(path, &session, &call("get_time")).await;
    assert_eq!(message(called.body_mut()).await.unwrap()["result"]["content"], json!([]));
    let refused = f.alice.post(path, &session, &call("set_time")).await;
    assert_eq!(error(refused).await, (200, json!([1, 403])));
    let unknown = f.alice.post(path, &session, &request(2, "environment")).await;
    assert_eq!(error(unknown).await, (200, json!([2, 403])));
}

#[tokio::test]
async fn who_may_use_nothing_of_a_server_gets_nothing_of_it() {
    let f = fixture().await;
    let mut bob = Client::connect(&f.service, &caller(3, "bob")).await;
    for path in [PATH, "/hostile/mcp", "/portcullis/mcp"] {
        let response = bob.post(path, "", &initialize().to_string()).await;
        assert_eq!(error(response).await, (200, json!([0, 403])), "{path}");
        let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let response = bob.post(path, "s", notification).await;
        assert_eq!(error(response).await, (403, json!([null, 403])), "{path}");
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(bob.post(path, "s", answer).await.status(), StatusCode::FORBIDDEN);
        assert_eq!(bob.get(path, "s").await.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(bob.delete(path, "s").await, StatusCode::FORBIDDEN, "{path}");
        for _ in 0..5 {
            assert_eq!(f.requests.next().await.code, Some("not-authorized"), "{path}");
        }
    }
}

/// Whatever a server could read as another call than the gate does is refused, also for those who may call everything.
#[tokio::test]
async fn what_could_be_read_differently_reaches_no_server() {
    let f = fixture().await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for principal in ["alice", "ops"] {
        let mut client = Client::connect(&f.service, &caller(4, principal)).await;
        for (body, code) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#.to_owned(), "ambiguous"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}"#.to_owned(), "ambiguous"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_x","name":"set_x"}}"#.to_owned(), "ambiguous"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"TOOLS/call","params":{"name":"set_x"}}"#.to_owned(), "ambiguous"),
            (format!("[{ping}]"), "batch"),
            (ping.replace("2.0", "1.0"), "not-a-message"),
        ] {
            let response = client.post(PATH, "", &body).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(f.requests.next_end().await, (400, "refused", code), "{body}");
        }
        for header in [("mcp-method", "tools/call"), ("mcp-protocol-version", "a")] {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"b"}}}"#;
            let mut asked = post(PATH, "", body);
            asked.headers_mut().insert(header.0, header.1.parse().unwrap());
            assert_eq!(error(client.send(asked).await).await, (400, json!([1, -32020])));
            assert_eq!(f.requests.next_end().await, (400, "refused", "header-mismatch"));
        }
        let hidden =
            Request::get(PATH).header("host", "gate").header("x-http-method-override", "POST");
        let hidden = hidden.body(Full::new(Bytes::from(call("set_time")))).unwrap();
        assert_eq!(client.send(hidden).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(f.requests.next_end().await, (400, "refused", "unexpected-body"));
        let put = Request::builder().method(Method::PUT).uri(PATH).header("host", "gate");
        let put = put.body(Full::new(Bytes::from(call("set_time")))).unwrap();
        assert_eq!(client.send(put).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        f.requests.next().await;
    }
    let mut alice = Client::connect(&f.service, &caller(1, "alice")).await;
    assert_eq!(alice.post(PATH, "", "{not").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(f.requests.next_end().await, (400, "refused", "not-json"));
}
