//! The gate, as the requests of this client reach it.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use portcullis_core::Clock;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, OtherError};
use rustls_pki_types::{ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::connector::{Alerts, Connector};
use crate::failure::{Failure, Refusal};
use crate::identity::{ClientIdentity, IdentitySource};
use crate::trust::Trust;

/// HTTP/2 asks whether the gate is still there as often as this.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Shorter than a gate keeps an unused HTTP/1.1 connection, so that a request does not meet one that is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAXIMUM_DELAY: Duration = Duration::from_secs(2);

/// The body of a request to the gate.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// Which gate, and how it is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamOptions {
    /// An MCP server behind the gate: `https://gate.example.com:8443/time/mcp`.
    pub url: String,
    /// How the gate's certificate is believed.
    pub trust: Trust,
    /// The name that the gate's certificate must have. Default: the host in the URL.
    pub server_name: Option<String>,
    /// How long a message waits for a gate that cannot be reached. Default: 10 s.
    pub patience: Duration,
}

impl UpstreamOptions {
    /// With the defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, trust: impl Into<Trust>) -> Self {
        let (url, trust) = (url.into(), trust.into());
        Self { url, trust, server_name: None, patience: Duration::from_secs(10) }
    }
}

/// Why options name no gate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The server name is neither a DNS name nor an IP address.
    #[error("the server name `{0}` is neither a host name nor an IP address")]
    ServerName(String),
    /// The TLS library refuses the set-up.
    #[error("the TLS set-up is refused: {0}")]
    Tls(rustls::Error),
    /// The URL is not one of a gate.
    #[error(
        "`{0}` is not the URL of an MCP server behind a gate: expected `https://HOST:PORT/NAME/mcp`"
    )]
    Url(String),
}

/// A gate. Every request goes out with the identity that its source gives at that moment.
pub struct Upstream {
    url: Uri,
    options: UpstreamOptions,
    source: Arc<dyn IdentitySource>,
    clock: Clock,
    tls: ClientConfig,
    server_name: ServerName<'static>,
    route: Mutex<Option<Arc<Route>>>,
    last_failure: Mutex<Option<Failure>>,
}

/// The connections that were made with one identity.
pub(crate) struct Route {
    identity: Arc<ClientIdentity>,
    client: Client<Connector, Body>,
    alerts: Arc<Alerts>,
}

impl Upstream {
    /// Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// When the options name no gate.
    pub fn new(
        options: UpstreamOptions,
        source: Arc<dyn IdentitySource>,
        clock: Clock,
    ) -> Result<Self, UpstreamError> {
        let url: Uri = options.url.parse().map_err(|_| UpstreamError::Url(options.url.clone()))?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let is_https = url.scheme() == Some(&Scheme::HTTPS);
        let Some(authority) = authority.filter(|_| is_https) else {
            return Err(UpstreamError::Url(options.url));
        };
        // Brackets around an IPv6 address belong to the URL.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = options.server_name.as_deref().unwrap_or(host).to_owned();
        let server_name =
            ServerName::try_from(name.clone()).map_err(|_| UpstreamError::ServerName(name))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_details(provider, Arc::new(TlsTime(clock.clone())))
            .with_safe_default_protocol_versions()
            .map_err(UpstreamError::Tls)?;
        let tls = match &options.trust {
            Trust::Roots(roots) => tls.with_root_certificates(Arc::clone(roots.store())),
            Trust::Verifier { verifier, .. } => {
                tls.dangerous().with_custom_certificate_verifier(Arc::clone(verifier))
            }
        };
        let mut tls = tls.with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A session that is resumed would go on with the certificate that it began with.
        tls.resumption = Resumption::disabled();
        let (route, last_failure) = (Mutex::new(None), Mutex::new(None));
        Ok(Self { url, options, source, clock, tls, server_name, route, last_failure })
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// What kept the last request from being answered. Nothing once the gate has answered one.
    #[must_use]
    pub fn last_failure(&self) -> Option<Failure> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends one request, once.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        self.send_by(&*self.route()?, request).await
    }

    /// Sends one request as soon as the gate can be reached. Gives the way it went as well.
    pub(crate) async fn send_patiently(
        &self,
        request: Request<Bytes>,
    ) -> Result<(Arc<Route>, Response<Incoming>), Failure> {
        let deadline = Instant::now() + self.options.patience;
        let mut delay = FIRST_DELAY;
        loop {
            let failure = match self.send_by_route(request.clone()).await {
                Ok(sent) => return Ok(sent),
                Err(failure) => failure,
            };
            let pause = jittered(delay);
            // What may have been carried out is not sent twice, and a refusal is not argued with.
            let again = matches!(failure, Failure::NoIdentity(_) | Failure::Unreachable(_));
            if !again || Instant::now() + pause > deadline {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            delay = (delay * 2).min(MAXIMUM_DELAY);
        }
    }

    async fn send_by_route(
        &self,
        request: Request<Bytes>,
    ) -> Result<(Arc<Route>, Response<Incoming>), Failure> {
        let route = self.route()?;
        let response = self.send_by(&route, request.map(whole)).await?;
        Ok((route, response))
    }

    /// Sends one request on a way that was taken before, with its identity.
    pub(crate) async fn send_by(
        &self,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        let result = self.request_by(route, request).await;
        self.note(result.as_ref().err());
        result
    }

    /// Sends one request, once, and leaves it to the caller to say how it went.
    pub(crate) async fn exchange(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        self.request_by(&*self.route()?, request).await
    }

    async fn request_by(
        &self,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        let began = Instant::now();
        let result = route.client.request(request).await;
        result.map_err(|error| self.failure(route, &error, began))
    }

    /// The connections of an identity are its own: with the next one new connections are made, and on those of the
    /// old one goes on what is under way.
    fn route(&self) -> Result<Arc<Route>, Failure> {
        let identity = self.source.current().map_err(Failure::from);
        let identity = identity.inspect_err(|failure| self.note(Some(failure)))?;
        let mut route = self.route.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = route.as_ref()
            && route.identity.generation() == identity.generation()
        {
            return Ok(Arc::clone(route));
        }
        Ok(Arc::clone(route.insert(Arc::new(self.new_route(identity)))))
    }

    fn new_route(&self, identity: Arc<ClientIdentity>) -> Route {
        let mut tls = self.tls.clone();
        tls.client_auth_cert_resolver =
            Arc::new(SingleCertAndKey::from(Arc::clone(identity.key())));
        let alerts = Arc::new(Alerts::default());
        let connector = Connector::new(
            TlsConnector::from(Arc::new(tls)),
            self.server_name.clone(),
            Arc::clone(&alerts),
        );
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_INTERVAL)
            .build(connector);
        Route { identity, client, alerts }
    }

    fn failure(&self, route: &Route, error: &ClientError, began: Instant) -> Failure {
        if let Some(alert) = route.alerts.since(began) {
            return Failure::Refused(Refusal::new(alert, &route.identity, self.clock.now()));
        }
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(reason)) => {
                return Failure::Untrusted(self.untrusted(reason));
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                let text = "who answers does not speak TLS: check the host and the port";
                return Failure::Unreachable(text.to_owned());
            }
            _ => {}
        }
        let causes = causes(error);
        if error.is_connect() { Failure::Unreachable(causes) } else { Failure::Broken(causes) }
    }

    fn untrusted(&self, reason: &CertificateError) -> String {
        let origin = self.options.trust.origin();
        let (what, to_do) = match reason {
            CertificateError::UnknownIssuer => {
                (format!("it was issued by none of {origin}"), "give the CA that issued it")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                (
                    format!("it is not one for `{}`", self.server_name.to_str()),
                    "check the host in the URL, or give the server name that the certificate has",
                )
            }
            CertificateError::Other(OtherError(why)) => {
                (why.to_string(), "check the ID that the gate should have")
            }
            reason => (reason.to_string(), "ask the operator of that server"),
        };
        format!("{what}. What to do: {to_do}")
    }

    /// Says once what goes wrong, and when it is over.
    fn note(&self, failure: Option<&Failure>) {
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == failure {
            return;
        }
        match failure {
            Some(failure) => tracing::warn!("{failure}"),
            None => tracing::info!("the gate answers again"),
        }
        *last = failure.cloned();
    }
}

/// The clock, as rustls asks for the time.
#[derive(Debug)]
struct TlsTime(Clock);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn tls_error(error: &ClientError) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

fn causes(error: &ClientError) -> String {
    let mut texts = Vec::<String>::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors repeat their cause.
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// All of it and up to half as much again, so that many clients do not come back at once.
pub(crate) fn jittered(delay: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    delay.mul_f64(1.0 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};

    use super::*;
    use crate::identity::NoIdentity;
    use crate::roots::Roots;

    struct Fixed(Arc<ClientIdentity>);

    impl IdentitySource for Fixed {
        fn current(&self) -> Result<Arc<ClientIdentity>, NoIdentity> {
            Ok(Arc::clone(&self.0))
        }
    }

    #[test]
    fn a_gate_has_an_https_url_without_a_password() {
        let validity = Validity { not_before: 1_700_000_000, not_after: 1_900_000_000 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let client = root.issue(&Profile::client("alice", validity)).unwrap();
        let identity =
            ClientIdentity::from_pem(0, client.chain_pem.as_bytes(), client.key_pem.as_bytes());
        let source: Arc<dyn IdentitySource> = Arc::new(Fixed(Arc::new(identity.unwrap())));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), root.certificate_pem()).unwrap();
        let roots = Roots::from_file(file.path()).unwrap();
        let upstream = |url: &str| {
            let options = UpstreamOptions::new(url, roots.clone());
            Upstream::new(options, Arc::clone(&source), Clock::fixed(0))
        };
        for url in ["https://gate/time/mcp", "https://127.0.0.1:8443/", "https://[::1]:8443/a/mcp"]
        {
            assert!(upstream(url).is_ok(), "{url}");
        }
        for url in ["http://gate/mcp", "gate:8443", "/mcp", "", "https://u:p@gate/mcp", "https://"]
        {
            assert!(matches!(upstream(url), Err(UpstreamError::Url(_))), "{url}");
        }
    }

    #[test]
    fn a_delay_is_at_least_kept_and_at_most_half_as_long_again() {
        for _ in 0..100 {
            let delay = jittered(Duration::from_secs(1));
            assert!((1000..=1500).contains(&delay.as_millis()), "{delay:?}");
        }
    }
}
