//! Which connections there are, and which of them are to be judged again, in which order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Cause;
use crate::connection::Connection;

/// All connections by their number.
#[derive(Default)]
pub(super) struct Index {
    entries: HashMap<u64, Entry>,
    /// By when their verdicts no longer hold.
    due: BTreeSet<(Timestamp, u64)>,
    /// Whoever has left or changed the line is still in the old one, and is passed over.
    lines: [VecDeque<u64>; 3],
    /// Those who get into line again at the next tick.
    put_off: Vec<u64>,
}

/// One connection.
pub(super) struct Entry {
    pub(super) connection: Arc<Connection>,
    /// Closes it.
    pub(super) cut: CancellationToken,
    held: Option<Box<dyn Send>>,
    due: Option<Timestamp>,
    /// In a line, or put off.
    wanted: Option<Wanted>,
    /// Being judged.
    judged: Option<Wanted>,
}

/// A client that is to be judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) since: Instant,
    pub(super) cause: Cause,
    pub(super) line: Line,
}

/// Whose turn comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// What its verdict rests on is known to be no longer so.
    Certain,
    /// Its verdict has expired.
    Expired,
    /// Everybody whom a change may concern.
    Possible,
}

/// A client that is judged again now.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) connection: Arc<Connection>,
    pub(super) wanted: Wanted,
}

impl Entry {
    pub(super) fn new(
        connection: Arc<Connection>,
        cut: CancellationToken,
        held: Option<Box<dyn Send>>,
    ) -> Self {
        Self { connection, cut, held, due: None, wanted: None, judged: None }
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        self.entries.values().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    /// Whether there is a connection with the same client certificate.
    pub(super) fn has_client_of(&self, connection: &Connection) -> bool {
        let sha256 = |of: &Connection| of.certificates.first().map(|leaf| *leaf.sha256());
        let client = sha256(connection);
        self.entries.values().any(|entry| sha256(&entry.connection) == client)
    }

    /// Takes in a connection that is to be judged again when it is `due`.
    pub(super) fn enter(&mut self, entry: Entry, due: Option<Timestamp>) {
        let id = entry.connection.id;
        self.entries.insert(id, entry);
        self.set_due(id, due);
    }

    /// Takes out a connection, if it is still there.
    pub(super) fn leave(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(due) = entry.due {
            self.due.remove(&(due, id));
        }
        Some(entry)
    }

    /// Puts a connection into line. One that is already in line keeps its time, and gets into the better line; of two
    /// causes the later one is named.
    pub(super) fn want(&mut self, id: u64, wanted: Wanted) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let wanted = match entry.wanted {
            Some(before) if before.line < wanted.line => return,
            Some(before) if before.line == wanted.line => {
                entry.wanted = Some(Wanted { cause: wanted.cause, ..before });
                return;
            }
            Some(before) => Wanted { since: before.since.min(wanted.since), ..wanted },
            None => wanted,
        };
        entry.wanted = Some(wanted);
        self.lines[wanted.line as usize].push_back(id);
    }

    /// Puts those into line whose verdicts no longer hold at `time`.
    pub(super) fn want_expired(&mut self, time: Timestamp, since: Instant) {
        while let Some((_, id)) = self.due.first().copied().filter(|(due, _)| *due <= time) {
            self.set_due(id, None);
            self.want(id, Wanted { since, cause: Cause::Expiry, line: Line::Expired });
        }
    }

    /// Puts off one that could not be judged now.
    pub(super) fn put_off(&mut self, task: &Task) {
        let id = task.connection.id;
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.judged = None;
        // If it is in line again already, it has waited since before that, and that change is the later one.
        let again = entry.wanted.unwrap_or(task.wanted);
        let line = again.line.min(task.wanted.line);
        entry.wanted = Some(Wanted { line, cause: again.cause, ..task.wanted });
        self.put_off.push(id);
    }

    /// Puts those into line who were put off.
    pub(super) fn want_those_put_off(&mut self) {
        for id in std::mem::take(&mut self.put_off) {
            if let Some(wanted) = self.entries.get(&id).and_then(|entry| entry.wanted) {
                self.lines[wanted.line as usize].push_back(id);
            }
        }
    }

    /// The next one to be judged; of those who are only possibly concerned, or expired, one that `may` be judged now, by
    /// the time since when it waits.
    pub(super) fn next(&mut self, may: impl Fn(Instant) -> bool) -> Option<Task> {
        for line in [Line::Certain, Line::Expired, Line::Possible] {
            while let Some(id) = self.lines[line as usize].front().copied() {
                let entry = self.entries.get_mut(&id);
                let waiting = entry.and_then(|entry| {
                    let wanted = entry.wanted.filter(|wanted| wanted.line == line)?;
                    Some((entry, wanted))
                });
                let Some((entry, wanted)) = waiting else {
                    self.lines[line as usize].pop_front();
                    continue;
                };
                if line != Line::Certain && !may(wanted.since) {
                    break;
                }
                entry.wanted = None;
                entry.judged = Some(wanted);
                let connection = Arc::clone(&entry.connection);
                self.lines[line as usize].pop_front();
                return Some(Task { connection, wanted });
            }
        }
        None
    }

    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.lines.iter().any(|line| !line.is_empty())
    }

    /// Takes out those who have waited for longer than `timeout`.
    pub(super) fn take_overdue(&mut self, now: Instant, timeout: Duration) -> Vec<(Entry, Wanted)> {
        let overdue = |entry: &Entry| {
            let waiting = entry.judged.or(entry.wanted)?;
            (now.duration_since(waiting.since) > timeout).then_some(waiting)
        };
        let found: Vec<(u64, Wanted)> =
            self.entries.iter().filter_map(|(id, entry)| Some((*id, overdue(entry)?))).collect();
        found.into_iter().filter_map(|(id, wanted)| Some((self.leave(id)?, wanted))).collect()
    }

    /// Keeps one that was judged, with what is held from now on. Gives what was held before.
    pub(super) fn keep(
        &mut self,
        id: u64,
        held: Option<Box<dyn Send>>,
        due: Option<Timestamp>,
    ) -> Option<Box<dyn Send>> {
        let Some(entry) = self.entries.get_mut(&id) else { return held };
        entry.judged = None;
        let before = std::mem::replace(&mut entry.held, held);
        self.set_due(id, due);
        before
    }

    fn set_due(&mut self, id: u64, due: Option<Timestamp>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut entry.due, due) {
            self.due.remove(&(before, id));
        }
        if let Some(due) = due {
            self.due.insert((due, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use portcullis_engine::{Certificate, Decision, Identity, Verdict};

    use super::*;
    use crate::connection::Standing;
    use crate::tls::TlsVersion;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn index(clients: &[(u64, Option<Timestamp>)]) -> Index {
        let mut index = Index::default();
        for (id, due) in clients {
            let entry = Entry::new(connection(*id), CancellationToken::new(), None);
            index.enter(entry, *due);
        }
        index
    }

    fn connection(id: u64) -> Arc<Connection> {
        let names = vec![id.to_string()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let leaf = Certificate::from_der(made.cert.der().to_vec()).expect("our own");
        let identity = Arc::new(Identity::default());
        let verdict = Verdict::Accept(Identity::default());
        let decision =
            Arc::new(Decision { verdict, policies: Vec::new(), elapsed: Duration::ZERO });
        Arc::new(Connection {
            id,
            peer_address: ([192, 0, 2, 1], 4711).into(),
            server_name: None,
            tls_version: TlsVersion::Tls13,
            alpn: None,
            resumed: false,
            certificates: vec![Arc::new(leaf)],
            standing: ArcSwap::from_pointee(Standing { identity, decision }),
        })
    }

    fn wanted(line: Line) -> Wanted {
        Wanted { since: Instant::now(), cause: Cause::Policies, line }
    }

    fn all(index: &mut Index) -> Vec<u64> {
        std::iter::from_fn(|| index.next(|_| true)).map(|task| task.connection.id).collect()
    }

    #[test]
    fn those_certainly_concerned_come_first_and_then_those_whose_verdicts_expired() {
        let mut index = index(&[(1, None), (2, None), (3, None), (4, None)]);
        index.want(1, wanted(Line::Possible));
        index.want(2, wanted(Line::Possible));
        index.want(3, wanted(Line::Expired));
        index.want(4, wanted(Line::Certain));
        index.want(2, wanted(Line::Certain));
        index.want(2, wanted(Line::Possible));
        assert_eq!(all(&mut index), [4, 2, 3, 1]);
        assert!(!index.is_anybody_waiting());
    }

    #[test]
    fn of_two_changes_the_later_one_is_named_and_the_earlier_one_is_waited_for() {
        let mut index = index(&[(1, None)]);
        let first = wanted(Line::Possible);
        index.want(1, first);
        index.want(1, Wanted { cause: Cause::Revocation, ..wanted(Line::Possible) });
        let task = index.next(|_| true).expect("a task");
        assert_eq!(task.wanted, Wanted { cause: Cause::Revocation, ..first });
        assert!(all(&mut index).is_empty());
    }

    #[test]
    fn only_those_certainly_concerned_are_judged_during_a_rest() {
        let mut index = index(&[(1, None), (2, None)]);
        index.want(1, wanted(Line::Expired));
        assert!(index.next(|_| false).is_none() && index.is_anybody_waiting());
        index.want(2, wanted(Line::Certain));
        assert_eq!(index.next(|_| false).map(|task| task.connection.id), Some(2));
        assert_eq!(all(&mut index), [1]);
    }

    #[test]
    fn a_change_while_a_client_is_judged_has_it_judged_once_more() {
        let mut index = index(&[(1, None)]);
        index.want(1, wanted(Line::Possible));
        assert!(index.next(|_| true).is_some());
        index.want(1, wanted(Line::Possible));
        index.keep(1, None, None);
        assert_eq!(all(&mut index), [1]);
    }

    #[test]
    fn a_change_while_a_client_is_judged_that_is_then_put_off_is_named() {
        let mut index = index(&[(1, None)]);
        index.want(1, wanted(Line::Expired));
        let task = index.next(|_| true).expect("a task");
        index.want(1, Wanted { cause: Cause::Revocation, ..wanted(Line::Certain) });
        index.put_off(&task);
        let again = index.next(|_| true).expect("a task");
        let expected = Wanted { cause: Cause::Revocation, line: Line::Certain, ..task.wanted };
        assert_eq!(again.wanted, expected);
    }

    #[test]
    fn who_has_left_is_not_judged() {
        let mut index = index(&[(1, Some(5)), (2, Some(5))]);
        index.want(1, wanted(Line::Possible));
        assert!(index.leave(1).is_some());
        index.want_expired(5, Instant::now());
        assert_eq!(all(&mut index), [2]);
    }

    #[test]
    fn a_verdict_is_asked_for_again_from_the_time_on_at_which_it_ends() {
        let mut index = index(&[(1, Some(100)), (2, Some(101)), (3, None)]);
        index.want_expired(99, Instant::now());
        assert!(all(&mut index).is_empty());
        index.want_expired(100, Instant::now());
        assert_eq!(all(&mut index), [1]);
        index.keep(1, None, Some(200));
        index.want_expired(199, Instant::now());
        assert_eq!(all(&mut index), [2]);
        index.want_expired(200, Instant::now());
        assert_eq!(all(&mut index), [1]);
    }

    #[test]
    fn who_waits_for_too_long_is_taken_out_be_it_in_line_put_off_or_being_judged() {
        let mut index = index(&[(1, None), (2, None), (3, None), (4, None)]);
        let since = Instant::now();
        index.want(1, wanted(Line::Certain));
        let being_judged = index.next(|_| true).expect("the first");
        index.want(2, wanted(Line::Certain));
        let put_off = index.next(|_| true).expect("the second");
        index.put_off(&put_off);
        index.want(3, wanted(Line::Possible));
        assert!(index.take_overdue(since, TIMEOUT).is_empty());
        let late = Instant::now() + TIMEOUT + Duration::from_millis(1);
        let mut gone: Vec<_> = index.take_overdue(late, TIMEOUT).into_iter().collect();
        gone.sort_by_key(|(entry, _)| entry.connection.id);
        let ids: Vec<_> = gone.iter().map(|(entry, _)| entry.connection.id).collect();
        assert_eq!(ids, [being_judged.connection.id, put_off.connection.id, 3]);
        index.want_those_put_off();
        assert_eq!((all(&mut index), index.len()), (vec![], 1));
    }

    #[test]
    fn who_is_put_off_waits_since_before_that() {
        let mut index = index(&[(1, None)]);
        let first = wanted(Line::Possible);
        index.want(1, first);
        let task = index.next(|_| true).expect("a task");
        index.want(1, wanted(Line::Certain));
        index.put_off(&task);
        index.want_those_put_off();
        let again = index.next(|_| false).expect("in the better line");
        assert_eq!(again.wanted, Wanted { line: Line::Certain, ..first });
        assert!(all(&mut index).is_empty(), "in two lines, and judged once");
    }
}
