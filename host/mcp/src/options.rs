//! What an operator can set, with defaults.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::audit::{RequestAuditor, TracingRequestAuditor};
use crate::authorize::Rule;
use crate::identity::IdentityHeader;
use crate::upstream::UpstreamTls;

/// How HTTP is spoken with clients.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Values of the `Origin` header to let in, each as a browser writes it: `https://app.example.com`.
    /// A request without the header is no browser's, and is let in. Default: none.
    pub allowed_origins: Vec<String>,
    /// Hosts that clients may ask for, each as `HOST` or `HOST:PORT`. Empty, the default: any, since the client's
    /// certificate is what decides, and a gate does not know under which names it can be reached.
    pub allowed_hosts: Vec<String>,
    /// The URIs of the gate's own certificate, for the field `By` of XFCC. Default: none.
    pub gate_uris: Vec<String>,
    /// Who may call what. Without any rule everybody who came in may call everything. Default: none.
    pub rules: Vec<Rule>,
    /// Requests of one principal that are under way, streams included; of one certificate for clients without a
    /// principal. Default: 256.
    pub maximum_in_flight: usize,
    /// Requests of one principal in a second, on average; as many may come at once. Default: 1000.
    pub maximum_per_second: NonZeroU32,
    /// Gets a record of each request. Default: [`TracingRequestAuditor`].
    pub auditor: Arc<dyn RequestAuditor>,
    /// For the headers of a request. Over HTTP/1.1 it is also how long a connection may stay open
    /// between two requests. Default: 60 s.
    pub header_timeout: Duration,
    /// All headers of a request together. Default: 64 KiB.
    pub maximum_header_bytes: u32,
    /// For the body of a request, from its first byte to its last. Default: 30 s.
    pub body_timeout: Duration,
    /// The body of a request. Default: 4 MiB.
    pub maximum_body_bytes: usize,
    /// For a client to read some of what is written to it. Default: 30 s.
    pub write_timeout: Duration,
    /// Between two comments on a stream that has nothing to say, so that a client that vanished is noticed.
    /// Default: 15 s.
    pub keep_alive: Duration,
    /// For the requests under way when a connection is to end. Default: 10 s.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            gate_uris: Vec::new(),
            rules: Vec::new(),
            maximum_in_flight: 256,
            maximum_per_second: NonZeroU32::MIN.saturating_add(999),
            auditor: Arc::new(TracingRequestAuditor),
            header_timeout: Duration::from_secs(60),
            maximum_header_bytes: 64 * 1024,
            body_timeout: Duration::from_secs(30),
            maximum_body_bytes: 4 * 1024 * 1024,
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// An MCP server behind the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// It listens itself.
    Http(HttpServer),
    /// It is started for each session.
    Stdio(StdioServer),
}

impl Server {
    /// Served at `/NAME/mcp`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Http(server) => &server.name,
            Self::Stdio(server) => &server.name,
        }
    }
}

impl From<HttpServer> for Server {
    fn from(server: HttpServer) -> Self {
        Self::Http(server)
    }
}

impl From<StdioServer> for Server {
    fn from(server: StdioServer) -> Self {
        Self::Stdio(server)
    }
}

/// An MCP server that speaks Streamable HTTP, of whichever revision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpServer {
    /// Served at `/NAME/mcp`. Lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Its endpoint: `http://127.0.0.1:9000/mcp`. Over http it is spoken to in HTTP/1.1, over https in HTTP/2 where it
    /// offers that.
    pub url: Uri,
    /// Whom to trust, and what to present, where the URL is https.
    pub tls: UpstreamTls,
    /// What tells it who calls. Default: the principal.
    pub forward_identity: Vec<IdentityHeader>,
    /// To a connection, TLS included. Default: 10 s.
    pub connect_timeout: Duration,
    /// From a request to the first line of its answer, which some servers write only when a tool is done. The rest of
    /// an answer may take as long as it takes. Default: 5 min.
    pub response_timeout: Duration,
    /// Sessions of all clients together. Default: 10,000.
    pub maximum_sessions: usize,
    /// Sessions of one client certificate. One more ends the client's session that has not been used for longest, if
    /// there is one that is not in use. Default: 256.
    pub maximum_sessions_per_client: usize,
    /// Without a request or an open stream, before a session ends. Default: 1 h.
    pub idle_timeout: Duration,
}

impl HttpServer {
    /// A server with the default limits.
    pub fn new(name: impl Into<String>, url: Uri, tls: UpstreamTls) -> Self {
        Self {
            name: name.into(),
            url,
            tls,
            forward_identity: vec![IdentityHeader::Principal],
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(300),
            maximum_sessions: 10_000,
            maximum_sessions_per_client: 256,
            idle_timeout: Duration::from_secs(3600),
        }
    }
}

/// An MCP server that is a command: it reads its standard input and writes its standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StdioServer {
    /// Served at `/NAME/mcp`. Lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// The program and its arguments. No shell reads them.
    pub command: Vec<String>,
    /// Added to what every server gets from the gate's own environment: `HOME`, `LANG`, `LOGNAME`, `PATH`, `SHELL`,
    /// `TERM`, `TMPDIR`, `TZ` and `USER`. Nothing else is inherited, since the gate's environment may hold secrets.
    pub environment: BTreeMap<String, String>,
    /// Whether the process of a session learns whose it is: `PORTCULLIS_PRINCIPAL`, percent-encoded as
    /// [`IdentityHeader::Principal`](crate::IdentityHeader::Principal) is and not set for a client without one, and `PORTCULLIS_CERTIFICATE_SHA256`, in
    /// lower-case hexadecimal. They take the place of variables of these names in `environment`. Default: yes.
    pub forward_principal: bool,
    /// Where the command runs. Default: where the gate does.
    pub working_directory: Option<PathBuf>,
    /// How much of it a client may use.
    pub limits: SessionLimits,
    /// How much of the system a session's process may use.
    pub resources: ResourceLimits,
}

impl StdioServer {
    /// A server with the default limits.
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        Self {
            name: name.into(),
            command,
            environment: BTreeMap::new(),
            forward_principal: true,
            working_directory: None,
            limits: SessionLimits::default(),
            resources: ResourceLimits::default(),
        }
    }
}

/// What the process of a session may take of the system (`setrlimit`), and each process that it starts again. Default: as
/// much as the gate itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceLimits {
    /// Of virtual memory. What runs in Node or Java reserves far more than it uses.
    pub address_space_bytes: Option<u64>,
    /// Of processor time, after which it is killed.
    pub cpu_seconds: Option<u64>,
    /// Files, sockets and pipes that are open at the same time.
    pub open_files: Option<u64>,
}

/// Bounds of the sessions with one server. Each session is a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimits {
    /// Of all clients together, those that are just ending included. Default: 256.
    pub maximum_sessions: usize,
    /// Of one client certificate. One more ends the client's session that has not been used for longest, if
    /// there is one that is not in use. Default: 16.
    pub maximum_sessions_per_client: usize,
    /// Requests that wait for an answer in one session. Default: 64.
    pub maximum_requests: usize,
    /// One message that the server writes. A longer one ends the session. What is longer than 1 MiB waits in a temporary
    /// file, not in memory. Default: 64 MiB.
    pub maximum_message_bytes: usize,
    /// From the start of the process to its answer to `initialize`. Default: 60 s.
    pub start_timeout: Duration,
    /// Without a request or an open stream, before a session ends. Default: 10 min.
    pub idle_timeout: Duration,
    /// From the end of its standard input until the process is killed. Default: 2 s.
    pub stop_timeout: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            maximum_sessions: 256,
            maximum_sessions_per_client: 16,
            maximum_requests: 64,
            maximum_message_bytes: 64 * 1024 * 1024,
            start_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
            stop_timeout: Duration::from_secs(2),
        }
    }
}
