//! What would change, counted by who it happens to and which policy decides.

use std::collections::BTreeMap;

use portcullis_engine::Timestamp;
use portcullis_recording::RecordedVerdict;
use serde::Serialize;

use super::again::Judged;

/// Groups that are told apart, of each kind of change; handshakes of others are counted together.
const MAXIMUM_GROUPS: usize = 10_000;

/// What becomes of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    Lost,
    Gained,
    Reason,
    Identity,
    NotRecorded,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) offset: u64,
}

/// Who it happens to, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Who {
    /// The principal, or else the subject of the certificate.
    pub(super) who: String,
    /// The policy that decides; for a gain, the one that decided.
    pub(super) policy: String,
    /// Its code.
    pub(super) code: String,
    /// What it was before, where that is another rejection or another principal.
    pub(super) before: String,
}

/// What happens to one group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) count: u64,
    pub(super) last_seen: Timestamp,
    /// Of the one seen last.
    pub(super) place: Place,
    pub(super) detail: String,
}

/// All that was judged.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) judged: u64,
    pub(super) same: u64,
    /// Of the same, those in which every policy's part is the same too.
    pub(super) identical: u64,
    pub(super) times: Option<(Timestamp, Timestamp)>,
    pub(super) counts: BTreeMap<Change, u64>,
    pub(super) groups: BTreeMap<Change, BTreeMap<Who, Group>>,
    /// Of groups beyond the number that is kept.
    pub(super) ungrouped: BTreeMap<Change, u64>,
}

impl Tally {
    pub(super) fn anyone_loses(&self) -> bool {
        self.count(Change::Lost) > 0
    }

    pub(super) fn count(&self, change: Change) -> u64 {
        self.counts.get(&change).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, judged: &Judged, place: Place) {
        self.judged += 1;
        let time = judged.handshake.time;
        self.times = Some(span(self.times, (time, time)));
        let Some((change, who, detail)) = change(judged) else {
            self.same += 1;
            let (then, now) = (judged.then.clone(), judged.now.clone());
            self.identical += u64::from(then.repeatable() == now.repeatable());
            return;
        };
        *self.counts.entry(change).or_default() += 1;
        self.group(change, who, Group { count: 1, last_seen: time, place, detail });
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.same += other.same;
        self.identical += other.identical;
        if let Some(times) = other.times {
            self.times = Some(span(self.times, times));
        }
        for (change, count) in other.counts {
            *self.counts.entry(change).or_default() += count;
        }
        for (change, count) in other.ungrouped {
            *self.ungrouped.entry(change).or_default() += count;
        }
        for (change, groups) in other.groups {
            for (who, group) in groups {
                self.group(change, who, group);
            }
        }
    }

    fn group(&mut self, change: Change, who: Who, group: Group) {
        let groups = self.groups.entry(change).or_default();
        let full = groups.len() >= MAXIMUM_GROUPS;
        match groups.get_mut(&who) {
            Some(known) => {
                known.count += group.count;
                if (group.last_seen, group.place) > (known.last_seen, known.place) {
                    *known = Group { count: known.count, ..group };
                }
            }
            None if full => *self.ungrouped.entry(change).or_default() += group.count,
            None => {
                groups.insert(who, group);
            }
        }
    }
}

fn span(
    known: Option<(Timestamp, Timestamp)>,
    (first, last): (Timestamp, Timestamp),
) -> (Timestamp, Timestamp) {
    known.map_or((first, last), |(start, end)| (start.min(first), end.max(last)))
}

/// What changes, for whom, and a word about it; none where nothing does.
fn change(judged: &Judged) -> Option<(Change, Who, String)> {
    let subject = || judged.handshake.chain.first().map_or_else(String::new, |one| one.subject());
    let named = |principal: &Option<String>| principal.clone().unwrap_or_else(subject);
    if let Some(policy) = &judged.undecided {
        let who = match &judged.then.verdict {
            RecordedVerdict::Accepted { principal, .. } => named(principal),
            RecordedVerdict::Rejected { .. } => subject(),
        };
        let who = Who { who, policy: policy.clone(), code: String::new(), before: String::new() };
        let detail = "accepted if the certificate was not revoked, which is not recorded";
        return Some((Change::NotRecorded, who, detail.to_owned()));
    }
    match (&judged.then.verdict, &judged.now.verdict) {
        (
            RecordedVerdict::Accepted { principal, .. },
            RecordedVerdict::Rejected { code, detail, policy },
        ) => Some((Change::Lost, by(named(principal), policy, code), detail.clone())),
        (
            RecordedVerdict::Rejected { code, detail, policy },
            RecordedVerdict::Accepted { principal, .. },
        ) => Some((Change::Gained, by(named(principal), policy, code), detail.clone())),
        (
            RecordedVerdict::Rejected { code: code_then, policy: policy_then, .. },
            RecordedVerdict::Rejected { code, policy, detail },
        ) if (code_then, policy_then) != (code, policy) => {
            let before = by(String::new(), policy_then, code_then);
            let before = format!("{}: {}", before.policy, before.code);
            let who = Who { before, ..by(subject(), policy, code) };
            Some((Change::Reason, who, detail.clone()))
        }
        (
            RecordedVerdict::Accepted { principal: before, .. },
            RecordedVerdict::Accepted { principal, .. },
        ) if judged.then.verdict != judged.now.verdict => {
            let who = Who { before: named(before), ..by(named(principal), &None, "") };
            let what = if before == principal {
                "the same principal, with other attributes or for another time"
            } else {
                "another principal"
            };
            Some((Change::Identity, who, what.to_owned()))
        }
        _ => None,
    }
}

fn by(who: String, policy: &Option<String>, code: &str) -> Who {
    // Without a policy, it is the host that decides.
    let policy = policy.clone().unwrap_or_default();
    Who { who, policy, code: code.to_owned(), before: String::new() }
}
