//! An HTTP endpoint on this machine that stands for the gate: whoever reaches it acts with this client's certificate.

mod guard;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::problem::Problem;
use crate::upstream::{Body, Upstream};

/// Connections of local clients. One more waits.
const MAXIMUM_CONNECTIONS: usize = 256;
/// Requests and streams at a time, which share one HTTP/2 connection of at most 100. One more waits.
const MAXIMUM_REQUESTS: usize = 96;
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// For requests under way, at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// After a failure to accept, for instance because no more files can be opened.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Headers that are about one connection (RFC 9110, 7.6.1), besides those that `Connection` names.
const OF_A_CONNECTION: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Where to listen, and whom to serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// A loopback address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Listens on any address: everybody who reaches it acts with this client's certificate. Default: not.
    pub beyond_loopback: bool,
    /// Values of `Origin` to let in, each as a browser writes it. Default: none, and so no web page.
    pub allowed_origins: Vec<String>,
}

impl Options {
    /// With the defaults.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, beyond_loopback: false, allowed_origins: Vec::new() }
    }
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Others than this machine could reach it.
    #[error(
        "`{0}` is no loopback address: everybody who reaches it would act with this certificate \
         (--listen-beyond-loopback allows that)"
    )]
    NotLoopback(SocketAddr),
}

/// An endpoint that local clients can connect to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
}

struct Endpoint {
    upstream: Arc<Upstream>,
    options: Options,
    requests: Arc<Semaphore>,
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    ///
    /// When the address is not to be listened on, or cannot be.
    pub async fn bind(options: Options) -> Result<Self, LocalError> {
        let address = options.address;
        if !address.ip().is_loopback() && !options.beyond_loopback {
            return Err(LocalError::NotLoopback(address));
        }
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) =
            bound.await.map_err(|source| LocalError::Bind { address, source })?;
        Ok(Self { listener, address, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves clients until `shutdown` is cancelled: what is at a path of the gate is at the same path here, from the
    /// path of the upstream's URL downwards.
    pub async fn serve(self, upstream: Arc<Upstream>, shutdown: CancellationToken) {
        let requests = Arc::new(Semaphore::new(MAXIMUM_REQUESTS));
        let endpoint = Arc::new(Endpoint { upstream, options: self.options, requests });
        let places = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
        let connections = TaskTracker::new();
        let accepting = async {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                match self.listener.accept().await {
                    Ok((tcp, _)) => {
                        let (endpoint, shutdown) = (Arc::clone(&endpoint), shutdown.clone());
                        connections.spawn(async move {
                            endpoint.serve(tcp, shutdown).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a local client could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(accepting).await;
        connections.close();
        connections.wait().await;
    }
}

impl Endpoint {
    async fn serve(self: Arc<Self>, tcp: TcpStream, shutdown: CancellationToken) {
        let service = service_fn(|request| {
            let endpoint = Arc::clone(&self);
            async move { Ok::<_, Infallible>(endpoint.handle(request).await) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        builder.http2().timer(TokioTimer::new());
        let mut connection = pin!(builder.serve_connection(TokioIo::new(tcp), service));
        let end = tokio::select! {
            end = connection.as_mut() => end,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(DRAIN_TIMEOUT, connection).await {
                    Ok(end) => end,
                    Err(_) => return tracing::debug!("a local client was cut off"),
                }
            }
        };
        if let Err(error) = end {
            tracing::debug!(%error, "a local connection ended");
        }
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if let Err(why) = guard::check(&parts, &self.options) {
            return text(StatusCode::FORBIDDEN, why);
        }
        let Some(url) = remote(&parts, self.upstream.url()) else {
            let line = format!("not found: this endpoint begins at {}", self.upstream.url().path());
            return text(StatusCode::NOT_FOUND, &line);
        };
        let Ok(turn) = Arc::clone(&self.requests).acquire_owned().await else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
        };
        // Dropped with the local client's request, and with it the gate's.
        match self.upstream.send(forwarded(parts, url, body)).await {
            Ok(response) => returned(response, turn),
            Err(failure) => {
                let answer = Problem::from(failure).answer(None);
                respond(StatusCode::BAD_GATEWAY, "application/json", answer)
            }
        }
    }
}

/// The same path and query at the gate, if it is that of the upstream or below. This is no proxy: a tunnel has no path.
fn remote(parts: &Parts, gate: &Uri) -> Option<Uri> {
    if parts.method == Method::CONNECT {
        return None;
    }
    let path = parts.uri.path();
    let rest = path.strip_prefix(gate.path().trim_end_matches('/'))?;
    if !(rest.is_empty() || rest.starts_with('/')) || has_dot_segment(path) {
        return None;
    }
    let mut remote = gate.clone().into_parts();
    let same = parts.uri.path_and_query().cloned();
    remote.path_and_query = same.or(Some(PathAndQuery::from_static("/")));
    Uri::from_parts(remote).ok()
}

/// Whether a server could take the path for another one that is not below.
fn has_dot_segment(path: &str) -> bool {
    let plain = path.replace("%2e", ".").replace("%2E", ".");
    plain.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn forwarded(mut parts: Parts, url: Uri, body: Incoming) -> Request<Body> {
    strip(&mut parts.headers);
    // The gate's name is in the URL; which web pages may come was decided here.
    parts.headers.remove(HOST);
    parts.headers.remove(ORIGIN);
    let mut request = Request::new(body.boxed());
    *request.method_mut() = parts.method;
    *request.uri_mut() = url;
    *request.headers_mut() = parts.headers;
    request
}

fn returned(response: Response<Incoming>, turn: OwnedSemaphorePermit) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    let mut answer = Response::new(
        body.map_frame(move |frame| {
            // It is another's turn when the body has come to its end, or nobody waits for it.
            let _ = &turn;
            frame
        })
        .boxed(),
    );
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = parts.headers;
    answer
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
    // Trailers are passed on; nothing else of it means anything to the gate.
    headers.remove(http::header::TE);
}

fn text(status: StatusCode, line: &str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", format!("{line}\n").into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote_of(path: &'static str, gate: &'static str) -> Option<String> {
        let (parts, ()) = Request::get(path).body(()).unwrap().into_parts();
        remote(&parts, &Uri::from_static(gate)).map(|uri| uri.to_string())
    }

    #[test]
    fn a_path_is_the_same_at_the_gate_from_the_urls_path_downwards() {
        let server = "https://gate:8443/time/mcp";
        for (path, expected) in [
            ("/time/mcp", Some("https://gate:8443/time/mcp")),
            ("http://127.0.0.1:1/time/mcp?a=b", Some("https://gate:8443/time/mcp?a=b")),
            ("/time/mcp/x", Some("https://gate:8443/time/mcp/x")),
            ("/time/mcpx", None),
            ("/time", None),
            ("/", None),
            ("/time/mcp/../../other", None),
            ("/time/mcp/%2e%2E/other", None),
        ] {
            assert_eq!(remote_of(path, server).as_deref(), expected, "{path}");
        }
        for gate in ["https://gate:8443", "https://gate:8443/"] {
            assert_eq!(remote_of("/a/mcp", gate).as_deref(), Some("https://gate:8443/a/mcp"));
        }
        let (tunnel, ()) =
            Request::builder().method("CONNECT").uri("other:443").body(()).unwrap().into_parts();
        assert_eq!(remote(&tunnel, &Uri::from_static("https://gate:8443/")), None);
    }

    #[test]
    fn headers_of_a_connection_stay_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("mcp-param-region", "eu"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["mcp-param-region"], "eu");
    }

    #[tokio::test]
    async fn only_an_explicit_option_listens_beyond_loopback() {
        let mut options = Options::new("0.0.0.0:0".parse().unwrap());
        let refused = Listener::bind(options.clone()).await;
        assert!(matches!(refused, Err(LocalError::NotLoopback(_))));
        options.address = "[::]:0".parse().unwrap();
        assert!(matches!(Listener::bind(options).await, Err(LocalError::NotLoopback(_))));
        assert!(Listener::bind(Options::new("127.0.0.1:0".parse().unwrap())).await.is_ok());
    }
}
