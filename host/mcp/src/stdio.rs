//! A stdio server behind Streamable HTTP: one process for each session.

mod endpoint;
mod process;
mod router;
mod session;
mod table;
mod usage;

pub(crate) use endpoint::{Endpoint, SESSION_ID, session_not_found};
pub(crate) use session::Owner;
