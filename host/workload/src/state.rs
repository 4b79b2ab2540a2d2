//! How it stands between this process and the agent.

use std::sync::Arc;

use portcullis_core::Timestamp;

use crate::material::Material;

/// How it stands.
#[derive(Clone, Debug)]
pub struct State {
    /// To the agent.
    pub connection: Connection,
    /// Since then, in seconds since 1970.
    pub since: Timestamp,
    /// What may be used. Nothing until the first message came, when the agent took it back, and when the SVID has expired.
    pub material: Option<Arc<Material>>,
    /// What is wrong: with the connection, or with the last message.
    pub problem: Option<String>,
    /// Messages that came, and of them those of no use.
    pub messages: (u64, u64),
}

/// The connection to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Messages come.
    Connected,
    /// The agent answers that it has no identity for this process.
    Denied,
    /// The agent cannot be reached, or does not answer.
    Gone,
}

impl State {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            connection: Connection::Gone,
            since: now,
            material: None,
            problem: None,
            messages: (0, 0),
        }
    }
}
