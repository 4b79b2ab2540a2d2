//! A stdio server behind Streamable HTTP: one process for each session.

mod backoff;
mod endpoint;
mod history;
mod process;
mod router;
mod session;

pub(crate) use endpoint::Endpoint;
