//! A gate that does what a test says, and a client that speaks line by line.
#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use portcullis_connect::stdio::{self, Options};
use portcullis_connect::{
    ClientIdentity, IdentitySource, NoIdentity, Roots, Upstream, UpstreamOptions,
};
use portcullis_core::{Certificate, Clock};
use portcullis_pki::{AltName, Authority, Issued, Profile, Validity};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits, and fails rather than hang.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("this takes too long")
}

/// A gate whose requests the test answers.
pub(crate) struct Gate {
    arrivals: mpsc::Receiver<Arrival>,
}

/// A request that waits for the test.
pub(crate) struct Arrival {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The serial number of the client's certificate.
    pub(crate) serial: String,
    pub(crate) body: Value,
    /// The body as it was sent.
    pub(crate) bytes: Bytes,
    answer: oneshot::Sender<Response<Stream>>,
}

/// A body that the test writes.
pub(crate) struct Stream(mpsc::Receiver<Bytes>);

/// The test's end of a body. Dropping it ends the body.
pub(crate) struct Writer(mpsc::Sender<Bytes>);

impl Gate {
    /// The next request.
    pub(crate) async fn next(&mut self) -> Arrival {
        soon(self.arrivals.recv()).await.expect("another request")
    }

    /// The next request of this method; others are let go without an answer.
    pub(crate) async fn next_of(&mut self, method: &str) -> Arrival {
        loop {
            let arrival = self.next().await;
            if arrival.body["method"] == method || arrival.method == *method {
                return arrival;
            }
        }
    }
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.header("mcp-session-id")
    }

    /// Answers with a whole body.
    pub(crate) fn answer(self, status: u16, content_type: &str, body: impl Into<Bytes>) {
        self.answer_with(status, &[("content-type", content_type)], body);
    }

    pub(crate) fn answer_with(self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(body.into()).unwrap();
        self.respond(status, headers, receiver);
    }

    pub(crate) fn accept(self) {
        self.answer(202, "text/plain", "");
    }

    /// The result of this request.
    pub(crate) fn result(self, result: &Value) {
        let body = json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result });
        self.answer(200, "application/json", body.to_string());
    }

    /// Answers `initialize` and opens a session.
    pub(crate) fn open(self, session: &str) {
        let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                             "serverInfo": { "name": "scripted", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result });
        let headers = [("content-type", "application/json"), ("mcp-session-id", session)];
        self.answer_with(200, &headers, body.to_string());
    }

    /// Begins a stream of events.
    pub(crate) fn stream(self) -> Writer {
        let (sender, receiver) = mpsc::channel(1);
        self.respond(200, &[("content-type", "text/event-stream")], receiver);
        Writer(sender)
    }

    /// Until nobody waits for the answer any more.
    pub(crate) async fn gone(mut self) {
        soon(self.answer.closed()).await;
    }

    fn respond(self, status: u16, headers: &[(&str, &str)], body: mpsc::Receiver<Bytes>) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        // The client may be gone.
        let _ = self.answer.send(response.body(Stream(body)).unwrap());
    }
}

impl Writer {
    pub(crate) async fn write(&self, text: &str) {
        soon(self.0.send(Bytes::copy_from_slice(text.as_bytes()))).await.unwrap();
    }

    pub(crate) async fn message(&self, message: &Value) {
        self.write(&format!("data: {message}\n\n")).await;
    }

    /// Whether there was room for it.
    pub(crate) fn try_write(&self, text: &str) -> bool {
        self.0.try_send(Bytes::copy_from_slice(text.as_bytes())).is_ok()
    }

    /// Until nobody reads any more.
    pub(crate) async fn gone(&self) {
        soon(self.0.closed()).await;
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A client on standard input and output, so to speak.
pub(crate) struct Client {
    input: Option<DuplexStream>,
    output: Lines<BufReader<DuplexStream>>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) identity: Arc<Renewable>,
}

impl Client {
    pub(crate) async fn say(&mut self, message: &Value) {
        self.say_line(&message.to_string()).await;
    }

    pub(crate) async fn say_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        soon(input.write_all(format!("{line}\n").as_bytes())).await.unwrap();
    }

    pub(crate) async fn request(&mut self, id: u64, method: &str, params: Value) {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
    }

    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        self.say(&json!({ "jsonrpc": "2.0", "method": method, "params": params })).await;
    }

    pub(crate) async fn next_line(&mut self) -> String {
        soon(self.output.next_line()).await.unwrap().expect("another line")
    }

    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_line().await).unwrap()
    }

    /// Opens a session of this id, with a stream of what the server says by itself.
    pub(crate) async fn initialize(&mut self, gate: &mut Gate, session: &str) -> Writer {
        self.request(0, "initialize", json!({ "protocolVersion": "2025-11-25" })).await;
        gate.next().await.open(session);
        assert_eq!(self.next().await["id"], 0);
        self.notify("notifications/initialized", json!({})).await;
        gate.next().await.accept();
        let listening = gate.next().await;
        assert_eq!(listening.method, Method::GET);
        listening.stream()
    }

    /// Sends no more.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    /// Closes both ends, as a process that was killed. Gives what serves it.
    pub(crate) fn vanish(self) -> tokio::task::JoinHandle<std::io::Result<()>> {
        self.served
    }

    /// What was still said, after the end.
    pub(crate) async fn rest(mut self) -> Vec<String> {
        self.close();
        let mut lines = Vec::new();
        while let Some(line) = soon(self.output.next_line()).await.unwrap() {
            lines.push(line);
        }
        soon(self.served).await.unwrap().unwrap();
        lines
    }
}

/// What a client presents, until a test renews it or takes it away.
pub(crate) struct Renewable {
    authority: Authority,
    current: Mutex<Arc<ClientIdentity>>,
    is_away: AtomicBool,
    missed: Notify,
}

impl Renewable {
    fn new(authority: Authority) -> Self {
        let current = Mutex::new(Arc::new(issue(&authority, 0)));
        Self { authority, current, is_away: AtomicBool::new(false), missed: Notify::new() }
    }

    /// A new certificate and key. Gives the serial number.
    pub(crate) fn renew(&self) -> String {
        let mut current = self.current.lock().unwrap();
        *current = Arc::new(issue(&self.authority, current.generation() + 1));
        self.is_away.store(false, Ordering::Relaxed);
        current.certificate().serial_number().to_owned()
    }

    /// There is nothing to present until it is renewed.
    pub(crate) fn take_away(&self) {
        self.is_away.store(true, Ordering::Relaxed);
    }

    /// Waits until it was asked for while it was away.
    pub(crate) async fn missed(&self) {
        soon(self.missed.notified()).await;
    }
}

impl IdentitySource for Renewable {
    fn current(&self) -> Result<Arc<ClientIdentity>, NoIdentity> {
        if self.is_away.load(Ordering::Relaxed) {
            self.missed.notify_one();
            return Err(NoIdentity("it is away".to_owned()));
        }
        Ok(Arc::clone(&self.current.lock().unwrap()))
    }
}

fn issue(authority: &Authority, generation: u64) -> ClientIdentity {
    let issued = authority.issue(&Profile::client("alice", validity())).unwrap();
    let (chain, key) = (issued.chain_pem.as_bytes(), issued.key_pem.as_bytes());
    ClientIdentity::from_pem(generation, chain, key).unwrap()
}

fn validity() -> Validity {
    let now = Clock::system().now();
    Validity { not_before: now - 3600, not_after: now + 3600 }
}

fn root(name: &str) -> Authority {
    Authority::root(&Profile::authority(name, validity())).unwrap()
}

/// How a gate speaks, and whom it lets in.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    pub(crate) http: &'static str,
    pub(crate) tls: &'static rustls::SupportedProtocolVersion,
    pub(crate) knows_the_client: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { http: "h2", tls: &rustls::version::TLS13, knows_the_client: true }
    }
}

/// A gate that lets everybody in who has a certificate of its authority, and a client that has one.
pub(crate) async fn gate_and_client(options: Options) -> (Gate, Client) {
    gate_with_manners_and_client(&Manners::default(), options).await
}

pub(crate) async fn gate_with_manners_and_client(
    manners: &Manners,
    options: Options,
) -> (Gate, Client) {
    let (gate, upstream, identity) = gate_and_upstream(manners).await;
    let (input, bridge_input) = tokio::io::duplex(1024);
    let (output, bridge_output) = tokio::io::duplex(1024);
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(stdio::serve(
        upstream,
        BufReader::new(bridge_input),
        bridge_output,
        options,
        shutdown.clone(),
    ));
    let output = BufReader::new(output).lines();
    (gate, Client { input: Some(input), output, served, shutdown, identity })
}

/// A gate and the way to it, for a client whose certificate can be renewed.
pub(crate) async fn gate_and_upstream(manners: &Manners) -> (Gate, Arc<Upstream>, Arc<Renewable>) {
    let (servers, clients) = (root("Test servers"), root("Test clients"));
    let names = vec![AltName::Ip(std::net::Ipv4Addr::LOCALHOST.into())];
    let server = servers.issue(&Profile::server("gate", names, validity())).unwrap();
    let trusted = if manners.knows_the_client { &clients } else { &servers };
    let tls = tls(manners, trusted, &server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/scripted/mcp", listener.local_addr().unwrap());
    let (sender, arrivals) = mpsc::channel(64);
    tokio::spawn(serve(listener, tls, sender));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), servers.certificate_pem()).unwrap();
    let options = UpstreamOptions::new(url, Roots::from_file(file.path()).unwrap());
    let identity = Arc::new(Renewable::new(clients));
    let source = Arc::clone(&identity) as Arc<dyn IdentitySource>;
    let upstream = Arc::new(Upstream::new(options, source, Clock::system()).unwrap());
    (Gate { arrivals }, upstream, identity)
}

fn tls(manners: &Manners, clients: &Authority, server: &Issued) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(clients.certificate_der().to_vec().into()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(server.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[manners.tls])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![manners.http.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, arrivals: mpsc::Sender<Arrival>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, arrivals) = (tls.clone(), arrivals.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(tcp).await else { return };
            let leaf = &stream.get_ref().1.peer_certificates().unwrap()[0];
            let leaf = Certificate::from_der(leaf.to_vec()).unwrap();
            let service = service_fn(|request| {
                answer(request, leaf.serial_number().to_owned(), arrivals.clone())
            });
            let builder = Builder::new(TokioExecutor::new());
            // However it ends, the test sees what became of its requests.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    serial: String,
    arrivals: mpsc::Sender<Arrival>,
) -> Result<Response<Stream>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let (answer, response) = oneshot::channel();
    let (method, headers) = (parts.method, parts.headers);
    let arrival = Arrival { method, headers, serial, body, bytes, answer };
    arrivals.send(arrival).await.map_err(std::io::Error::other)?;
    // A request that the test lets go of has no answer: its connection or stream breaks.
    response.await.map_err(std::io::Error::other)
}
