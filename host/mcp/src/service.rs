//! HTTP on accepted connections, and which endpoint a request is for.

use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::audit::Ongoing;
use crate::built_in::BuiltIn;
use crate::caller::Caller;
use crate::identity;
use crate::in_force::{Endpoint, InForce, ServerError};
use crate::limits::Excess;
use crate::options::{Options, Server};
use crate::origin;
use crate::reply::{self, Body};
use crate::sse::{Endless, Until};
use crate::stall::Unstalled;
use crate::unread::Unread;

/// Where the built-in server is.
pub const BUILT_IN_PATH: &str = "/portcullis/mcp";
pub(crate) const BUILT_IN_NAME: &str = "portcullis";
/// Requests at a time on one HTTP/2 connection.
const MAXIMUM_STREAMS: u32 = 100;

/// The MCP servers behind the gate. Clones are the same servers; the last one dropped ends their processes.
#[derive(Clone)]
pub struct McpService(Arc<Inner>);

/// Options and servers that are ready to be in force.
#[derive(Debug)]
pub struct Replacement(InForce);

struct Inner {
    in_force: ArcSwap<InForce>,
    built_in: BuiltIn,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    _ends_sessions: DropGuard,
}

impl McpService {
    /// The built-in server and these. Starts no process: each session does.
    ///
    /// # Errors
    ///
    /// When a server's name, command or URL is not usable.
    pub fn new(options: Options, servers: Vec<Server>) -> Result<Self, ServerError> {
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let built_in = BuiltIn::new(&options, shutdown.child_token());
        let in_force = InForce::new(options, servers, None, &tasks, &shutdown)?;
        Ok(Self(Arc::new(Inner {
            in_force: ArcSwap::from_pointee(in_force),
            built_in,
            tasks,
            _ends_sessions: shutdown.clone().drop_guard(),
            shutdown,
        })))
    }

    /// Other options and servers, to take the place of those in force by [`Self::replace`]. Changes nothing yet.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn prepare(
        &self,
        options: Options,
        servers: Vec<Server>,
    ) -> Result<Replacement, ServerError> {
        let (old, Inner { tasks, shutdown, .. }) = (self.0.in_force.load(), &*self.0);
        InForce::new(options, servers, Some(&old), tasks, shutdown).map(Replacement)
    }

    /// Takes effect from the next request on, and for the time limits and sizes of HTTP itself from the next connection
    /// on. Servers that are the same keep their sessions; the sessions of those that are gone, or are others now, end.
    /// Of several that are prepared, the last one that is handed in here counts.
    pub fn replace(&self, replacement: Replacement) {
        let old = self.0.in_force.swap(Arc::new(replacement.0));
        old.end_all_but_those_of(&self.0.in_force.load());
    }

    /// The path of each server, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let in_force = self.0.in_force.load();
        let mut paths: Vec<_> = in_force.names().map(|name| format!("/{name}/mcp")).collect();
        paths.push(BUILT_IN_PATH.to_owned());
        paths.sort_unstable();
        paths
    }

    /// Speaks HTTP/1.1 or HTTP/2 on an accepted connection until either side is done.
    ///
    /// When `shutdown` is cancelled no request is taken any more, streams without end are ended, and requests under way
    /// have [`Options::drain_timeout`] left. Sessions go on. Dropping the future closes the connection at once and gives
    /// back everything that its requests held.
    pub async fn serve_connection<IO>(
        &self,
        io: IO,
        caller: Arc<Caller>,
        shutdown: CancellationToken,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve_callers(io, None, || Arc::clone(&caller), shutdown).await;
    }

    /// As [`Self::serve_connection`], with the application protocol that TLS agreed on, if any, and a caller that is asked
    /// for at each request.
    pub(crate) async fn serve_callers<IO>(
        &self,
        io: IO,
        alpn: Option<&str>,
        caller: impl Fn() -> Arc<Caller>,
        shutdown: CancellationToken,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let in_force = self.0.in_force.load_full();
        let options = &in_force.options;
        let unread = Unread::new(options.write_timeout);
        let service = service_fn(|request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let (service, caller) = (Arc::clone(&self.0), caller());
            let (shutdown, unread) = (shutdown.clone(), Arc::clone(&unread));
            let watched = request.version() == Version::HTTP_2;
            async move {
                // Not in the connection's own memory, which it keeps while nothing is asked.
                let response = Box::pin(service.handle(request, &caller, shutdown)).await;
                Ok::<_, Infallible>(if watched {
                    response.map(|body| unread.watch(body).boxed())
                } else {
                    response
                })
            }
        });
        let builder = http(options, alpn);
        let io = TokioIo::new(Unstalled::new(io, options.write_timeout));
        let mut connection = pin!(builder.serve_connection(io, service));
        let first_request = async {
            tokio::time::sleep(options.header_timeout).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let end = tokio::select! {
            end = connection.as_mut() => end,
            // The header timeout of HTTP begins when it is known which version a client speaks.
            () = first_request => return tracing::debug!("a client made no request in time"),
            () = unread.too_long() => return tracing::debug!("a client does not take an answer"),
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(options.drain_timeout, connection).await {
                    Ok(end) => end,
                    Err(_) => return tracing::debug!("requests under way were cut off"),
                }
            }
        };
        if let Err(error) = end {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }

    /// Ends the sessions of clients that came last with a certificate, by its SHA-256: their processes, and with their
    /// servers. Those that go on with a renewed one stay.
    ///
    /// Must be called within a tokio runtime.
    pub fn end_sessions_of(&self, certificate: &[u8; 32]) {
        self.0.in_force.load().end_sessions_of(certificate);
        self.0.tasks.spawn(self.0.built_in.end_sessions_of(certificate));
    }

    /// Ends all sessions, and waits until their processes are gone.
    pub async fn close(&self) {
        self.0.shutdown.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl fmt::Debug for McpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpService").field("paths", &self.paths()).finish_non_exhaustive()
    }
}

impl Inner {
    async fn handle(
        &self,
        request: Request<Incoming>,
        caller: &Arc<Caller>,
        shutdown: CancellationToken,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        identity::strip(&mut parts.headers);
        let is_get = parts.method == Method::GET;
        let in_force = self.in_force.load_full();
        let auditor = Arc::clone(&in_force.options.auditor);
        let mut ongoing = Ongoing::new(auditor, caller, &parts.method);
        let answer = self.answer(&in_force, parts, body, caller, &mut ongoing).await;
        let mut response = match answer {
            Ok(response) | Err(response) => response,
        };
        let is_endless = response.extensions_mut().remove::<Endless>().is_some()
            || (is_get && response.status() == StatusCode::OK);
        if is_endless {
            response = response.map(|body| Until::new(body, shutdown).boxed());
        }
        ongoing.answered(response)
    }

    async fn answer(
        &self,
        in_force: &InForce,
        mut parts: Parts,
        body: Incoming,
        caller: &Arc<Caller>,
        request: &mut Ongoing,
    ) -> Result<Response<Body>, Response<Body>> {
        request.in_flight = Some(in_force.limits.take(caller).map_err(Excess::refusal)?);
        origin::check(&parts, &in_force.options)?;
        let (name, endpoint) = endpoint(in_force, parts.uri.path()).ok_or_else(not_found)?;
        request.is_for(name);
        let body = read(body, &in_force.options).await?;
        request.has_body(&body);
        let (call, passage) = in_force.admission.admit(caller, name, &mut parts, &body, request)?;
        let response = match endpoint {
            Some(Endpoint::Http(endpoint)) => {
                endpoint.handle(caller, parts, body, call.as_ref()).await
            }
            Some(Endpoint::Stdio(endpoint)) => endpoint.handle(caller, &parts, body).await,
            None => self.built_in.handle(caller, parts, body).await,
        };
        Ok(passage.pass(response).await)
    }
}

/// The server at a path; the built-in one has no endpoint of this kind.
fn endpoint<'a>(in_force: &'a InForce, path: &str) -> Option<(&'a str, Option<&'a Endpoint>)> {
    match path.strip_prefix('/')?.strip_suffix("/mcp")? {
        BUILT_IN_NAME => Some((BUILT_IN_NAME, None)),
        name => in_force.endpoint(name).map(|(name, endpoint)| (name, Some(endpoint))),
    }
}

async fn read(body: Incoming, options: &Options) -> Result<Bytes, Response<Body>> {
    let limit = options.maximum_body_bytes;
    let body = Limited::new(body, limit).collect();
    match tokio::time::timeout(options.body_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("a body of more than {limit} bytes is not taken");
            let response = reply::text(StatusCode::PAYLOAD_TOO_LARGE, &text);
            Err(reply::because(response, "body-too-large"))
        }
        Ok(Err(_)) => Err(reply::text(StatusCode::BAD_REQUEST, "the body could not be read")),
        Err(_) => {
            let text = "the body did not come in time";
            let response = reply::text(StatusCode::REQUEST_TIMEOUT, text);
            Err(reply::because(response, "body-too-slow"))
        }
    }
}

/// Without an agreement, the client's first bytes tell the version. Waiting for them costs each connection a second buffer.
fn http(options: &Options, alpn: Option<&str>) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder = match alpn {
        Some("h2") => builder.http2_only(),
        Some("http/1.1") => builder.http1_only(),
        _ => builder,
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        // HTTP's own minimum for the buffer is 8 KiB.
        .max_buf_size(
            usize::try_from(options.maximum_header_bytes).unwrap_or(usize::MAX).max(8192),
        );
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(options.maximum_header_bytes)
        .max_concurrent_streams(MAXIMUM_STREAMS)
        .keep_alive_interval(options.header_timeout)
        .keep_alive_timeout(options.header_timeout);
    builder
}

fn not_found() -> Response<Body> {
    let text = "not found: MCP servers are at /NAME/mcp, the gate's own at /portcullis/mcp";
    reply::because(reply::text(StatusCode::NOT_FOUND, text), "unknown-server")
}
