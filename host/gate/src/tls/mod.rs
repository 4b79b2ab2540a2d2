//! The TLS library stays in this module: nothing outside names a type of rustls.

mod alert;
mod failure;
mod identity;
mod stream;
mod verifier;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use portcullis_engine::Clock;
use rustls::crypto::CryptoProvider;
use rustls::server::{
    Acceptor, ClientHello, NoServerSessionStorage, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::time_provider::TimeProvider;
use rustls::{
    CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig, SupportedCipherSuite, version,
};
use rustls_pki_types::UnixTime;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

pub use alert::alert_for;
pub(crate) use failure::Failure;
pub use identity::ServerIdentity;
pub use stream::ClientStream;

use crate::error::GateError;
use crate::judge::{Examiner, Judgement};
use crate::options::{GateOptions, Resumption};

/// A client's connection after the handshake, as the library has it.
/// Boxed: it is a kilobyte, and every future on its way to the service would hold it anew, for as long as the client is
/// there.
pub(crate) type TlsStream = Box<tokio_rustls::server::TlsStream<TcpStream>>;

/// Sessions kept for resumption; the oldest goes first. One holds the client's certificates,
/// which rustls bounds at 64 KiB in all.
const MAXIMUM_SESSIONS: usize = 1024;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersion {
    /// "1.2" or "1.3".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// What becomes known of a client while its handshake goes on, and outlives one that fails.
pub(crate) struct Progress {
    pub(crate) peer_address: SocketAddr,
    hello: OnceLock<Hello>,
    judgement: OnceLock<Judgement>,
}

/// What the ClientHello says.
pub(crate) struct Hello {
    /// In lower case.
    pub(crate) server_name: Option<String>,
    pub(crate) highest_version: TlsVersion,
}

/// What a complete handshake agreed on.
pub(crate) struct Negotiated {
    pub(crate) version: TlsVersion,
    pub(crate) alpn: Option<String>,
    pub(crate) resumed: bool,
}

/// Shakes hands with clients.
pub(crate) struct Handshaker {
    provider: Arc<CryptoProvider>,
    identity: Arc<ArcSwap<ServerIdentity>>,
    examiner: Arc<Examiner>,
    time: Arc<GateTime>,
    alpn: Vec<Vec<u8>>,
    sessions: Arc<dyn StoresServerSessions>,
    tls13_tickets: usize,
}

impl Progress {
    pub(crate) fn new(peer_address: SocketAddr) -> Self {
        Self { peer_address, hello: OnceLock::new(), judgement: OnceLock::new() }
    }

    pub(crate) fn hello(&self) -> Option<&Hello> {
        self.hello.get()
    }

    pub(crate) fn server_name(&self) -> Option<String> {
        self.hello.get().and_then(|hello| hello.server_name.clone())
    }

    /// What the judge said during the handshake; none as well when a session is resumed.
    pub(crate) fn judgement(&self) -> Option<&Judgement> {
        self.judgement.get()
    }
}

impl Handshaker {
    pub(crate) fn new(
        options: &GateOptions,
        identity: Arc<ArcSwap<ServerIdentity>>,
        examiner: Arc<Examiner>,
        clock: Clock,
    ) -> Result<Self, GateError> {
        let (sessions, tls13_tickets): (Arc<dyn StoresServerSessions>, _) = match options.resumption
        {
            Resumption::Off => (Arc::new(NoServerSessionStorage {}), 0),
            Resumption::Rejudged => (ServerSessionMemoryCache::new(MAXIMUM_SESSIONS), 2),
        };
        let handshaker = Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            identity,
            examiner,
            time: Arc::new(GateTime(clock)),
            alpn: options.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
            sessions,
            tls13_tickets,
        };
        // What rustls refuses is refused now and not at the first client.
        let nobody = Arc::new(Progress::new(options.address));
        handshaker.config(&nobody).map_err(|error| GateError::Tls(error.to_string()))?;
        Ok(handshaker)
    }

    /// The whole handshake. What it learns goes to `progress` at once, so that it is still known
    /// when this future is dropped half-way.
    pub(crate) async fn handshake(
        &self,
        tcp: TcpStream,
        progress: &Arc<Progress>,
    ) -> Result<TlsStream, Failure> {
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), tcp);
        let start = match (&mut acceptor).await {
            Ok(start) => start,
            Err(error) => return Err(Failure::before_hello(&error, acceptor.take_io())),
        };
        let hello = Hello::of(&start.client_hello());
        progress.hello.get_or_init(|| hello);
        let config = match self.config(progress) {
            Ok(config) => config,
            Err(error) => return Err(Failure::of(&error)),
        };
        let accept = start.into_stream(config).into_fallible();
        match accept.await {
            Ok(stream) => Ok(Box::new(stream)),
            Err((error, tcp)) => Err(Failure::after_hello(&error, tcp)),
        }
    }

    /// The configuration for one connection: a verifier has no other way to know which connection
    /// it is asked about. Making one was measured at 1 µs, of the 300 that a handshake takes.
    fn config(&self, progress: &Arc<Progress>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let verifier = verifier::ClientVerifier::new(
            Arc::clone(&self.examiner),
            Arc::clone(progress),
            self.provider.signature_verification_algorithms,
        );
        let mut config = ServerConfig::builder_with_details(
            Arc::clone(&self.provider),
            Arc::clone(&self.time) as Arc<dyn TimeProvider>,
        )
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(self.identity.load().resolver());
        config.alpn_protocols.clone_from(&self.alpn);
        config.session_storage = Arc::clone(&self.sessions);
        config.send_tls13_tickets = self.tls13_tickets;
        // rustls has these defaults. The gate depends on them: no early data, no answer before the
        // client is known, no keys written to a file that an environment variable names.
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        config.key_log = Arc::new(rustls::NoKeyLog {});
        Ok(Arc::new(config))
    }
}

impl Hello {
    fn of(hello: &ClientHello<'_>) -> Self {
        let offers_tls13 = hello.cipher_suites().iter().any(|suite| is_tls13(*suite));
        Self {
            server_name: hello.server_name().map(str::to_ascii_lowercase),
            highest_version: if offers_tls13 { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
        }
    }
}

/// The ClientHello's list of versions is not shown to us, and each version has suites of its own.
fn is_tls13(suite: CipherSuite) -> bool {
    rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES
        .iter()
        .any(|known| matches!(known, SupportedCipherSuite::Tls13(_)) && known.suite() == suite)
}

/// What a complete handshake agreed on.
pub(crate) fn negotiated(stream: &TlsStream) -> Negotiated {
    let (_, tls) = stream.get_ref();
    Negotiated {
        version: match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
            _ => TlsVersion::Tls12,
        },
        alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        // Anything but a full handshake is judged again.
        resumed: !matches!(
            tls.handshake_kind(),
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
        ),
    }
}

/// The certificates of a complete handshake: those stored with the session when it was resumed.
pub(crate) fn peer_certificates(stream: &TlsStream) -> Vec<&[u8]> {
    let (_, tls) = stream.get_ref();
    tls.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref).collect()
}

/// The gate's clock, as rustls asks for the time.
#[derive(Debug)]
struct GateTime(Clock);

impl TimeProvider for GateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}
