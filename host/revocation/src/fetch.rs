//! Fetching over HTTP, bounded in time and size. Redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::header;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_core::{Clock, with_causes};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::url::Url;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, or one that broke.
    #[error("`{url}` cannot be reached: {reason}")]
    Connection {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// Another answer than 200.
    #[error("`{url}` answered with HTTP status {status}")]
    Status {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// It took too long, from the look-up of the name to the last byte.
    #[error("`{url}` did not answer in full within {} ms", timeout.as_millis())]
    Timeout {
        /// Where.
        url: String,
        /// The limit.
        timeout: Duration,
    },
    /// An https URL without roots to check the server's certificate.
    #[error("`{0}` needs `tls-roots` to check the server's certificate")]
    TlsRoots(String),
    /// The answer is longer than allowed.
    #[error("`{url}` sent more than the {maximum} bytes allowed")]
    TooLarge {
        /// Where.
        url: String,
        /// The limit.
        maximum: u64,
    },
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) url: Url,
    /// Sent by POST, with its media type; without it the request is a GET.
    pub(crate) post: Option<(Bytes, &'static str)>,
    pub(crate) maximum_bytes: u64,
    pub(crate) timeout: Duration,
}

/// Makes requests, each on a connection of its own.
#[derive(Clone)]
pub(crate) struct Fetcher {
    tls: Option<TlsConnector>,
}

impl Fetcher {
    /// `roots` are what servers' certificates are checked against; without any, https URLs are refused.
    pub(crate) fn new(
        roots: Vec<CertificateDer<'static>>,
        clock: Clock,
    ) -> Result<Self, rustls::Error> {
        if roots.is_empty() {
            return Ok(Self { tls: None });
        }
        let mut store = rustls::RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_details(provider, Arc::new(TlsClock(clock)))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(store)
                .with_no_client_auth();
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    /// The body of the answer, if it is a 200.
    pub(crate) async fn fetch(&self, query: &Query) -> Result<Vec<u8>, FetchError> {
        match tokio::time::timeout(query.timeout, self.connect_and_fetch(query)).await {
            Ok(result) => result,
            Err(_) => {
                Err(FetchError::Timeout { url: query.url.to_string(), timeout: query.timeout })
            }
        }
    }

    async fn connect_and_fetch(&self, query: &Query) -> Result<Vec<u8>, FetchError> {
        let url = &query.url;
        let host = url.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, url.port)).await.map_err(|e| connection(url, &e))?;
        if !url.https {
            return exchange(TokioIo::new(stream), query).await;
        }
        let tls = self.tls.as_ref().ok_or_else(|| FetchError::TlsRoots(url.to_string()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| connection(url, &e))?;
        let stream = tls.connect(name, stream).await.map_err(|e| connection(url, &e))?;
        exchange(TokioIo::new(stream), query).await
    }
}

/// The clock, as rustls asks for it.
#[derive(Debug)]
struct TlsClock(Clock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

async fn exchange<S>(io: TokioIo<S>, query: &Query) -> Result<Vec<u8>, FetchError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let url = &query.url;
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake(io)
        .await
        .map_err(|e| connection(url, &e))?;
    let work = async {
        let response =
            sender.send_request(request(query)?).await.map_err(|e| connection(url, &e))?;
        read(response, query).await
    };
    tokio::pin!(work, driver);
    // The connection is driven here, so that it ends with the request when the time is over.
    tokio::select! {
        biased;
        result = &mut work => result,
        driven = &mut driver => match driven {
            Ok(()) => work.await,
            Err(e) => Err(connection(url, &e)),
        },
    }
}

fn request(query: &Query) -> Result<Request<Full<Bytes>>, FetchError> {
    let request = Request::builder()
        .uri(&query.url.path)
        .header(header::HOST, query.url.authority())
        .header(header::CONNECTION, "close");
    let request = match &query.post {
        None => request.method(Method::GET).body(Full::default()),
        Some((body, media_type)) => request
            .method(Method::POST)
            .header(header::CONTENT_TYPE, *media_type)
            .body(Full::new(body.clone())),
    };
    request.map_err(|e| connection(&query.url, &e))
}

/// Stops at the first byte too many.
async fn read<B>(response: Response<B>, query: &Query) -> Result<Vec<u8>, FetchError>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let url = &query.url;
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        return Err(FetchError::Status { url: url.to_string(), status });
    }
    let mut body = response.into_body();
    let too_large = || FetchError::TooLarge { url: url.to_string(), maximum: query.maximum_bytes };
    // What is announced is only a hint of the memory needed, and never more than allowed.
    let announced = body.size_hint().lower();
    if announced > query.maximum_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced.min(1 << 20)).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| connection(url, &e))?.into_data() else { continue };
        if bytes.len() as u64 + data.len() as u64 > query.maximum_bytes {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn connection(url: &Url, error: &dyn std::error::Error) -> FetchError {
    FetchError::Connection { url: url.to_string(), reason: with_causes(error) }
}
