//! The official Rust SDK's client against the built-in server and against a real stdio server.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::borrow::Cow;
use std::sync::Arc;

use common::*;
use http::StatusCode;
use portcullis_mcp::{BUILT_IN_PATH, Caller, McpService, StdioServer};
use rmcp::model::{CallToolRequestParams, ClientConfig, ProtocolVersion};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, UnixSocketHttpClient};
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// Serves everybody who connects as one caller.
fn listen(service: &McpService, caller: &Arc<Caller>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
    let (service, caller) = (service.clone(), Arc::clone(caller));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, caller) = (service.clone(), Arc::clone(&caller));
            let shutdown = CancellationToken::new();
            tokio::spawn(async move { service.serve_connection(stream, caller, shutdown).await });
        }
    });
    directory
}

async fn connect(
    directory: &TempDir,
    path: &str,
    lifecycle: ClientLifecycleMode,
) -> RunningService<RoleClient, ClientConfig> {
    let socket = directory.path().join("socket");
    let uri = format!("http://gate{path}");
    let client = UnixSocketHttpClient::new(socket.to_str().unwrap(), &uri);
    let config = StreamableHttpClientTransportConfig::with_uri(uri);
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let client = ClientConfig::default().serve_with_lifecycle(transport, lifecycle);
    soon(client).await.unwrap()
}

fn discover() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

async fn call(
    client: &RunningService<RoleClient, ClientConfig>,
    tool: &'static str,
    arguments: Value,
) -> Value {
    let mut parameters = CallToolRequestParams::new(Cow::Borrowed(tool));
    parameters.arguments = arguments.as_object().cloned();
    let result = soon(client.call_tool(parameters)).await.unwrap();
    serde_json::to_value(result).unwrap()
}

#[tokio::test]
async fn whoami_tells_in_both_eras() {
    let service = service(Vec::new());
    let directory = listen(&service, &caller(1, "alice"));
    for lifecycle in [ClientLifecycleMode::Initialize, discover()] {
        let client = connect(&directory, BUILT_IN_PATH, lifecycle).await;
        let tools = soon(client.list_all_tools()).await.unwrap();
        assert_eq!(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["whoami"]);
        let result = call(&client, "whoami", json!({})).await;
        let answer = &result["structuredContent"];
        assert_eq!(answer["principal"], "alice");
        assert_eq!(answer["attributes"], json!({"team": ["blue"]}));
        assert_eq!(answer["certificate"]["sha256"], "01".repeat(32));
        assert_eq!(answer["certificate"]["subject_alt_names"], json!(["dns:alice.example"]));
        assert_eq!(answer["policies"][0]["code"], "not-pinned");
        assert_eq!(answer["policies"][1]["elapsed_us"], 118);
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *answer);
        soon(client.cancel()).await.unwrap();
    }
}

/// Needs `mcp-server-time` from PyPI, at the path that the variable `PORTCULLIS_MCP_SERVER_TIME` gives or in `PATH`.
#[tokio::test]
async fn a_real_stdio_server_lists_and_calls_tools() {
    let program = std::env::var("PORTCULLIS_MCP_SERVER_TIME")
        .unwrap_or_else(|_| "mcp-server-time".to_owned());
    let found = std::process::Command::new(&program).arg("--help").output();
    if found.is_err() {
        eprintln!(
            "MISSING, so not tested: `{program}`; set PORTCULLIS_MCP_SERVER_TIME to its path"
        );
        return;
    }
    let service = service(vec![StdioServer::new("time", vec![program])]);
    let directory = listen(&service, &caller(1, "alice"));
    let client = connect(&directory, "/time/mcp", ClientLifecycleMode::Initialize).await;
    let tools = soon(client.list_all_tools()).await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "get_current_time"));
    let result = call(&client, "get_current_time", json!({"timezone": "Europe/Berlin"})).await;
    assert!(result["content"][0]["text"].as_str().unwrap().contains("Europe/Berlin"));
    soon(client.cancel()).await.unwrap();
    soon(service.close()).await;
}

#[tokio::test]
async fn whoami_answers_from_the_connection_of_the_request() {
    let service = service(Vec::new());
    let mut opener = Client::connect(&service, &caller(1, "alice")).await;
    let session = opener.initialize(BUILT_IN_PATH).await;
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    opener.post(BUILT_IN_PATH, &session, initialized).await;
    // The same certificate, judged again in a new handshake.
    let mut later = Client::connect(&service, &caller(1, "alice-renamed")).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}"#;
    for (client, name) in [(&mut later, "alice-renamed"), (&mut opener, "alice")] {
        let mut response = client.post(BUILT_IN_PATH, &session, &call.replace(":1,", ":2,")).await;
        let answer = message(response.body_mut()).await.unwrap();
        assert_eq!(answer["result"]["structuredContent"]["principal"], name);
    }
}

#[tokio::test]
async fn another_clients_built_in_session_is_not_found() {
    let service = service(Vec::new());
    let mut alice = Client::connect_http2(&service, &caller(1, "alice")).await;
    let session = alice.initialize(BUILT_IN_PATH).await;
    let mut mallory = Client::connect(&service, &caller(2, "mallory")).await;
    let ping = request(1, "ping");
    let status = |response: http::Response<hyper::body::Incoming>| response.status();
    assert_eq!(status(mallory.post(BUILT_IN_PATH, &session, &ping).await), StatusCode::NOT_FOUND);
    assert_eq!(status(mallory.get(BUILT_IN_PATH, &session).await), StatusCode::NOT_FOUND);
    assert_eq!(mallory.delete(BUILT_IN_PATH, &session).await, StatusCode::NOT_FOUND);
    assert_eq!(status(alice.post(BUILT_IN_PATH, &session, &ping).await), StatusCode::OK);
    assert_eq!(alice.delete(BUILT_IN_PATH, &session).await, StatusCode::NO_CONTENT);
    assert_eq!(status(alice.post(BUILT_IN_PATH, &session, &ping).await), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn one_built_in_session_too_many_ends_the_clients_oldest() {
    let service = service(Vec::new());
    let mut alice = Client::connect(&service, &caller(1, "alice")).await;
    let first = alice.initialize(BUILT_IN_PATH).await;
    for _ in 0..16 {
        alice.initialize(BUILT_IN_PATH).await;
    }
    let response = alice.post(BUILT_IN_PATH, &first, &request(1, "ping")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_is_let_go() {
    let service = service(Vec::new());
    for first_byte in [None, Some(b'P')] {
        let (mut near, far) = tokio::io::duplex(64);
        if let Some(byte) = first_byte {
            tokio::io::AsyncWriteExt::write_u8(&mut near, byte).await.unwrap();
        }
        let begin = tokio::time::Instant::now();
        service.serve_connection(far, caller(1, "alice"), CancellationToken::new()).await;
        assert_eq!(begin.elapsed().as_secs(), 60);
    }
}
