//! Callers, a service without a network, and an HTTP client that shows what is on the wire.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

pub(crate) mod upstream;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_mcp::{
    Caller, CertificateFacts, McpService, Options, PolicyFacts, RequestAuditor, RequestRecord,
    Server, SessionLimits, StdioServer,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits, and fails rather than hang.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("this takes too long")
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) fn caller(certificate: u8, principal: &str) -> Arc<Caller> {
    Arc::new(Caller {
        connection: u64::from(certificate),
        principal: Some(principal.to_owned()),
        attributes: vec![("team".to_owned(), "blue".to_owned())],
        certificate: CertificateFacts {
            subject: format!("CN={principal}"),
            issuer: "CN=Test CA".to_owned(),
            serial_number: format!("{certificate:02x}"),
            sha256: [certificate; 32],
            subject_alt_names: vec![("dns".to_owned(), format!("{principal}.example"))],
            not_before: 1_790_000_000,
            not_after: 1_800_000_000,
        },
        certificates: vec![vec![certificate]],
        policies: vec![
            PolicyFacts {
                policy: "pin-list".to_owned(),
                shadow: true,
                outcome: "rejected",
                code: Some("not-pinned".to_owned()),
                elapsed_us: 12,
                memory_bytes: 65536,
            },
            PolicyFacts {
                policy: "ca-chain".to_owned(),
                shadow: false,
                outcome: "accepted",
                code: None,
                elapsed_us: 118,
                memory_bytes: 131_072,
            },
        ],
    })
}

/// The script `tests/servers/hostile.sh`, which writes its process id into a file.
pub(crate) fn hostile(pid_file: &Path) -> StdioServer {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/hostile.sh");
    let mut server = StdioServer::new("hostile", vec!["sh".to_owned(), script.to_owned()]);
    server.environment.insert("PID_FILE".to_owned(), pid_file.display().to_string());
    server.limits.stop_timeout = Duration::from_millis(200);
    server.limits.maximum_message_bytes = 1024 * 1024;
    server
}

pub(crate) fn limits(server: &mut StdioServer, change: impl FnOnce(&mut SessionLimits)) {
    change(&mut server.limits);
}

pub(crate) fn service(servers: Vec<StdioServer>) -> McpService {
    McpService::new(Options::default(), servers.into_iter().map(Into::into).collect()).unwrap()
}

/// A service with options of its own, and what it notes of requests.
pub(crate) fn audited(
    servers: Vec<Server>,
    change: impl FnOnce(&mut Options),
) -> (McpService, Requests) {
    let (mut options, requests) = (Options::default(), Requests::default());
    options.auditor = Arc::new(requests.clone());
    change(&mut options);
    (McpService::new(options, servers).unwrap(), requests)
}

/// What was noted of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<VecDeque<RequestRecord>>>);

impl RequestAuditor for Requests {
    fn record(&self, record: &RequestRecord) {
        self.0.lock().unwrap().push_back(record.clone());
    }
}

impl Requests {
    /// The next record, which may come a little after the answer.
    pub(crate) async fn next(&self) -> RequestRecord {
        until(|| !self.0.lock().unwrap().is_empty()).await;
        self.0.lock().unwrap().pop_front().unwrap()
    }

    /// How the next request ended: status, outcome and code.
    pub(crate) async fn next_end(&self) -> (u16, &'static str, &'static str) {
        let record = self.next().await;
        let (status, code) = (record.status.unwrap_or(0), record.code.unwrap_or(""));
        (status, record.outcome.as_str(), code)
    }
}

/// The processes that a hostile server's sessions started.
pub(crate) fn processes(pid_file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(pid_file).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether a process is there, and more than a zombie.
pub(crate) fn is_alive(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// One HTTP connection of one caller.
pub(crate) struct Client {
    sender: Sender,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: tokio::task::JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn connect(service: &McpService, caller: &Arc<Caller>) -> Self {
        let (io, shutdown, served) = serve(service, caller);
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::Http1(sender), shutdown, served }
    }

    pub(crate) async fn connect_http2(service: &McpService, caller: &Arc<Caller>) -> Self {
        let (io, shutdown, served) = serve(service, caller);
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::Http2(sender), shutdown, served }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let response = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await.unwrap();
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => sender.send_request(request).await,
            }
        };
        soon(response).await.unwrap()
    }

    /// Closes the connection, and waits until the service has noticed.
    pub(crate) async fn leave(self) {
        drop(self.sender);
        soon(self.served).await.unwrap();
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        session: &str,
        body: &str,
    ) -> Response<Incoming> {
        self.send(post(path, session, body)).await
    }

    /// Opens a session and gives its id.
    pub(crate) async fn initialize(&mut self, path: &str) -> String {
        let response = self.post(path, "", &initialize().to_string()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let answer = message(&mut response.into_body()).await.unwrap();
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        session
    }

    /// Makes a request of a hostile server, and gives its answer.
    pub(crate) async fn ask(&mut self, session: &str, id: u32, method: &str) -> Value {
        let mut response = self.post("/hostile/mcp", session, &request(id, method)).await;
        assert_eq!(response.status(), StatusCode::OK);
        message(response.body_mut()).await.expect("an answer")
    }

    pub(crate) async fn get(&mut self, path: &str, session: &str) -> Response<Incoming> {
        let request = Request::get(path).header("host", "gate").header("mcp-session-id", session);
        self.send(request.header("accept", "text/event-stream").body(Full::default()).unwrap())
            .await
    }

    /// Comes back to a stream that it lost after this event.
    pub(crate) async fn resume(
        &mut self,
        path: &str,
        session: &str,
        last: &str,
    ) -> Response<Incoming> {
        let request = Request::get(path)
            .header("host", "gate")
            .header("mcp-session-id", session)
            .header("last-event-id", last)
            .header("accept", "text/event-stream");
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn delete(&mut self, path: &str, session: &str) -> StatusCode {
        let request =
            Request::delete(path).header("host", "gate").header("mcp-session-id", session);
        self.send(request.body(Full::default()).unwrap()).await.status()
    }
}

fn serve(
    service: &McpService,
    caller: &Arc<Caller>,
) -> (tokio::io::DuplexStream, CancellationToken, tokio::task::JoinHandle<()>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let shutdown = CancellationToken::new();
    let (service, caller, token) = (service.clone(), Arc::clone(caller), shutdown.clone());
    let served = tokio::spawn(async move { service.serve_connection(far, caller, token).await });
    (near, shutdown, served)
}

pub(crate) fn post(path: &str, session: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(if path.starts_with('/') { format!("http://gate{path}") } else { path.to_owned() })
        .header("host", "gate")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if !session.is_empty() {
        request = request.header("mcp-session-id", session);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// As [`post`], of a client that can resume streams.
pub(crate) fn post_resumable(path: &str, session: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = post(path, session, body);
    request.headers_mut().insert("mcp-protocol-version", HeaderValue::from_static("2025-11-25"));
    request
}

pub(crate) fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}})
}

pub(crate) fn request(id: u32, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

/// The next message of a stream, or the one message of an answer. None at the end.
pub(crate) async fn message(body: &mut Incoming) -> Option<Value> {
    let text = text(body).await?;
    Some(serde_json::from_str(&text).unwrap())
}

/// As [`message`], exactly as it was written.
pub(crate) async fn text(body: &mut Incoming) -> Option<String> {
    let mut text = String::new();
    loop {
        let frame = soon(body.frame()).await?.ok()?;
        let Ok(data) = frame.into_data() else { continue };
        text.push_str(std::str::from_utf8(&data).unwrap());
        if text.starts_with('{') {
            return Some(text);
        }
        // Comments, and the empty events with which the SDK primes a client.
        for event in text.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")) {
            let data = event.lines().find_map(|line| line.strip_prefix("data:"));
            if let Some(data) = data.map(str::trim).filter(|data| !data.is_empty()) {
                return Some(data.to_owned());
            }
        }
    }
}
