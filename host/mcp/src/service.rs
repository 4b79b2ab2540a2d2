//! HTTP on accepted connections, and which endpoint a request is for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

use crate::admission::Admission;
use crate::audit::Ongoing;
use crate::authorize::{RuleError, Rules};
use crate::built_in::BuiltIn;
use crate::caller::Caller;
use crate::identity;
use crate::limits::{Excess, Limits};
use crate::options::{HttpServer, Options, Server, StdioServer};
use crate::origin;
use crate::reply::{self, Body};
use crate::sse::{Endless, Until};
use crate::stall::Unstalled;
use crate::unread::Unread;
use crate::{stdio, upstream};

/// Where the built-in server is.
pub const BUILT_IN_PATH: &str = "/portcullis/mcp";
const BUILT_IN_NAME: &str = "portcullis";
const MAXIMUM_NAME_BYTES: usize = 64;
/// Requests at a time on one HTTP/2 connection.
const MAXIMUM_STREAMS: u32 = 100;

/// The MCP servers behind the gate. Clones are the same servers; the last one dropped ends their processes.
#[derive(Clone)]
pub struct McpService(Arc<Inner>);

struct Inner {
    options: Options,
    limits: Limits,
    admission: Admission,
    built_in: BuiltIn,
    servers: HashMap<String, Endpoint>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    _ends_sessions: DropGuard,
}

/// What stands behind a path.
enum Endpoint {
    Http(Box<upstream::Endpoint>),
    Stdio(stdio::Endpoint),
}

/// Why servers cannot be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// Two servers have one name.
    #[error("two servers are named `{0}`: rename one")]
    DuplicateName(String),
    /// There is nothing to run.
    #[error("the command of server `{0}` is empty: give a program and its arguments")]
    EmptyCommand(String),
    /// The name cannot stand in a path.
    #[error(
        "`{0}` cannot name a server: use 1 to {MAXIMUM_NAME_BYTES} lower-case letters, digits, `-` and `_`"
    )]
    Name(String),
    /// The URL is none of a server.
    #[error("the URL of server `{0}` cannot be used: {1}")]
    Url(String, &'static str),
    /// The built-in server has this name.
    #[error("`{0}` names the built-in server: choose another name")]
    ReservedName(String),
    /// A rule cannot be used.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

impl McpService {
    /// The built-in server and these. Starts no process: each session does.
    ///
    /// # Errors
    ///
    /// When a server's name, command or URL is not usable.
    pub fn new(options: Options, servers: Vec<Server>) -> Result<Self, ServerError> {
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let mut endpoints = HashMap::new();
        for server in servers {
            let name = server.name().to_owned();
            check_name(&name)?;
            let endpoint = match server {
                Server::Http(server) => {
                    check_url(&server)?;
                    let (uris, tasks) = (options.gate_uris.clone(), tasks.clone());
                    let endpoint = upstream::Endpoint::new(server, uris, tasks, shutdown.clone());
                    Endpoint::Http(Box::new(endpoint))
                }
                Server::Stdio(server) => {
                    check_command(&server)?;
                    let (tasks, shutdown) = (tasks.clone(), shutdown.clone());
                    let keep_alive = options.keep_alive;
                    Endpoint::Stdio(stdio::Endpoint::new(server, tasks, shutdown, keep_alive))
                }
            };
            if endpoints.insert(name.clone(), endpoint).is_some() {
                return Err(ServerError::DuplicateName(name));
            }
        }
        let mut names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        names.push(BUILT_IN_NAME);
        let admission = Admission::new(Rules::new(&options.rules, &names)?);
        let limits = Limits::new(options.maximum_in_flight, options.maximum_per_second);
        let built_in = BuiltIn::new(&options, shutdown.child_token());
        let guard = shutdown.clone().drop_guard();
        Ok(Self(Arc::new(Inner {
            options,
            limits,
            admission,
            built_in,
            servers: endpoints,
            tasks,
            shutdown,
            _ends_sessions: guard,
        })))
    }

    /// The path of each server, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.0.servers.keys().map(|name| format!("/{name}/mcp")).collect();
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
        let asked = Arc::new(AtomicBool::new(false));
        let unread = Unread::new(self.0.options.write_timeout);
        let service = service_fn(|request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let (service, caller) = (Arc::clone(&self.0), Arc::clone(&caller));
            let (shutdown, unread) = (shutdown.clone(), Arc::clone(&unread));
            let watched = request.version() == Version::HTTP_2;
            async move {
                let response = service.handle(request, &caller, shutdown).await;
                Ok::<_, Infallible>(if watched {
                    response.map(|body| unread.watch(body).boxed())
                } else {
                    response
                })
            }
        });
        let builder = http(&self.0.options);
        let io = TokioIo::new(Unstalled::new(io, self.0.options.write_timeout));
        let mut connection = pin!(builder.serve_connection(io, service));
        let first_request = async {
            tokio::time::sleep(self.0.options.header_timeout).await;
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
                match tokio::time::timeout(self.0.options.drain_timeout, connection).await {
                    Ok(end) => end,
                    Err(_) => return tracing::debug!("requests under way were cut off"),
                }
            }
        };
        if let Err(error) = end {
            tracing::debug!(%error, "an HTTP connection ended");
        }
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
        let auditor = Arc::clone(&self.options.auditor);
        let mut ongoing = Ongoing::new(auditor, caller, &parts.method);
        let mut response = match self.answer(parts, body, caller, &mut ongoing).await {
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
        mut parts: Parts,
        body: Incoming,
        caller: &Arc<Caller>,
        request: &mut Ongoing,
    ) -> Result<Response<Body>, Response<Body>> {
        request.in_flight = Some(self.limits.take(caller).map_err(Excess::refusal)?);
        origin::check(&parts, &self.options)?;
        let (name, endpoint) = self.endpoint(parts.uri.path()).ok_or_else(not_found)?;
        request.is_for(name);
        let body = self.read(body).await?;
        request.has_body(&body);
        let (call, passage) = self.admission.admit(caller, name, &mut parts, &body, request)?;
        let response = match endpoint {
            Some(Endpoint::Http(endpoint)) => {
                endpoint.handle(caller, parts, body, call.as_ref()).await
            }
            Some(Endpoint::Stdio(endpoint)) => endpoint.handle(caller, &parts, body).await,
            None => self.built_in.handle(caller, parts, body).await,
        };
        Ok(passage.pass(response).await)
    }

    /// The server at a path; the built-in one has no endpoint of this kind.
    fn endpoint(&self, path: &str) -> Option<(&str, Option<&Endpoint>)> {
        match path.strip_prefix('/')?.strip_suffix("/mcp")? {
            BUILT_IN_NAME => Some((BUILT_IN_NAME, None)),
            name => self.servers.get_key_value(name).map(|(name, server)| (&**name, Some(server))),
        }
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Response<Body>> {
        let limit = self.options.maximum_body_bytes;
        let body = Limited::new(body, limit).collect();
        match tokio::time::timeout(self.options.body_timeout, body).await {
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
}

fn http(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
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

fn check_name(name: &str) -> Result<(), ServerError> {
    let usable = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if name.is_empty() || name.len() > MAXIMUM_NAME_BYTES || !name.bytes().all(usable) {
        return Err(ServerError::Name(name.escape_debug().to_string()));
    }
    if name == BUILT_IN_NAME {
        return Err(ServerError::ReservedName(name.to_owned()));
    }
    Ok(())
}

fn check_command(server: &StdioServer) -> Result<(), ServerError> {
    match server.command.first() {
        Some(program) if !program.is_empty() => Ok(()),
        _ => Err(ServerError::EmptyCommand(server.name.clone())),
    }
}

fn check_url(server: &HttpServer) -> Result<(), ServerError> {
    let problem = match (server.url.scheme_str(), server.url.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => {
            return Ok(());
        }
        (Some("http" | "https"), Some(_)) => "it has a user, which nothing would send",
        _ => "it has to begin with http:// or https:// and a host",
    };
    Err(ServerError::Url(server.name.clone(), problem))
}

fn not_found() -> Response<Body> {
    let text = "not found: MCP servers are at /NAME/mcp, the gate's own at /portcullis/mcp";
    reply::because(reply::text(StatusCode::NOT_FOUND, text), "unknown-server")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(servers: &[(&str, &str)]) -> Option<ServerError> {
        let servers = servers
            .iter()
            .map(|(name, program)| StdioServer::new(*name, vec![(*program).to_owned()]).into());
        McpService::new(Options::default(), servers.collect()).err()
    }

    #[test]
    fn a_url_has_a_scheme_a_host_and_no_user() {
        let usable = |url: &'static str| {
            let tls = crate::UpstreamTls::new(Some(&[]), None).unwrap();
            check_url(&HttpServer::new("a", http::Uri::from_static(url), tls)).is_ok()
        };
        assert!(usable("http://127.0.0.1:9000/mcp") && usable("https://[::1]/?a=b"));
        for url in ["ftp://host/", "/mcp", "host:80", "http://user:word@host/", "http://user@host"]
        {
            assert!(!usable(url), "{url}");
        }
    }

    #[test]
    fn servers_have_distinct_usable_names_and_a_command() {
        assert_eq!(error(&[("a-1_b", "true"), ("b", "true")]), None);
        for name in ["", "A", "a/b", "..", "a b", &"a".repeat(65)] {
            assert_eq!(error(&[(name, "true")]), Some(ServerError::Name(name.to_owned())));
        }
        let named = |name: &str| name.to_owned();
        assert_eq!(
            error(&[("portcullis", "true")]),
            Some(ServerError::ReservedName(named("portcullis")))
        );
        assert_eq!(error(&[("a", "")]), Some(ServerError::EmptyCommand(named("a"))));
        assert_eq!(
            error(&[("a", "true"), ("a", "false")]),
            Some(ServerError::DuplicateName(named("a")))
        );
    }
}
