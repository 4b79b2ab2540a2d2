//! One client, from its arrival to the end of its connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_engine::{Identity, Rejection, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditRecord, Auditor};
use crate::connection::{Connection, Service, Standing};
use crate::judge::{Examiner, Judgement};
use crate::live::LiveConnections;
use crate::tls::{self, ClientStream, Failure, Handshaker, Negotiated, Progress, TlsStream};

/// How long, and for how many bytes, a client that does not come in is listened to.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 64 * 1024;

/// A client that has just connected.
pub(crate) struct Arrival {
    /// Counts the clients that arrived, from 1.
    pub(crate) id: u64,
    pub(crate) peer_address: SocketAddr,
    pub(crate) since: Instant,
}

/// How an attempt ended.
pub(crate) enum Ending {
    /// The judge accepts, and the handshake is complete.
    Accepted(Arc<Identity>),
    /// No handshake to decide on.
    Failed(Failure),
    /// The judge rejects.
    Rejected { rejection: Rejection, alert: Option<&'static str> },
}

/// A complete handshake, which is not yet a client that came in.
struct Completed {
    stream: TlsStream,
    negotiated: Negotiated,
    judgement: Option<Judgement>,
}

/// What all attempts at a gate share.
pub(crate) struct Attempts {
    pub(crate) handshaker: Handshaker,
    pub(crate) examiner: Arc<Examiner>,
    pub(crate) live: LiveConnections,
    pub(crate) auditor: Arc<dyn Auditor>,
    pub(crate) permits: Semaphore,
    pub(crate) maximum_handshakes: u32,
    pub(crate) handshake_timeout: Duration,
}

impl Attempts {
    /// Sees one client through.
    pub(crate) async fn attend<S: Service>(
        &self,
        tcp: TcpStream,
        arrival: Arrival,
        service: &S,
        shutdown: CancellationToken,
    ) {
        let progress = Arc::new(Progress::new(arrival.peer_address));
        // Not in the task's own memory, which a connection keeps as long as it lives.
        match Box::pin(self.handshake(tcp, &arrival, &progress, &shutdown)).await {
            Ok(completed) => self.settle(completed, &arrival, &progress, service, shutdown).await,
            Err(mut failure) => {
                let tcp = failure.tcp.take();
                let ending = broken_off(&progress, failure);
                self.audit(&arrival, &progress, None, progress.judgement(), &ending);
                if let Some(tcp) = tcp {
                    say_farewell(tcp).await;
                }
            }
        }
        tracing::debug!(
            target: "portcullis::audit",
            connection = arrival.id,
            elapsed_ms = u64::try_from(arrival.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "connection closed"
        );
    }

    /// A client that could not come in because the gate is full.
    pub(crate) fn turn_away(&self, arrival: &Arrival, failure: Failure) {
        let progress = Progress::new(arrival.peer_address);
        self.audit(arrival, &progress, None, None, &Ending::Failed(failure));
    }

    /// The handshake and the judge's last word on it, within their bounds.
    async fn handshake(
        &self,
        tcp: TcpStream,
        arrival: &Arrival,
        progress: &Arc<Progress>,
        shutdown: &CancellationToken,
    ) -> Result<Completed, Failure> {
        let deadline = arrival.since + self.handshake_timeout;
        let handshake = async {
            let Ok(_permit) = timeout_at(deadline, self.permits.acquire()).await else {
                return Err(Failure::too_many_handshakes(self.maximum_handshakes));
            };
            match timeout_at(deadline, self.handshaker.handshake(tcp, progress)).await {
                Ok(result) => result.map(|stream| self.completed(stream, progress)),
                Err(_) => Err(Failure::handshake_timeout(
                    self.handshake_timeout,
                    progress.hello().is_some(),
                )),
            }
        };
        tokio::select! {
            result = handshake => result,
            () = shutdown.cancelled() => Err(Failure::shutting_down()),
        }
    }

    /// TLS does not ask again when a session is resumed, so the gate does: about the certificates
    /// stored with the session.
    fn completed(&self, stream: TlsStream, progress: &Progress) -> Completed {
        let negotiated = tls::negotiated(&stream);
        let judgement = if negotiated.resumed {
            let certificates = tls::peer_certificates(&stream);
            let server_name = progress.server_name();
            Some(self.examiner.examine(&certificates, progress.peer_address, server_name))
        } else {
            progress.judgement().cloned()
        };
        Completed { stream, negotiated, judgement }
    }

    /// After a complete handshake: the record, and the service or the farewell.
    async fn settle<S: Service>(
        &self,
        Completed { stream, negotiated, judgement }: Completed,
        arrival: &Arrival,
        progress: &Progress,
        service: &S,
        shutdown: CancellationToken,
    ) {
        let ending = ending(judgement.as_ref());
        self.audit(arrival, progress, Some(&negotiated), judgement.as_ref(), &ending);
        match (ending, judgement) {
            (Ending::Accepted(identity), Some(judgement)) => {
                let changes = judgement.changes;
                let connection = connection(arrival, progress, negotiated, judgement, identity);
                self.serve(stream, Arc::new(connection), changes, service, shutdown).await;
            }
            _ => say_farewell(stream).await,
        }
    }

    /// Serves a client until it leaves, or until it is judged again and may not stay.
    async fn serve<S: Service>(
        &self,
        stream: TlsStream,
        connection: Arc<Connection>,
        changes: u64,
        service: &S,
        shutdown: CancellationToken,
    ) {
        let held = self.examiner.hold(&connection.standing().decision);
        let place = self.live.enter(Arc::clone(&connection), changes, held);
        let stream = ClientStream::new(stream, place.cut.clone());
        tokio::select! {
            biased;
            () = place.cut.cancelled() => {}
            () = service.serve(stream, Arc::clone(&connection), shutdown) => {}
        }
        if place.is_expelled(&connection) {
            service.expelled(&connection);
        }
    }

    fn audit(
        &self,
        arrival: &Arrival,
        progress: &Progress,
        negotiated: Option<&Negotiated>,
        judgement: Option<&Judgement>,
        ending: &Ending,
    ) {
        let record = AuditRecord::new(arrival, progress, negotiated, judgement, ending);
        self.auditor.record(&record);
    }
}

/// A handshake that broke off: because the judge rejects, or else for the failure's own reason,
/// even if the judge had accepted. Only a complete handshake proves that the client has the key.
fn broken_off(progress: &Progress, failure: Failure) -> Ending {
    match progress.judgement().map(|known| &known.decision.verdict) {
        Some(Verdict::Reject(rejection)) => Ending::Rejected {
            alert: Some(tls::alert_for(&rejection.code)),
            rejection: rejection.clone(),
        },
        Some(Verdict::Accept(_)) | None => Ending::Failed(failure),
    }
}

/// A complete handshake. TLS has no alert for a client that is rejected only now, after a resumption.
fn ending(judgement: Option<&Judgement>) -> Ending {
    match judgement.map(|known| &known.decision.verdict) {
        Some(Verdict::Accept(identity)) => Ending::Accepted(Arc::new(identity.clone())),
        Some(Verdict::Reject(rejection)) => {
            Ending::Rejected { rejection: rejection.clone(), alert: None }
        }
        None => Ending::Failed(Failure::undecided()),
    }
}

fn connection(
    arrival: &Arrival,
    progress: &Progress,
    negotiated: Negotiated,
    judgement: Judgement,
    identity: Arc<Identity>,
) -> Connection {
    Connection {
        id: arrival.id,
        peer_address: arrival.peer_address,
        server_name: progress.server_name(),
        tls_version: negotiated.version,
        alpn: negotiated.alpn,
        resumed: negotiated.resumed,
        certificates: judgement.certificates,
        standing: ArcSwap::from_pointee(Standing { identity, decision: judgement.decision }),
    }
}

/// Closing a socket while bytes wait to be read resets the connection, and a client that is still
/// sending then sees the reset instead of the alert. So: say that nothing more comes, and read for a
/// little while.
async fn say_farewell(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let farewell = async {
        stream.shutdown().await.ok()?;
        let mut ignored = [0; 4096];
        let mut left = FAREWELL_BYTES;
        while left > 0 {
            let read = stream.read(&mut ignored).await.ok().filter(|&read| read > 0)?;
            left = left.saturating_sub(read);
        }
        Some(())
    };
    // However it ends, the socket is closed when it is dropped here.
    let _ = timeout(FAREWELL_TIME, farewell).await;
}
