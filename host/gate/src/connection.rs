//! A connection whose client came in, and who gets it.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_engine::{Certificate, Decision, Identity};
use tokio_util::sync::CancellationToken;

use crate::tls::{ClientStream, TlsVersion};

/// What is known of a connection whose client came in.
#[derive(Debug)]
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
    pub(crate) standing: ArcSwap<Standing>,
}

/// What a client's presence rests on.
#[derive(Debug)]
pub struct Standing {
    /// Who the client is.
    pub identity: Arc<Identity>,
    /// How the judge came to accept it.
    pub decision: Arc<Decision>,
}

impl Connection {
    /// What came of judging the client last. The principal stays the same for as long as the connection lasts; attributes
    /// may change when the client is judged again. Whoever keeps something made of it can tell by the pointer whether it is
    /// still the same.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }
}

/// Gets the connections whose clients came in.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection until it ends.
    ///
    /// Once `shutdown` is cancelled, finish what is under way and return: when the gate's
    /// `shutdown_timeout` is over, this future is dropped. It is dropped at any time when the client, judged again, is
    /// rejected.
    fn serve(
        &self,
        stream: ClientStream,
        connection: Arc<Connection>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// The gate has closed a connection since its client was rejected when it was judged again, and this certificate has no
    /// other connection: what is kept for the client beyond its connections is to go. Default: nothing is.
    fn expelled(&self, connection: &Connection) {
        let _ = connection;
    }
}
