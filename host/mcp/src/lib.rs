//! The MCP side of the gate: accepted clients reach MCP servers over Streamable HTTP.
//!
//! | path | server | protocol revisions |
//! |---|---|---|
//! | `/portcullis/mcp` | the gate's own, with the tool `whoami` | 2026-07-28, and 2025-11-25 and before |
//! | `/NAME/mcp` | the URL of an [`HttpServer`] | those of the server |
//! | `/NAME/mcp` | the command of a [`StdioServer`], one process for each session | 2025-11-25 and before |
//!
//! Everything else is answered 404. Both HTTP/1.1 and HTTP/2 are spoken.
//!
//! **Sessions belong to a certificate.** Another client that presents someone's `Mcp-Session-Id` is answered 404, as if
//! there were no such session, however it was accepted.
//!
//! **A stdio server gets its client's messages as they are**, and the client the server's: only line breaks between
//! tokens are changed, which standard input needs. Standard output does not tell which request a message belongs to, so
//! progress goes to the request that has its token, list changes and resource updates to the GET stream, and everything
//! else to the newest request under way or, without one, to the GET stream. Without a GET stream, 64 messages are kept
//! for one.
//!
//! **An HTTP server gets requests as they are**, and the client its answers: bodies are neither changed nor collected, and
//! headers pass but for those about one connection (RFC 9110, 7.6.1) and those in which proxies speak of clients. A client
//! that leaves ends its request at the server, too. A server that cannot be reached or breaks off is a JSON-RPC error.
//!
//! **Not supported with a stdio server:**
//! - revision 2026-07-28, even where the command speaks it. A client of that revision gets status 400 and an error that
//!   names the supported revisions; one that speaks both falls back to `initialize`, as the official SDKs do.
//! - one process for several sessions: standard input and output do not tell whose a message is, and a server keeps what
//!   belongs to a session (its log level, its subscriptions, its roots) once for a process.
//! - batches, which were part of revision 2025-03-26 only.
//! - the HTTP+SSE transport of 2024-11-05.
//!
//! A client that leaves in the middle of a request does not cancel it (2025-11-25 says so). It can come back for what it
//! missed with `Last-Event-ID`, if it speaks that revision: a session's last 256 events are kept, up to 1 MiB; an answer of
//! more than 1 MiB is not, and such a client is told to ask again. Long messages wait in a temporary file, not in memory.
//! When a process dies, those who wait for it get a JSON-RPC error, and then 404 for the session, which tells a client to
//! initialize a new one. A command that ends before it answers is started again after 100 ms, doubled each time up to 10 s;
//! until then clients get an error.
//!
//! **Every request is decided on, counted and noted.** [`Options::rules`] say who may call what; what a server could read
//! as another call than the gate does is refused. [`RequestAuditor`] gets a record of each request, with no contents.
//!
//! MCP bodies and session ids are never logged here. The SDK under the built-in server does log them, at the levels
//! `info` and below: keep `rmcp` at `warn`.
#![deny(missing_docs)]
#![expect(clippy::result_large_err, reason = "a refusal is the response itself")]

mod admission;
mod audit;
mod authorize;
mod built_in;
mod call;
mod caller;
mod connection;
mod identity;
mod in_force;
mod json;
mod limits;
mod line;
mod message;
mod mirrored;
mod options;
mod origin;
mod reply;
mod service;
mod sessions;
mod sse;
mod stall;
mod stdio;
mod unread;
mod upstream;

pub use audit::{RequestAuditor, RequestOutcome, RequestRecord, TracingRequestAuditor};
pub use authorize::{OneOrMore, PatternError, Rule, RuleError, RuleProblem};
pub use caller::{Caller, CertificateFacts, PolicyFacts};
pub use identity::{IdentityHeader, forwarded_headers};
pub use in_force::ServerError;
pub use options::{HttpServer, Options, ResourceLimits, Server, SessionLimits, StdioServer};
pub use service::{BUILT_IN_PATH, McpService, Replacement};
pub use upstream::{UpstreamTls, UpstreamTlsError};
