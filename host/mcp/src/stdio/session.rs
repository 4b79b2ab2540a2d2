//! A session: what its client and its process have in common.

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::router::{Carries, Refusal, Route, Router, Ticket};
use crate::line::Line;
use crate::message::{Id, Kind};
use crate::sessions::{Claim, Claimed, InUse, Owner};
use crate::sse::{Event, EventId};

/// Messages on their way to the process. When it does not read, its client has to wait.
const INBOX_MESSAGES: usize = 4;

/// One client's session with one process.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id is 192 random bits.
    pub(crate) claim: Claim,
    pub(crate) router: Router,
    inbox: mpsc::Sender<Bytes>,
    maximum_requests: usize,
}

/// The messages that answer one request. Dropping it gives back what the request held.
pub(crate) struct Exchange {
    pub(crate) messages: mpsc::Receiver<Event>,
    pub(crate) held: Held,
}

/// A client's hold on a session, and on its place among the requests under way if it has one.
pub(crate) struct Held {
    session: Arc<Session>,
    ticket: Option<Ticket>,
    _in_use: InUse,
}

/// Ends a session unless it is told not to: a client that leaves while its server starts never learns the session's id.
pub(crate) struct EndOnDrop(Option<Arc<Session>>);

impl Session {
    /// Also gives the end from which the process reads.
    pub(crate) fn new(
        owner: Owner,
        maximum_requests: usize,
        ended: CancellationToken,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Bytes>), getrandom::Error> {
        let mut random = [0; 24];
        getrandom::fill(&mut random)?;
        let (inbox, messages) = mpsc::channel(INBOX_MESSAGES);
        let session = Self {
            claim: Claim::new(HEXLOWER.encode(&random), owner, ended),
            router: Router::default(),
            inbox,
            maximum_requests,
        };
        Ok((Arc::new(session), messages))
    }

    /// Sends a request, once the process has room for it.
    pub(crate) async fn request(
        self: &Arc<Self>,
        id: &Id,
        progress_token: Option<&Id>,
        line: Bytes,
        carries: Carries,
    ) -> Result<Exchange, Refusal> {
        let (ticket, messages) =
            self.router.expect(id, progress_token, carries, self.maximum_requests)?;
        let exchange = self.hold(Some(ticket), messages);
        self.send(line).await?;
        Ok(exchange)
    }

    /// Opens the stream of what belongs to no request.
    pub(crate) fn listen(self: &Arc<Self>) -> Exchange {
        self.hold(None, self.router.listen())
    }

    /// Goes on with a stream that a client lost.
    pub(crate) fn resume(self: &Arc<Self>, last: EventId) -> Option<Exchange> {
        let (ticket, messages) = self.router.resume(last)?;
        Some(self.hold(ticket, messages))
    }

    fn hold(self: &Arc<Self>, ticket: Option<Ticket>, messages: mpsc::Receiver<Event>) -> Exchange {
        let session = Arc::clone(self);
        Exchange { messages, held: Held { session, ticket, _in_use: self.claim.usage.enter() } }
    }

    /// Sends a message that has no answer, once the process has room for it.
    pub(crate) async fn send(&self, line: Bytes) -> Result<(), Refusal> {
        tokio::select! {
            sent = self.inbox.send(line) => sent.map_err(|_| Refusal::Closed),
            () = self.claim.ended.cancelled() => Err(Refusal::Closed),
        }
    }

    /// Sends a message if there is room for it now.
    pub(crate) fn try_send(&self, line: Bytes) {
        let _ = self.inbox.try_send(line);
    }

    /// Gives a message of the server to its client. Waits for a client that is slow to read.
    pub(crate) async fn deliver(&self, kind: &Kind, line: Line) -> bool {
        let mut route = self.router.route(kind, line);
        // A stream may be gone by now.
        while let Route::To(stream, event) = route {
            tokio::select! {
                // A process may end right after its answer, which is to arrive.
                biased;
                sent = stream.send(event) => match sent {
                    Ok(()) => return true,
                    Err(mpsc::error::SendError(event)) => route = self.router.keep(kind, event),
                },
                () = self.claim.ended.cancelled() => return false,
            }
        }
        matches!(route, Route::Kept)
    }

    pub(crate) fn end_on_drop(self: &Arc<Self>) -> EndOnDrop {
        EndOnDrop(Some(Arc::clone(self)))
    }
}

impl Claimed for Session {
    fn claim(&self) -> &Claim {
        &self.claim
    }
}

impl Held {
    /// The id by which a client can resume the request's stream from the start.
    pub(crate) fn before_first(&self) -> Option<EventId> {
        self.ticket.as_ref().map(Ticket::before_first)
    }
}

impl EndOnDrop {
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.claim.end();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            self.session.router.forget(ticket);
        }
    }
}
