//! The handshake under judgement.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::clock::Timestamp;

/// The most certificates that a client may present.
pub const MAXIMUM_CERTIFICATES: usize = 16;

/// What a chain of policies judges: the client's certificates and where, when and for what it came.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Leaf first, as the client sent them: at least one, at most [`MAXIMUM_CERTIFICATES`], or the client is rejected
    /// with `bad-certificate` without asking a policy.
    pub chain: Vec<Arc<Certificate>>,
    /// The time to judge at.
    pub time: Timestamp,
    /// Where the client connects from.
    pub peer_address: SocketAddr,
    /// The server name that the client asked for (RFC 6066), in lower case.
    pub server_name: Option<String>,
}
