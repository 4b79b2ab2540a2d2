//! What CRLs and OCSP share.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use portcullis_core::{Certificate, Clock, RevocationAnswer, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::change::{Change, What};
use crate::fetch::Fetcher;
use crate::state::StateDirectory;
use crate::url::AllowedHosts;

/// What CRLs and OCSP share.
pub(crate) struct Context {
    pub(crate) clock: Clock,
    /// How far an issuer's clock may be ahead, in seconds.
    pub(crate) skew: Timestamp,
    pub(crate) allowed: AllowedHosts,
    pub(crate) fetcher: Fetcher,
    pub(crate) state: Option<StateDirectory>,
    /// The CAs whose CRLs can be checked as they are loaded.
    pub(crate) issuers: Vec<Arc<Certificate>>,
    /// The runtime of everything that is fetched, apart from the one that serves handshakes.
    pub(crate) runtime: Handle,
    /// Cuts the scheduler's sleep short.
    pub(crate) wake: Notify,
    pub(crate) changes: broadcast::Sender<Change>,
    /// The places for handshakes that wait.
    pub(crate) waiting: Semaphore,
}

impl Context {
    pub(crate) fn changed(&self, what: What) {
        // Nobody may be listening.
        let _ = self.changes.send(Change(what));
    }

    /// Waits until `waiters`' other end is dropped or written to, if a place to wait is free.
    pub(crate) fn wait(&self, news: &Receiver<()>, limit: Duration) {
        if let Ok(_place) = self.waiting.try_acquire() {
            let _ = news.recv_timeout(limit);
        }
    }

    pub(crate) fn waiting(&self, places: usize) -> usize {
        places.saturating_sub(self.waiting.available_permits())
    }
}

/// Whether who asks can wait for a first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// No: a policy is running.
    None,
    /// Within the bounds of the options.
    Bounded,
}

/// Those who wait for one thing to be fetched. Dropping it sends them on.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<SyncSender<()>>);

impl Waiters {
    pub(crate) fn join(&mut self) -> Receiver<()> {
        let (sender, receiver) = sync_channel(1);
        self.0.push(sender);
        receiver
    }
}

/// The seconds to wait after so many failures in a row.
pub(crate) fn back_off(failures: u32, first: u32, most: u32) -> Timestamp {
    let doubled = u64::from(first) << failures.saturating_sub(1).min(20);
    Timestamp::try_from(doubled.min(u64::from(most.max(first)))).unwrap_or(Timestamp::MAX)
}

/// A point in time to come. A clock that is set back does not put it off for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    set: Timestamp,
    pub(crate) at: Timestamp,
}

impl Due {
    pub(crate) fn after(now: Timestamp, seconds: Timestamp) -> Self {
        Self { set: now, at: now.saturating_add(seconds) }
    }

    pub(crate) fn reached(self, now: Timestamp) -> bool {
        now >= self.at || now < self.set
    }
}

/// The answer of who will know.
pub(crate) fn pending() -> RevocationAnswer {
    RevocationAnswer { pending: true, ..RevocationAnswer::unknown("an answer is on its way") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_double_the_wait_up_to_a_limit() {
        let waits: Vec<_> = (1..6).map(|failures| back_off(failures, 10, 60)).collect();
        assert_eq!(waits, [10, 20, 40, 60, 60]);
        assert_eq!(back_off(u32::MAX, u32::MAX, 1), i64::from(u32::MAX));
    }

    #[test]
    fn a_clock_set_back_makes_it_due() {
        let due = Due::after(100, 50);
        assert!(!due.reached(100) && !due.reached(149));
        assert!(due.reached(150) && due.reached(99));
    }
}
