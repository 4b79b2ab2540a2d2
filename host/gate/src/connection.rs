//! A connection whose client came in, and who gets it.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_engine::{Certificate, Decision, Identity};
use tokio_util::sync::CancellationToken;

use crate::tls::{ClientStream, TlsVersion};

/// What is known of a connection whose client came in.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Counts the clients that arrived at this gate, from 1; the audit gives the same number.
    pub id: u64,
    /// Where the client connects from.
    pub peer_address: SocketAddr,
    /// The server name that the client asked for, in lower case.
    pub server_name: Option<String>,
    /// The version of TLS.
    pub tls_version: TlsVersion,
    /// The application protocol agreed on.
    pub alpn: Option<String>,
    /// Whether a session was resumed; the certificates are then those stored with it.
    pub resumed: bool,
    /// What the client presented, leaf first; never empty.
    pub certificates: Vec<Arc<Certificate>>,
    /// Who the client is.
    pub identity: Arc<Identity>,
    /// How the judge came to accept it.
    pub decision: Arc<Decision>,
}

/// Gets the connections whose clients came in.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection until it ends.
    ///
    /// Once `shutdown` is cancelled, finish what is under way and return: when the gate's
    /// `shutdown_timeout` is over, this future is dropped.
    fn serve(
        &self,
        stream: ClientStream,
        connection: Arc<Connection>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}
