//! The connections whose clients came in, and judging those clients again when their verdicts may be other ones now.

mod index;
mod pace;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_engine::{Clock, Decision, Rejection, RevocationStatus, Verdict};
use tokio_util::sync::CancellationToken;

use self::index::{Entry, Index, Line, Task, Wanted};
use self::pace::Pace;
pub(crate) use self::worker::Worker;
use crate::audit::{Auditor, ClosedRecord};
use crate::connection::{Connection, Standing};
use crate::options::GateOptions;

const TIMEOUT: &str = "policy-timeout";
/// The codes of rejections that say nothing of the client: a policy, or the judge, could not decide.
const FAILURES: [&str; 4] = ["policy-failed", "policy-memory", TIMEOUT, "policy-trapped"];

/// Why clients are judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The time until which a policy's verdict holds has passed.
    Expiry,
    /// The judge was replaced: other policies, settings or assets.
    Policies,
    /// Something is known of revocation that was not.
    Revocation,
}

/// Whether a change concerns a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Its verdict is the same.
    No,
    /// Its verdict may be another one.
    Possibly,
    /// What its verdict rests on is no longer so: judged before all others.
    Certainly,
}

/// What came of judging a client again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejudged {
    /// It was rejected, and its connection closed.
    Closed,
    /// It stays.
    Kept,
    /// It could not be judged, and its connection was closed: a policy failed, an answer about revocation did not come,
    /// or its turn did not come in time.
    Undecided,
}

/// A gate's connections whose clients came in. Clones are the same.
#[derive(Clone)]
pub struct LiveConnections(Arc<Inner>);

struct Inner {
    clock: Clock,
    auditor: Arc<dyn Auditor>,
    timeout: Duration,
    /// Counts what may have made verdicts other ones, whomever it concerned.
    changes: AtomicU64,
    state: Mutex<State>,
    /// Tells the worker that there is something to do, or nothing any more.
    news: Condvar,
    counts: [[AtomicU64; Rejudged::ALL.len()]; Cause::ALL.len()],
}

struct State {
    index: Index,
    pace: Pace,
    last_cause: Cause,
    stopped: bool,
}

/// A connection's place among the others, until it is dropped.
pub(crate) struct Place {
    live: LiveConnections,
    id: u64,
    /// Cancelled when the connection is to be closed.
    pub(crate) cut: CancellationToken,
}

impl Cause {
    const ALL: [Self; 3] = [Self::Expiry, Self::Policies, Self::Revocation];

    /// "expiry", "policies" or "revocation".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Policies => "policies",
            Self::Revocation => "revocation",
        }
    }
}

impl Rejudged {
    const ALL: [Self; 3] = [Self::Closed, Self::Kept, Self::Undecided];

    /// "closed", "kept" or "undecided".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Kept => "kept",
            Self::Undecided => "undecided",
        }
    }
}

impl LiveConnections {
    pub(crate) fn new(options: &GateOptions, clock: Clock, auditor: Arc<dyn Auditor>) -> Self {
        let state = State {
            index: Index::default(),
            pace: Pace::new(options.rejudge_cpu_percent),
            last_cause: Cause::Policies,
            stopped: false,
        };
        Self(Arc::new(Inner {
            clock,
            auditor,
            timeout: options.rejudge_timeout,
            changes: AtomicU64::new(0),
            state: Mutex::new(state),
            news: Condvar::new(),
            counts: Default::default(),
        }))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state().index.len() as u64
    }

    /// How many clients were judged again so far, by why that was and what came of it.
    pub fn rejudged(&self) -> impl Iterator<Item = (Cause, Rejudged, u64)> {
        Cause::ALL.into_iter().flat_map(move |cause| {
            Rejudged::ALL.into_iter().map(move |result| {
                (cause, result, self.counter(cause, result).load(Ordering::Relaxed))
            })
        })
    }

    /// Has the clients judged again that a change concerns, once what has changed is in force; and all whose handshakes
    /// are under way meanwhile. Does not wait for it.
    pub fn judge_again(&self, cause: Cause, concern: impl Fn(&Connection) -> Concern) {
        let since = Instant::now();
        let connections = {
            let mut state = self.state();
            state.last_cause = cause;
            // Whoever comes in from here on was judged after this, or is seen to have been judged before.
            self.0.changes.fetch_add(1, Ordering::SeqCst);
            state.index.connections()
        };
        let concerned: Vec<(u64, Line)> = connections
            .iter()
            .filter_map(|connection| match concern(connection) {
                Concern::No => None,
                Concern::Possibly => Some((connection.id, Line::Possible)),
                Concern::Certainly => Some((connection.id, Line::Certain)),
            })
            .collect();
        let mut state = self.state();
        for (id, line) in concerned {
            state.index.want(id, Wanted { since, cause, line });
        }
        self.0.news.notify_all();
    }

    /// What counts the changes after which clients were to be judged again.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    /// Takes in a connection whose client was accepted when there had been so many changes. `held` is kept until the
    /// client is judged again or gone.
    pub(crate) fn enter(
        &self,
        connection: Arc<Connection>,
        changes: u64,
        held: Option<Box<dyn Send>>,
    ) -> Place {
        let (id, cut) = (connection.id, CancellationToken::new());
        let due = self.due(&connection.standing());
        let mut state = self.state();
        state.index.enter(Entry::new(connection, cut.clone(), held), due);
        if self.changes() != changes {
            let cause = state.last_cause;
            state.index.want(id, Wanted { since: Instant::now(), cause, line: Line::Certain });
            self.0.news.notify_all();
        }
        Place { live: self.clone(), id, cut }
    }

    /// When a client that was accepted just now is to be judged again. A verdict that does not hold even now is asked for
    /// every second.
    fn due(&self, standing: &Standing) -> Option<i64> {
        let valid_until = standing.identity.valid_until?;
        Some(valid_until.max(self.0.clock.now().saturating_add(1)))
    }

    /// Does what is due by the clock: verdicts that no longer hold, and clients that have waited for too long.
    fn tick(&self) {
        let (now, time) = (Instant::now(), self.0.clock.now());
        let mut state = self.state();
        state.index.want_expired(time, now);
        state.index.want_those_put_off();
        let overdue = state.index.take_overdue(now, self.0.timeout);
        drop(state);
        self.0.news.notify_all();
        for (entry, wanted) in overdue {
            let detail = format!("not judged again within {} ms", self.0.timeout.as_millis());
            let rejection =
                Rejection { code: "not-judged-in-time".to_owned(), detail, policy: None };
            self.close(&entry, &wanted, Rejudged::Undecided, &rejection, None);
        }
    }

    /// The next client to judge again, as soon as there is one. None when the gate is gone.
    fn next(&self) -> Option<Task> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            let rest = state.pace.rest(Instant::now());
            let half = self.0.timeout / 2;
            if let Some(task) = state.index.next(|since| rest.is_zero() || since.elapsed() > half) {
                return Some(task);
            }
            state = if state.index.is_anybody_waiting() {
                let woken = self.0.news.wait_timeout(state, rest);
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.0.news.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Takes what the judge has said, after so much time of a processor.
    fn conclude(
        &self,
        task: &Task,
        decision: &Arc<Decision>,
        took: Duration,
        hold: impl FnOnce(&Decision) -> Option<Box<dyn Send>>,
    ) {
        let mut state = self.state();
        if task.wanted.line != Line::Certain {
            state.pace.spent(took, Instant::now());
        }
        if is_temporary(decision) {
            return state.index.put_off(task);
        }
        drop(state);
        let rejection = match accepted_again(&task.connection, decision) {
            Ok(standing) => return self.keep(task, standing, hold),
            Err(rejection) => rejection,
        };
        let failed = FAILURES.contains(&rejection.code.as_str());
        let result = if failed { Rejudged::Undecided } else { Rejudged::Closed };
        // It may have left, or have been closed for want of this decision.
        let entry = self.state().index.leave(task.connection.id);
        if let Some(entry) = entry {
            self.close(&entry, &task.wanted, result, &rejection, Some(decision));
        }
    }

    fn keep(
        &self,
        task: &Task,
        standing: Standing,
        hold: impl FnOnce(&Decision) -> Option<Box<dyn Send>>,
    ) {
        let held = hold(&standing.decision);
        let due = self.due(&standing);
        task.connection.standing.store(Arc::new(standing));
        let before = self.state().index.keep(task.connection.id, held, due);
        drop(before);
        self.counter(task.wanted.cause, Rejudged::Kept).fetch_add(1, Ordering::Relaxed);
    }

    /// Closes a connection that is no longer in the index. The record comes before the client can notice.
    fn close(
        &self,
        entry: &Entry,
        wanted: &Wanted,
        result: Rejudged,
        rejection: &Rejection,
        decision: Option<&Decision>,
    ) {
        self.counter(wanted.cause, result).fetch_add(1, Ordering::Relaxed);
        let record =
            ClosedRecord::new(&entry.connection, wanted.cause, wanted.since, rejection, decision);
        self.0.auditor.closed(&record);
        entry.cut.cancel();
    }

    fn counter(&self, cause: Cause, result: Rejudged) -> &AtomicU64 {
        &self.0.counts[cause as usize][result as usize]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.0.news.notify_all();
    }
}

impl Place {
    /// Whether the connection was closed, and its client has no other.
    pub(crate) fn is_expelled(&self, connection: &Connection) -> bool {
        self.cut.is_cancelled() && !self.live.state().index.has_client_of(connection)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What was held goes after the lock.
        let entry = self.live.state().index.leave(self.id);
        drop(entry);
    }
}

/// Whether a rejection may be none in a moment: the machine had no time for a policy, or one that rejects waits for an answer
/// about a certificate of which nobody says that it was revoked.
fn is_temporary(decision: &Decision) -> bool {
    let Verdict::Reject(rejection) = &decision.verdict else { return false };
    if rejection.code == TIMEOUT {
        return true;
    }
    // Of a group, all members reject, and the rejection is the first one's.
    let name = rejection.policy.as_ref();
    let rejecting = decision.policies.iter().skip_while(|report| Some(&report.policy) != name);
    let answers = || {
        let deciding = rejecting.clone().filter(|report| !report.shadow);
        deciding.flat_map(|report| &report.revocation).map(|check| &check.answer)
    };
    answers().any(|answer| answer.pending)
        && !answers().any(|answer| answer.status == RevocationStatus::Revoked)
}

/// A client that would be another one from now on has to come again: what it has opened was opened by the one before.
fn accepted_again(
    connection: &Connection,
    decision: &Arc<Decision>,
) -> Result<Standing, Rejection> {
    let identity = match &decision.verdict {
        Verdict::Accept(identity) => identity.clone(),
        Verdict::Reject(rejection) => return Err(rejection.clone()),
    };
    let before = connection.standing();
    if identity.principal == before.identity.principal {
        return Ok(Standing { identity: Arc::new(identity), decision: Arc::clone(decision) });
    }
    let name = |principal: Option<&String>| {
        principal.map_or_else(|| "nobody".to_owned(), |name| format!("`{name}`"))
    };
    let now = name(identity.principal.as_ref());
    let detail = format!("was {}, and would be {now}", name(before.identity.principal.as_ref()));
    Err(Rejection { code: "principal-changed".to_owned(), detail, policy: None })
}
