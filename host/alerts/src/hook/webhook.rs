//! A URL that is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{sleep, timeout};

use super::HookError;

/// A URL to which each alert is posted as JSON, one at a time. Redirects are not followed.
pub struct Webhook {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    retries: Retries,
}

/// How often a server that does not take an alert is asked again: when it cannot be reached, takes too long, or answers
/// with 408, 429 or 500 to 599.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Attempts, the first one included. Default: 5.
    pub attempts: u32,
    /// The pause after the first, doubled after each further one. Default: 1 s.
    pub pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_secs(1) }
    }
}

/// Why a text is no URL to post to. The text may be a secret and is in none of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls,
    /// It is no URL, or not one with http or https and a host, or has a user's name in it.
    #[error("it is no URL to post to")]
    Url,
}

impl Webhook {
    /// `roots` are what an https server's certificate is checked against; without any, no such server is believed. `timeout`
    /// is that of each attempt.
    ///
    /// # Errors
    /// [`WebhookError::Url`] for a text that is no http or https URL.
    pub fn new(
        url: &str,
        roots: Option<Arc<RootCertStore>>,
        timeout: Duration,
        retries: Retries,
    ) -> Result<Self, WebhookError> {
        let url: Uri = url.parse().map_err(|_| WebhookError::Url)?;
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if !is_http || has_user || url.host().is_none_or(str::is_empty) {
            return Err(WebhookError::Url);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| WebhookError::Tls)?
            .with_root_certificates(roots.unwrap_or_else(|| Arc::new(RootCertStore::empty())))
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        // Alerts are rare: nobody keeps a connection until the next one.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url, client, timeout, retries })
    }

    /// Posts until the server takes it, or there is no more hope.
    pub(super) async fn post(&self, alert: &Bytes) -> Result<(), HookError> {
        let mut pause = self.retries.pause;
        for _ in 1..self.retries.attempts {
            match self.attempt(alert).await {
                Err(error) if error.may_pass() => {
                    sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        self.attempt(alert).await
    }

    async fn attempt(&self, alert: &Bytes) -> Result<(), HookError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(alert.clone()))
            .map_err(HookError::Request)?;
        let answer = timeout(self.timeout, self.client.request(request))
            .await
            .map_err(|_| HookError::Timeout(self.timeout))?
            .map_err(HookError::Connection)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(HookError::Status(status)),
        }
    }
}

impl HookError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) => true,
            Self::Status(status) => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
            _ => false,
        }
    }
}

/// Without the URL, which may be a secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portcullis_pki::{AltName, Authority, Profile, Validity};
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const AT_ONCE: Retries = Retries { attempts: 3, pause: Duration::from_millis(1) };

    /// The requests that came.
    type Requests = Arc<Mutex<Vec<String>>>;

    /// A server that answers one request with each of these statuses, and the next ones not at all. Gives its address.
    async fn server(statuses: &'static [u16], tls: Option<TlsAcceptor>) -> (String, Requests) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut statuses = statuses.iter();
            let mut silent = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Some(status) = statuses.next() else {
                    silent.push(stream);
                    continue;
                };
                match &tls {
                    None => answer(stream, *status, &seen).await,
                    // Whoever does not trust the server is gone.
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => answer(stream, *status, &seen).await,
                        Err(_) => continue,
                    },
                }
            }
        });
        (address, requests)
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, status: u16, seen: &Requests) {
        let mut request = vec![0; 4096];
        let mut length = 0;
        while !request[..length].ends_with(b"}") {
            length += stream.read(&mut request[length..]).await.unwrap();
        }
        request.truncate(length);
        seen.lock().unwrap().push(String::from_utf8(request).unwrap());
        let answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn post(url: &str, timeout: Duration) -> Result<(), HookError> {
        let webhook = Webhook::new(url, None, timeout, AT_ONCE).unwrap();
        webhook.post(&Bytes::from("{\"a\":1}")).await
    }

    #[tokio::test]
    async fn an_alert_is_posted_as_json() {
        let (address, requests) = server(&[204], None).await;
        post(&format!("http://{address}/hooks?key=secret"), LONG).await.unwrap();
        let requests = requests.lock().unwrap();
        assert!(requests[0].starts_with("POST /hooks?key=secret HTTP/1.1\r\n"), "{requests:?}");
        assert!(requests[0].contains("content-type: application/json\r\n"), "{requests:?}");
        assert!(requests[0].ends_with("\r\n\r\n{\"a\":1}"), "{requests:?}");
    }

    #[tokio::test]
    async fn a_server_that_fails_is_asked_again() {
        let (address, requests) = server(&[500, 429, 200], None).await;
        post(&format!("http://{address}/"), LONG).await.unwrap();
        assert_eq!(requests.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_a_server_refuses_is_not_sent_again() {
        for statuses in [&[404, 200], &[301, 200]] {
            let (address, requests) = server(statuses, None).await;
            let error = post(&format!("http://{address}/"), LONG).await.unwrap_err();
            assert!(matches!(error, HookError::Status(status) if status == statuses[0]), "{error}");
            assert_eq!(requests.lock().unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn attempts_have_an_end() {
        let (address, requests) = server(&[500, 503, 500, 200], None).await;
        let error = post(&format!("http://{address}/"), LONG).await.unwrap_err();
        assert!(matches!(error, HookError::Status(_)), "{error}");
        assert_eq!(requests.lock().unwrap().len(), 3);
        let (address, _) = server(&[], None).await;
        let error = post(&format!("http://{address}/"), Duration::from_millis(50)).await;
        assert!(matches!(error, Err(HookError::Timeout(_))), "{error:?}");
    }

    #[tokio::test]
    async fn an_https_server_must_have_a_certificate_from_the_roots() {
        let validity = Validity { not_before: 1_700_000_000, not_after: 4_000_000_000 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let names = vec![AltName::Dns("localhost".to_owned())];
        let issued = root.issue(&Profile::server("hooks", names, validity)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(issued.certificate_der.clone())],
                PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let (address, requests) = server(&[200, 200, 200, 200], Some(tls)).await;
        let url = format!("https://localhost:{}/", address.rsplit(':').next().unwrap());

        let error = post(&url, LONG).await.unwrap_err();
        assert!(matches!(error, HookError::Connection(_)), "{error}");
        assert_eq!(requests.lock().unwrap().len(), 0);

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.certificate_der().to_vec())).unwrap();
        let webhook = Webhook::new(&url, Some(Arc::new(roots)), LONG, AT_ONCE).unwrap();
        webhook.post(&Bytes::from("{}")).await.unwrap();
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[test]
    fn neither_errors_nor_debug_show_the_url() {
        let new = |url: &str| Webhook::new(url, None, LONG, AT_ONCE);
        let webhook = new("https://hooks.example.org/secret").unwrap();
        assert!(!format!("{webhook:?}").contains("secret"));
        for wrong in
            ["secret", "/secret", "ftp://host/secret", "http://secret@host/", "http://", ""]
        {
            let error = new(wrong).unwrap_err();
            assert_eq!(error, WebhookError::Url, "{wrong}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }
}
