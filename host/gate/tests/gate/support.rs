//! Makes certificates, gates and clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{Clock, Decision, Handshake, Identity, Rejection, Verdict};
use portcullis_gate::{
    AuditRecord, Auditor, ClientStream, ClosedRecord, Connection, Ended, Gate, GateOptions,
    IdentitySwap, Judge, JudgeSwap, LiveConnections, ServerIdentity, Service,
};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// What [`Greeter`] says.
pub(crate) const GREETING: &[u8] = b"welcome";

/// A certificate with its key.
pub(crate) struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) pem: String,
}

impl Credentials {
    /// Signed by itself; `name` is the common name and a DNS name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self::from_params(&params)
    }

    pub(crate) fn from_params(params: &rcgen::CertificateParams) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            chain: vec![certificate.der().clone()],
            pem: certificate.pem() + &key.serialize_pem(),
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8"),
        }
    }

    pub(crate) fn identity(&self) -> ServerIdentity {
        ServerIdentity::from_pem(self.pem.as_bytes(), self.pem.as_bytes()).expect("an identity")
    }
}

/// Accepts `good`, and rejects any other common name with that name as the code.
pub(crate) fn by_name(handshake: &Handshake) -> Decision {
    let name = handshake.chain[0].subject().trim_start_matches("CN=").to_owned();
    if name == "good" { accept() } else { reject(&name) }
}

pub(crate) fn accept() -> Decision {
    let identity = Identity { principal: Some("good".to_owned()), ..Identity::default() };
    Decision { verdict: Verdict::Accept(identity), policies: Vec::new(), elapsed: Duration::ZERO }
}

pub(crate) fn reject(code: &str) -> Decision {
    let rejection = Rejection {
        code: code.to_owned(),
        detail: "for a test".to_owned(),
        policy: Some("test".to_owned()),
    };
    Decision { verdict: Verdict::Reject(rejection), policies: Vec::new(), elapsed: Duration::ZERO }
}

/// Says hello, tells the test, and ends.
pub(crate) struct Greeter(mpsc::UnboundedSender<Arc<Connection>>);

impl Service for Greeter {
    async fn serve(
        &self,
        mut stream: ClientStream,
        connection: Arc<Connection>,
        _: CancellationToken,
    ) {
        let _ = self.0.send(connection);
        let _ = stream.write_all(GREETING).await;
        let _ = stream.shutdown().await;
    }
}

/// A gate that runs until the test ends or cancels `shutdown`.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Ended>,
    pub(crate) identity: IdentitySwap,
    pub(crate) judge: JudgeSwap,
    pub(crate) live: LiveConnections,
    server: Credentials,
    records: mpsc::UnboundedReceiver<AuditRecord>,
    closed: mpsc::UnboundedReceiver<ClosedRecord>,
}

/// Hands all records on to the test.
struct Recorder {
    records: mpsc::UnboundedSender<AuditRecord>,
    closed: mpsc::UnboundedSender<ClosedRecord>,
}

impl Auditor for Recorder {
    fn record(&self, record: &AuditRecord) {
        let _ = self.records.send(record.clone());
    }

    fn closed(&self, record: &ClosedRecord) {
        let _ = self.closed.send(record.clone());
    }
}

impl Running {
    /// With a [`Greeter`], whose connections come out of the receiver.
    pub(crate) async fn greeting(
        options: GateOptions,
        judge: impl Judge,
    ) -> (Self, mpsc::UnboundedReceiver<Arc<Connection>>) {
        let (sender, served) = mpsc::unbounded_channel();
        (Self::start(options, judge, Greeter(sender)).await, served)
    }

    pub(crate) async fn start(
        options: GateOptions,
        judge: impl Judge,
        service: impl Service,
    ) -> Self {
        Self::start_by(Clock::system(), options, judge, service).await
    }

    pub(crate) async fn start_by(
        clock: Clock,
        options: GateOptions,
        judge: impl Judge,
        service: impl Service,
    ) -> Self {
        let server = Credentials::new("server");
        let (all, records) = mpsc::unbounded_channel();
        let (those_closed, closed) = mpsc::unbounded_channel();
        let auditor = Recorder { records: all, closed: those_closed };
        let options = GateOptions { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..options };
        let gate =
            Gate::bind(options, server.identity(), Arc::new(judge), clock, Arc::new(auditor))
                .await
                .expect("a gate");
        let shutdown = CancellationToken::new();
        Self {
            address: gate.local_address(),
            identity: gate.identity_swap(),
            judge: gate.judge_swap(),
            live: gate.live(),
            ended: tokio::spawn(gate.run(service, shutdown.clone())),
            shutdown,
            server,
            records,
            closed,
        }
    }

    /// The next attempt to have ended.
    pub(crate) async fn record(&mut self) -> AuditRecord {
        self.records.recv().await.expect("a record")
    }

    /// The next connection to have been closed since its client may not stay.
    pub(crate) async fn closed(&mut self) -> ClosedRecord {
        self.closed.recv().await.expect("a record")
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the gate listens")
    }

    /// A client of one version of TLS that trusts this gate.
    pub(crate) fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        credentials: &Credentials,
    ) -> Client {
        let config = self
            .config(version)
            .with_client_auth_cert(credentials.chain.clone(), credentials.key.clone_key())
            .expect("a client certificate");
        Client::new(self.address, config)
    }

    /// A client that presents this chain and signs with this key, whether or not they fit.
    pub(crate) fn forger(
        &self,
        version: &'static SupportedProtocolVersion,
        chain: Vec<CertificateDer<'static>>,
        key: &Credentials,
    ) -> Client {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key.key).expect("a key");
        let resolver = Forger(Arc::new(CertifiedKey::new(chain, key)));
        let config = self.config(version).with_client_cert_resolver(Arc::new(resolver));
        Client::new(self.address, config)
    }

    /// A client without a certificate.
    pub(crate) fn stranger(&self, version: &'static SupportedProtocolVersion) -> Client {
        Client::new(self.address, self.config(version).with_no_client_auth())
    }

    fn config(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        client_builder(version, &self.server)
    }
}

/// A client that trusts this server certificate.
pub(crate) fn client_builder(
    version: &'static SupportedProtocolVersion,
    server: &Credentials,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(server.chain[0].clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
}

#[derive(Debug)]
struct Forger(Arc<CertifiedKey>);

impl ResolvesClientCert for Forger {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A TLS client of the gate.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    pub(crate) config: ClientConfig,
}

/// What a client that came in saw.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) heard: Vec<u8>,
    pub(crate) tls: ClientConnection,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, config: ClientConfig) -> Self {
        Self { address, config }
    }

    pub(crate) async fn connect(&self) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(self.config.clone())).connect(name, tcp).await
    }

    /// Connects and listens to the end. In TLS 1.3 a client learns of its rejection only here.
    pub(crate) async fn visit(&self) -> io::Result<Visit> {
        let mut stream = self.connect().await?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await?;
        Ok(Visit { heard, tls: stream.into_inner().1 })
    }

    /// The alert with which the gate sends this client away.
    pub(crate) async fn alert(&self) -> AlertDescription {
        let error = self.visit().await.expect_err("sent away");
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        assert!(matches!(inner, Some(rustls::Error::AlertReceived(_))), "{error}");
        match inner {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            _ => AlertDescription::Unknown(0),
        }
    }
}
