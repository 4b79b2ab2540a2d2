//! A stdio server behind Streamable HTTP: one process for each session.

mod endpoint;
mod process;
mod router;
mod session;

pub(crate) use endpoint::Endpoint;
