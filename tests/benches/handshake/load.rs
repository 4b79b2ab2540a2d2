//! Clients that shake hands, ask once and leave.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_tests::strangers::Strangers;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    version,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

const CLIENTS: usize = 32;
const WARM_UP: Duration = Duration::from_millis(300);
const REQUEST: &[u8] = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 404 ";

/// Where clients go to, with certificates that the server has not seen for long.
pub(crate) struct Load {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// What came of a round.
pub(crate) struct Round {
    /// Handshakes with their answers.
    pub(crate) count: usize,
    pub(crate) took: Duration,
    /// From when a client wanted to connect until it had its answer, sorted.
    latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, certified: &Arc<Certified>) -> Self {
        let provider = CryptoProvider {
            kx_groups: vec![kx_group::X25519 as &dyn SupportedKxGroup],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Careless))
            .with_client_cert_resolver(Arc::new(InTurn {
                certified: Arc::clone(certified),
                came: AtomicUsize::new(0),
            }));
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address, config: Arc::new(config) }
    }

    /// All clients come as fast as they can, or together so many a second; for this long, of which the beginning does not
    /// count. `counted` is called where the counting begins.
    pub(crate) fn round(
        &self,
        length: Duration,
        rate: Option<f64>,
        counted: impl FnOnce(),
    ) -> Round {
        let start = Instant::now() + WARM_UP;
        let turns = AtomicUsize::new(0);
        let mut latencies = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| scope.spawn(|| self.come_and_go(start, start + length, rate, &turns)))
                .collect();
            std::thread::sleep(start.saturating_duration_since(Instant::now()));
            counted();
            let all = clients.into_iter().flat_map(|client| client.join().expect("a client"));
            all.collect::<Vec<Duration>>()
        });
        latencies.sort_unstable();
        Round { count: latencies.len(), took: length, latencies }
    }

    fn come_and_go(
        &self,
        start: Instant,
        end: Instant,
        rate: Option<f64>,
        turns: &AtomicUsize,
    ) -> Vec<Duration> {
        let mut latencies = Vec::new();
        loop {
            let mut begin = Instant::now();
            if let Some(rate) = rate {
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "a number of clients")]
                let due = start - WARM_UP + Duration::from_secs_f64(turn as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(begin));
                // Whoever has to wait for a client to be free waits for the server.
                begin = due;
            }
            if begin >= end {
                return latencies;
            }
            self.visit().expect("a server that lets clients in");
            if begin >= start {
                latencies.push(begin.elapsed());
            }
        }
    }

    /// One handshake, one request, and its whole answer.
    pub(crate) fn visit(&self) -> std::io::Result<()> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(tls, tcp);
        stream.write_all(REQUEST)?;
        let mut answer = Vec::with_capacity(1024);
        stream.read_to_end(&mut answer)?;
        // The server closes first: where a client did, its port would be lost for a minute.
        while stream.sock.read(&mut [0; 64])? > 0 {}
        match answer.starts_with(ANSWER) {
            true => Ok(()),
            false => Err(std::io::Error::other(String::from_utf8_lossy(&answer).into_owned())),
        }
    }
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "a number of handshakes")]
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// More clients than the gate remembers signatures of: whoever comes again after all the others is a stranger once more.
#[derive(Debug)]
pub(crate) struct Certified(Vec<Arc<CertifiedKey>>);

impl Certified {
    const COUNT: usize = 24_000;

    pub(crate) fn of(strangers: &Strangers) -> Self {
        let key = PrivateKeyDer::from_pem_slice(strangers.key_pem.as_bytes()).expect("our own key");
        let key = aws_lc_rs::sign::any_supported_type(&key).expect("our own key");
        let intermediate = CertificateDer::from(strangers.intermediate.certificate_der().to_vec());
        let certified = |number| {
            let chain = vec![CertificateDer::from(strangers.client(number)), intermediate.clone()];
            Arc::new(CertifiedKey::new(chain, Arc::clone(&key)))
        };
        Self((0..Self::COUNT).map(certified).collect())
    }
}

/// Presents another certificate each time.
#[derive(Debug)]
struct InTurn {
    certified: Arc<Certified>,
    came: AtomicUsize,
}

impl ResolvesClientCert for InTurn {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let number = self.came.fetch_add(1, Ordering::Relaxed);
        self.certified.0.get(number % Certified::COUNT).cloned()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Believes every server: what the clients' own work costs is not measured, and leaves room for more of them.
#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
