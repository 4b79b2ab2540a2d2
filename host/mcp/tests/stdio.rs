//! A stdio server behind Streamable HTTP, as its clients see it on the wire: sessions, streams, ends.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::*;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tempfile::TempDir;

const PATH: &str = "/hostile/mcp";

struct Fixture {
    service: portcullis_mcp::McpService,
    client: Client,
    pid_file: std::path::PathBuf,
    _directory: TempDir,
}

async fn fixture(change: impl FnOnce(&mut portcullis_mcp::StdioServer)) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let mut server = hostile(&pid_file);
    change(&mut server);
    let service = service(vec![server]);
    let client = Client::connect(&service, &caller(1, "alice")).await;
    Fixture { service, client, pid_file, _directory: directory }
}

impl Fixture {
    async fn all_processes_gone(&self) {
        until(|| !processes(&self.pid_file).into_iter().any(is_alive)).await;
    }
}

#[tokio::test]
async fn messages_pass_byte_for_byte() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let body = r#"{ "z":[1.0e5, 12345678901234567890123,"\u00e9\/é"],"jsonrpc":"2.0","id": 7 ,"method":"echo","a":null}"#;
    let mut response = f.client.post(PATH, &session, body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let answer = text(response.body_mut()).await.unwrap();
    assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":7,"result":{body}}}"#));
    assert_eq!(text(response.body_mut()).await, None, "an answer ends its stream");
}

#[tokio::test]
async fn http2_serves_streams_at_the_same_time() {
    let f = fixture(|_| {}).await;
    let mut client = Client::connect_http2(&f.service, &caller(1, "alice")).await;
    let session = client.initialize(PATH).await;
    let mut listener = client.get(PATH, &session).await;
    let mut waiting = client.post(PATH, &session, &request(1, "hang")).await;
    assert_eq!(client.ask(&session, 2, "echo").await["result"]["id"], 2);
    client.ask(&session, 3, "tell-everybody").await;
    let news = message(listener.body_mut()).await.unwrap();
    assert_eq!(news["method"], "notifications/tools/list_changed");
    assert_eq!(client.delete(PATH, &session).await, StatusCode::NO_CONTENT);
    let error = message(waiting.body_mut()).await.unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(1), &json!(-32603)));
    assert_eq!(message(listener.body_mut()).await, None);
    f.all_processes_gone().await;
}

#[tokio::test]
async fn notifications_are_accepted_and_cancelled_requests_end() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let mut waiting = f.client.post(PATH, &session, &request(1, "hang")).await;
    let mut other = Client::connect(&f.service, &caller(1, "alice")).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let response = other.post(PATH, &session, cancel).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(text(waiting.body_mut()).await, None);
}

#[tokio::test]
async fn progress_comes_before_the_answer_of_its_request() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let body =
        r#"{"jsonrpc":"2.0","id":1,"method":"progress","params":{"_meta":{"progressToken":"t"}}}"#;
    let mut response = f.client.post(PATH, &session, body).await;
    let progress = message(response.body_mut()).await.unwrap();
    assert_eq!(progress["method"], "notifications/progress");
    assert_eq!(message(response.body_mut()).await.unwrap()["id"], 1);
}

#[tokio::test]
async fn a_servers_question_and_its_clients_answer_make_a_round_trip() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let mut response = f.client.post(PATH, &session, &request(4, "ask")).await;
    let question = message(response.body_mut()).await.unwrap();
    assert_eq!(question["method"], "roots/list");
    let mut other = Client::connect(&f.service, &caller(1, "alice")).await;
    let roots = r#"{"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}"#;
    assert_eq!(other.post(PATH, &session, roots).await.status(), StatusCode::ACCEPTED);
    let answer = message(response.body_mut()).await.unwrap();
    assert_eq!(answer["id"], 4);
    assert_eq!(answer["result"]["result"]["roots"], json!([]));
}

/// What comes next on a stream, exactly.
async fn chunk(body: &mut hyper::body::Incoming) -> String {
    let data = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    String::from_utf8(data.into()).unwrap()
}

#[tokio::test]
async fn a_client_that_lost_a_stream_resumes_it() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let alice = caller(1, "alice");
    let mut leaving = Client::connect(&f.service, &alice).await;
    let mut lost = leaving.send(post_resumable(PATH, &session, &request(4, "ask"))).await;
    assert_eq!(chunk(lost.body_mut()).await, "retry: 1000\nid: 2-0\ndata: \n\n");
    let question = chunk(lost.body_mut()).await;
    assert!(question.starts_with("id: 2-") && question.contains("roots/list"), "{question}");
    drop(lost);
    leaving.leave().await;
    // The client answers, and the server does, before the client is back for the rest.
    let roots = r#"{"jsonrpc":"2.0","id":"q1","result":{}}"#;
    f.client.post(PATH, &session, roots).await;
    f.client.ask(&session, 5, "echo").await;
    for _ in 0..2 {
        // From the start, and again, since nobody knows what arrived.
        let mut resumed = f.client.resume(PATH, &session, "2-0").await;
        assert_eq!(resumed.status(), StatusCode::OK);
        assert_eq!(message(resumed.body_mut()).await.unwrap()["method"], "roots/list");
        assert_eq!(message(resumed.body_mut()).await.unwrap()["id"], 4);
        assert_eq!(text(resumed.body_mut()).await, None);
    }
    let mut mallory = Client::connect(&f.service, &caller(2, "mallory")).await;
    assert_eq!(mallory.resume(PATH, &session, "2-0").await.status(), StatusCode::NOT_FOUND);
    for last in ["9-0", "nonsense", "-1-0"] {
        let status = f.client.resume(PATH, &session, last).await.status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{last}");
    }
}

#[tokio::test]
async fn a_long_answer_passes_and_is_not_kept() {
    let mut f = fixture(|server| server.limits.maximum_message_bytes = 6_000_000).await;
    let session = f.client.initialize(PATH).await;
    let answer = f.client.ask(&session, 7, "long-answer").await;
    assert_eq!((&answer["id"], answer["result"].as_str().unwrap().len()), (&json!(7), 5_000_000));
    // Half of it, and then the client is gone.
    let mut leaving = Client::connect(&f.service, &caller(1, "alice")).await;
    let call = request(8, "long-answer");
    let mut lost = leaving.send(post_resumable(PATH, &session, &call)).await;
    chunk(lost.body_mut()).await;
    assert!(chunk(lost.body_mut()).await.starts_with("id: "));
    drop(lost);
    leaving.leave().await;
    let mut resumed = f.client.resume(PATH, &session, "3-0").await;
    let error = message(resumed.body_mut()).await.unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(8), &json!(-32603)));
}

#[tokio::test]
async fn a_command_that_ends_at_once_is_not_started_for_every_client_that_asks() {
    let f = fixture(|server| server.command = vec!["false".to_owned()]).await;
    let mut client = Client::connect(&f.service, &caller(1, "alice")).await;
    let first = client.post(PATH, "", &initialize().to_string()).await;
    assert_eq!(message(&mut first.into_body()).await.unwrap()["error"]["code"], -32603);
    let mut refused = 0;
    for _ in 0..50 {
        let response = client.post(PATH, "", &initialize().to_string()).await;
        refused += usize::from(response.headers().contains_key("retry-after"));
        assert_eq!(message(&mut response.into_body()).await.unwrap()["error"]["code"], -32603);
    }
    assert!(refused > 40, "{refused}");
}

#[tokio::test]
async fn a_process_has_the_limits_that_it_was_given() {
    let mut f = fixture(|server| {
        server.resources.open_files = Some(50);
        server.resources.cpu_seconds = Some(600);
        server.resources.address_space_bytes = Some(1024 * 1024 * 1024);
    })
    .await;
    let session = f.client.initialize(PATH).await;
    let limits = &f.client.ask(&session, 1, "limits").await["result"];
    assert_eq!(*limits, json!([50, 600, 1024 * 1024]));
}

#[tokio::test]
async fn news_waits_for_a_stream() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    f.client.ask(&session, 1, "tell-everybody").await;
    let mut listener = f.client.get(PATH, &session).await;
    assert_eq!(listener.status(), StatusCode::OK);
    let news = message(listener.body_mut()).await.unwrap();
    assert_eq!(news["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn lines_that_are_no_messages_are_left_out() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    assert_eq!(f.client.ask(&session, 1, "garbage").await["result"], json!({}));
    assert_eq!(f.client.ask(&session, 2, "complain").await["result"], json!({}));
}

#[tokio::test]
async fn a_server_that_dies_gives_its_callers_an_error_and_others_nothing() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let mut bob = Client::connect(&f.service, &caller(2, "bob")).await;
    let of_bob = bob.initialize(PATH).await;
    let mut waiting = f.client.post(PATH, &session, &request(1, "hang")).await;
    let mut second = Client::connect(&f.service, &caller(1, "alice")).await;
    let error = second.ask(&session, 2, "die").await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(2), &json!(-32603)));
    assert_eq!(message(waiting.body_mut()).await.unwrap()["error"]["code"], -32603);
    let response = second.post(PATH, &session, &request(3, "echo")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND, "the client is to initialize again");
    assert_eq!(bob.ask(&of_bob, 1, "echo").await["result"]["id"], 1);
    let again = second.initialize(PATH).await;
    assert_eq!(second.ask(&again, 4, "echo").await["result"]["id"], 4);
}

#[tokio::test]
async fn an_answer_arrives_even_when_the_server_exits_right_after_it() {
    let mut f = fixture(|_| {}).await;
    for _ in 0..20 {
        let session = f.client.initialize(PATH).await;
        assert_eq!(f.client.ask(&session, 1, "answer-and-exit").await["result"], json!({}));
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_session() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    assert_eq!(f.client.ask(&session, 1, "long").await["error"]["code"], -32603);
    f.all_processes_gone().await;
}

#[tokio::test]
async fn a_flood_waits_for_its_reader_and_ends_with_the_session() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let mut flood = f.client.post(PATH, &session, &request(1, "flood")).await;
    for _ in 0..1000 {
        assert!(text(flood.body_mut()).await.is_some());
    }
    // Nobody reads now. Ending the session needs no reader.
    let mut other = Client::connect(&f.service, &caller(1, "alice")).await;
    assert_eq!(other.delete(PATH, &session).await, StatusCode::NO_CONTENT);
    f.all_processes_gone().await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_requests_and_then_its_session() {
    let idle = std::time::Duration::from_millis(300);
    let change = |limits: &mut portcullis_mcp::SessionLimits| {
        limits.idle_timeout = idle;
        limits.maximum_requests = 2;
    };
    let f = fixture(|server| limits(server, change)).await;
    let mut client = Client::connect(&f.service, &caller(1, "alice")).await;
    let session = client.initialize(PATH).await;
    for id in 0..6 {
        // More than may wait at a time: each has to be forgotten when its client leaves.
        let mut leaving = Client::connect(&f.service, &caller(1, "alice")).await;
        let response = leaving.post(PATH, &session, &request(id, "hang")).await;
        assert_eq!(response.status(), StatusCode::OK);
        drop(response);
        leaving.leave().await;
    }
    f.all_processes_gone().await;
    let response = client.post(PATH, &session, &request(9, "echo")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn requests_beyond_the_limit_and_ids_in_use_are_refused() {
    let f = fixture(|server| limits(server, |limits| limits.maximum_requests = 2)).await;
    let mut client = Client::connect_http2(&f.service, &caller(1, "alice")).await;
    let session = client.initialize(PATH).await;
    let _one = client.post(PATH, &session, &request(1, "hang")).await;
    let same = client.post(PATH, &session, &request(1, "echo")).await;
    assert_eq!(same.status(), StatusCode::BAD_REQUEST);
    let _two = client.post(PATH, &session, &request(2, "hang")).await;
    let three = client.ask(&session, 3, "echo").await;
    assert_eq!(three["error"]["code"], -32603);
}

#[tokio::test]
async fn another_clients_session_is_not_found() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let mut mallory = Client::connect(&f.service, &caller(2, "mallory")).await;
    let post = mallory.post(PATH, &session, &request(1, "echo")).await;
    let unknown = mallory.post(PATH, "0123", &request(1, "echo")).await;
    assert_eq!((post.status(), unknown.status()), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    let (post, unknown) = (post.into_body().collect(), unknown.into_body().collect());
    assert_eq!(post.await.unwrap().to_bytes(), unknown.await.unwrap().to_bytes());
    assert_eq!(mallory.get(PATH, &session).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(mallory.delete(PATH, &session).await, StatusCode::NOT_FOUND);
    assert_eq!(f.client.ask(&session, 1, "echo").await["result"]["id"], 1);
}

#[tokio::test]
async fn the_end_of_a_session_takes_the_servers_children_along() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let child = f.client.ask(&session, 1, "orphan").await["result"].as_u64().unwrap();
    let child = u32::try_from(child).unwrap();
    assert!(is_alive(child));
    assert_eq!(f.client.delete(PATH, &session).await, StatusCode::NO_CONTENT);
    until(|| !is_alive(child)).await;
    f.all_processes_gone().await;
}

#[tokio::test]
async fn closing_the_service_ends_every_process() {
    let mut f = fixture(|_| {}).await;
    for _ in 0..3 {
        f.client.initialize(PATH).await;
    }
    assert_eq!(processes(&f.pid_file).len(), 3);
    soon(f.service.close()).await;
    assert!(!processes(&f.pid_file).into_iter().any(is_alive));
}

#[tokio::test]
async fn a_client_that_leaves_while_its_server_starts_leaves_no_process() {
    let mut f = fixture(|server| {
        server.environment.insert("NEVER_START".to_owned(), "1".to_owned());
    })
    .await;
    let request = post(PATH, "", &initialize().to_string());
    let sending = tokio::spawn(async move { f.client.send(request).await });
    until(|| !processes(&f.pid_file).is_empty()).await;
    sending.abort();
    let _ = sending.await;
    until(|| !processes(&f.pid_file).into_iter().any(is_alive)).await;
}

#[tokio::test]
async fn a_server_that_does_not_start_is_an_error() {
    let mut f = fixture(|server| {
        server.environment.insert("NEVER_START".to_owned(), "1".to_owned());
        limits(server, |limits| limits.start_timeout = std::time::Duration::from_millis(200));
    })
    .await;
    let slow = f.client.post(PATH, "", &initialize().to_string()).await;
    assert!(!slow.headers().contains_key("mcp-session-id"));
    assert_eq!(message(&mut slow.into_body()).await.unwrap()["error"]["code"], -32603);
    f.all_processes_gone().await;

    let mut f = fixture(|server| server.command = vec!["/nonexistent/server".to_owned()]).await;
    let mut missing = f.client.post(PATH, "", &initialize().to_string()).await;
    let error = text(missing.body_mut()).await.unwrap();
    assert!(error.contains(r#""id":0"#) && !error.contains("nonexistent"), "{error}");
}

#[tokio::test]
async fn a_server_inherits_no_secret() {
    let mut f = fixture(|_| {}).await;
    let session = f.client.initialize(PATH).await;
    let names = f.client.ask(&session, 1, "environment").await;
    let names = names["result"].as_str().unwrap();
    assert!(names.contains("PATH ") && names.contains("PID_FILE "));
    assert!(!names.contains("CARGO"), "the test's own environment: {names}");
}

#[tokio::test]
async fn a_process_learns_whose_session_it_serves_unless_that_is_switched_off() {
    let f = fixture(|server| {
        server.environment.insert("PORTCULLIS_PRINCIPAL".to_owned(), "forged".to_owned());
    })
    .await;
    let mut client = Client::connect(&f.service, &caller(0xab, "alice \"\n$(id)")).await;
    let session = client.initialize(PATH).await;
    let told = client.ask(&session, 1, "caller").await;
    assert_eq!(told["result"], json!(["alice%20%22%0A$(id)", "ab".repeat(32)]));

    let mut f = fixture(|server| server.forward_principal = false).await;
    let session = f.client.initialize(PATH).await;
    assert_eq!(f.client.ask(&session, 1, "caller").await["result"], json!(["", ""]));
}

#[tokio::test]
async fn one_session_too_many_ends_the_clients_oldest() {
    let f = fixture(|server| limits(server, |limits| limits.maximum_sessions_per_client = 2)).await;
    let mut client = Client::connect(&f.service, &caller(1, "alice")).await;
    let first = client.initialize(PATH).await;
    let second = client.initialize(PATH).await;
    client.initialize(PATH).await;
    let status = client.post(PATH, &first, &request(1, "echo")).await.status();
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(client.ask(&second, 1, "echo").await["result"]["id"], 1);
}

#[tokio::test]
async fn a_shutdown_ends_listeners_and_lets_requests_finish() {
    let f = fixture(|_| {}).await;
    let mut client = Client::connect_http2(&f.service, &caller(1, "alice")).await;
    let session = client.initialize(PATH).await;
    let mut listener = client.get(PATH, &session).await;
    let mut asked = client.post(PATH, &session, &request(4, "ask")).await;
    message(asked.body_mut()).await.unwrap();
    client.shutdown.cancel();
    assert_eq!(text(listener.body_mut()).await, None);
    let mut other = Client::connect(&f.service, &caller(1, "alice")).await;
    let roots = r#"{"jsonrpc":"2.0","id":"q1","result":{}}"#;
    other.post(PATH, &session, roots).await;
    assert_eq!(message(asked.body_mut()).await.unwrap()["id"], 4);
    soon(client.served).await.unwrap();
}

#[tokio::test]
async fn requests_that_are_not_mcp_are_told_why() {
    let mut f = fixture(|_| {}).await;
    let good = || post(PATH, "", &initialize().to_string());
    let with = |name: &'static str, value: &'static str| {
        let mut request = good();
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let big = post(PATH, "", &" ".repeat(5_000_000));
    let put = Request::put(PATH).header("host", "gate").body(Full::default()).unwrap();
    for (request, status) in [
        (with("origin", "https://evil.example"), 403),
        (with("accept", "text/html"), 406),
        (with("content-type", "text/plain"), 415),
        (with("mcp-protocol-version", "2026-07-28"), 400),
        (post(PATH, "", "{"), 400),
        (post(PATH, "", "[]"), 400),
        (post(PATH, "", &request(1, "tools/list")), 400),
        (post(PATH, "", &request(1, "server/discover")), 400),
        (post("/other/mcp", "", "{}"), 404),
        (post("/hostile/mcp/", "", "{}"), 404),
        (post("/", "", "{}"), 404),
        (put, 405),
        (big, 413),
    ] {
        let described = format!("{} {:?}", request.uri(), request.headers());
        let mut client = Client::connect(&f.service, &caller(1, "alice")).await;
        let response = client.send(request).await;
        assert_eq!(response.status().as_u16(), status, "{described}");
    }
    assert!(processes(&f.pid_file).is_empty(), "none of them starts a process");
    f.client.initialize(PATH).await;
}

#[tokio::test]
async fn servers_that_are_replaced_end_their_sessions_and_those_that_stay_keep_them() {
    let directory = tempfile::tempdir().unwrap();
    let named = |name: &str, marker: &str| {
        let mut server = hostile(&directory.path().join(name));
        server.name = name.to_owned();
        server.environment.insert("MARKER".to_owned(), marker.to_owned());
        portcullis_mcp::Server::from(server)
    };
    let names = ["stays", "goes", "changes"];
    let service = service(Vec::new());
    let replace = |servers: Vec<_>| {
        let prepared = service.prepare(portcullis_mcp::Options::default(), servers).unwrap();
        service.replace(prepared);
    };
    replace(names.iter().map(|name| named(name, "1")).collect());
    let mut client = Client::connect_http2(&service, &caller(1, "alice")).await;
    let path = |name: &str| format!("/{name}/mcp");
    let mut sessions = Vec::new();
    for name in names {
        sessions.push(client.initialize(&path(name)).await);
    }

    let broken = vec![named("stays", "1"), named("no/name", "1")];
    assert!(service.prepare(portcullis_mcp::Options::default(), broken).is_err());
    replace(vec![named("stays", "1"), named("changes", "2"), named("new", "1")]);

    let mut status = async |name: &str, session: &str| {
        client.post(&path(name), session, &request(7, "tools/list")).await.status()
    };
    assert_eq!(status("stays", &sessions[0]).await, StatusCode::OK);
    assert_eq!(status("goes", &sessions[1]).await, StatusCode::NOT_FOUND);
    assert_eq!(status("changes", &sessions[2]).await, StatusCode::NOT_FOUND);
    for name in ["goes", "changes"] {
        let ended = processes(&directory.path().join(name));
        until(|| !ended.iter().copied().any(is_alive)).await;
    }
    let session = client.initialize(&path("new")).await;
    assert_eq!(client.delete(&path("new"), &session).await, StatusCode::NO_CONTENT);
}
