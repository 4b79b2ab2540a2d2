//! `/NAME/mcp` in front of a server that speaks Streamable HTTP: a reverse proxy that reads as little as it can.
//!
//! Bodies pass unchanged and as they come. Of a request the gate reads its id, for an error of its own; of an answer,
//! whether it opens a session.

mod answer;
mod client;
mod connection;
mod endpoint;
mod headers;
mod session;
mod tls;

pub(crate) use endpoint::Endpoint;
pub use tls::{UpstreamTls, UpstreamTlsError};
