//! Listens, and gives each client a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_engine::Clock;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::attempt::{Arrival, Attempts};
use crate::audit::Auditor;
use crate::connection::Service;
use crate::error::GateError;
use crate::judge::{Examiner, Judge, JudgeSwap};
use crate::live::{LiveConnections, Worker};
use crate::options::GateOptions;
use crate::tls::{Failure, Handshaker, ServerIdentity};

/// The waits after accepting failed for want of something; doubled from the first to the last.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often a silent client is asked before it is gone.
const KEEP_ALIVE_PROBES: u32 = 4;

/// A listening gate, which lets nobody in until it runs.
pub struct Gate {
    listener: TcpListener,
    local_address: SocketAddr,
    identity: Arc<ArcSwap<ServerIdentity>>,
    attempts: Arc<Attempts>,
    places: Arc<Semaphore>,
    options: GateOptions,
    _rejudges: Worker,
}

/// How a gate's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The shutdown timeout passed and connections were cut.
    Aborted {
        /// How many.
        connections: usize,
    },
    /// Every connection had ended.
    Drained,
}

/// Replaces a gate's server certificate and key while it runs.
#[derive(Clone)]
pub struct IdentitySwap(Arc<ArcSwap<ServerIdentity>>);

impl IdentitySwap {
    /// Takes effect from the next client on.
    pub fn replace(&self, identity: ServerIdentity) {
        self.0.store(Arc::new(identity));
    }

    /// The one in force.
    #[must_use]
    pub fn current(&self) -> Arc<ServerIdentity> {
        self.0.load_full()
    }
}

impl Gate {
    /// Listens. Clients wait in the system's queue until [`Gate::run`].
    ///
    /// # Errors
    ///
    /// When the options let nobody in, or the address cannot be listened on.
    pub async fn bind(
        options: GateOptions,
        identity: ServerIdentity,
        judge: Arc<dyn Judge>,
        clock: Clock,
        auditor: Arc<dyn Auditor>,
    ) -> Result<Self, GateError> {
        options.check()?;
        let identity = Arc::new(ArcSwap::from_pointee(identity));
        let live = LiveConnections::new(&options, clock.clone(), Arc::clone(&auditor));
        let examiner = Arc::new(Examiner::new(judge, clock.clone(), live.clone()));
        let rejudges =
            Worker::start(live.clone(), Arc::clone(&examiner)).map_err(GateError::Thread)?;
        let attempts = Arc::new(Attempts {
            handshaker: Handshaker::new(
                &options,
                Arc::clone(&identity),
                Arc::clone(&examiner),
                clock,
            )?,
            examiner,
            live,
            auditor,
            permits: Semaphore::new(options.maximum_handshakes as usize),
            maximum_handshakes: options.maximum_handshakes,
            handshake_timeout: options.handshake_timeout,
        });
        let places = Arc::new(Semaphore::new(options.maximum_connections as usize));
        let cannot_bind = |source| GateError::Bind { address: options.address, source };
        let listener = TcpListener::bind(options.address).await.map_err(cannot_bind)?;
        let local_address = listener.local_addr().map_err(cannot_bind)?;
        Ok(Self {
            listener,
            local_address,
            identity,
            attempts,
            places,
            options,
            _rejudges: rejudges,
        })
    }

    /// Where the gate listens; tells the port when the options left it open.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// The handle that replaces the server's certificate and key.
    #[must_use]
    pub fn identity_swap(&self) -> IdentitySwap {
        IdentitySwap(Arc::clone(&self.identity))
    }

    /// The handle that replaces the judge.
    #[must_use]
    pub fn judge_swap(&self) -> JudgeSwap {
        self.attempts.examiner.swap()
    }

    /// The connections whose clients came in: the handle that has them judged again.
    #[must_use]
    pub fn live(&self) -> LiveConnections {
        self.attempts.live.clone()
    }

    /// Lets clients in until `shutdown` is cancelled; then waits for those that are inside.
    ///
    /// Dropping this future closes all connections at once.
    pub async fn run<S: Service>(self, service: S, shutdown: CancellationToken) -> Ended {
        let service = Arc::new(service);
        let _clock = AbortOnDropHandle::new(tokio::spawn(self.live().watch_clock()));
        let mut connections = JoinSet::new();
        let mut arrived = 0;
        let mut wait = Wait::default();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next() => report(ended),
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, peer_address)) => {
                        wait = Wait::default();
                        arrived += 1;
                        let arrival = Arrival::new(arrived, peer_address);
                        self.welcome(tcp, arrival, &service, &shutdown, &mut connections);
                    }
                    Err(error) => wait.after(&error, &shutdown).await,
                },
            }
        }
        drop(self.listener);
        drain(connections, self.options.shutdown_timeout).await
    }

    /// Gives the client a task of its own if there is a place for it.
    fn welcome<S: Service>(
        &self,
        tcp: TcpStream,
        arrival: Arrival,
        service: &Arc<S>,
        shutdown: &CancellationToken,
        connections: &mut JoinSet<()>,
    ) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let limit = self.options.maximum_connections;
            self.attempts.turn_away(&arrival, Failure::too_many_connections(limit));
            return;
        };
        tune(&tcp, self.options.keep_alive);
        let attempts = Arc::clone(&self.attempts);
        let service = Arc::clone(service);
        let shutdown = shutdown.child_token();
        connections.spawn(async move {
            attempts.attend(tcp, arrival, &*service, shutdown).await;
            drop(place);
        });
    }
}

/// A socket that refuses works all the same.
fn tune(tcp: &TcpStream, keep_alive: Option<Duration>) {
    // Answers of a few bytes must not wait for more.
    let _ = tcp.set_nodelay(true);
    if let Some(silence) = keep_alive {
        let interval = (silence / KEEP_ALIVE_PROBES).max(Duration::from_secs(1));
        let probes = TcpKeepalive::new()
            .with_time(silence)
            .with_interval(interval)
            .with_retries(KEEP_ALIVE_PROBES);
        let _ = SockRef::from(tcp).set_tcp_keepalive(&probes);
    }
}

impl Arrival {
    fn new(id: u64, peer: SocketAddr) -> Self {
        // A listener on `::` shows IPv4 clients as `::ffff:a.b.c.d`; policies and logs want `a.b.c.d`.
        let peer_address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { id, peer_address, since: Instant::now() }
    }
}

async fn drain(mut connections: JoinSet<()>, patience: Duration) -> Ended {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(patience, all_ended).await.is_ok() {
        return Ended::Drained;
    }
    let cut = connections.len();
    connections.shutdown().await;
    Ended::Aborted { connections: cut }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        // The message of a panic may quote what the client sent; the panic hook has shown it.
        tracing::error!(is_panic = error.is_panic(), "the task of a connection broke off");
    }
}

/// The pause after accepting failed: without one, a full table of descriptors would make the loop spin.
#[derive(Default)]
struct Wait(Duration);

impl Wait {
    async fn after(&mut self, error: &io::Error, shutdown: &CancellationToken) {
        let wait = self.next(error.kind());
        if wait.is_zero() {
            tracing::debug!(%error, "a client went away before it was accepted");
            return;
        }
        tracing::warn!(%error, wait_ms = wait.as_millis(), "cannot accept clients for now");
        let _ = timeout(wait, shutdown.cancelled()).await;
    }

    fn next(&mut self, kind: io::ErrorKind) -> Duration {
        let of_one_client = matches!(
            kind,
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        );
        if of_one_client {
            return Duration::ZERO;
        }
        self.0 = (self.0 * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second() {
        let mut wait = Wait::default();
        let waits: Vec<_> = (0..8).map(|_| wait.next(io::ErrorKind::Other).as_millis()).collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn a_client_that_went_away_is_no_reason_to_wait() {
        let mut wait = Wait::default();
        assert_eq!(wait.next(io::ErrorKind::ConnectionAborted), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_silent_client_is_asked_whether_it_is_there_unless_that_is_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        for keep_alive in [None, Some(Duration::from_secs(40))] {
            let _client = TcpStream::connect(address).await.expect("it listens");
            let (tcp, _) = listener.accept().await.expect("a client");
            tune(&tcp, keep_alive);
            let socket = SockRef::from(&tcp);
            assert_eq!(socket.keepalive().expect("known"), keep_alive.is_some());
            if keep_alive.is_some() {
                assert_eq!(socket.tcp_keepalive_time().expect("known"), Duration::from_secs(40));
                let interval = socket.tcp_keepalive_interval().expect("known");
                assert_eq!(interval, Duration::from_secs(10));
            }
        }
    }

    #[test]
    fn a_mapped_address_is_shown_as_ipv4() {
        let arrival = Arrival::new(1, "[::ffff:192.0.2.7]:99".parse().expect("an address"));
        assert_eq!(arrival.peer_address.to_string(), "192.0.2.7:99");
    }
}
