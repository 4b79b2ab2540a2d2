//! What would have to be otherwise for a client to come in: found by asking the chain again with one thing changed, and
//! then one more, never by reading what a policy says.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Certificate, Chain, Decision, Handshake, Outcome, RecordedAnswers, Rejection, Revocation,
    RevocationStatus, Timestamp, Verdict,
};
use serde::Serialize;

/// Things that may have to change together.
const MAXIMUM_CHANGES: usize = 4;
/// Hours of the week to come at which the chain is asked, for rules about hours and days.
const HOURS: i64 = 7 * 24;
/// A chain that takes longer is not asked at all of them.
const QUICK: Duration = Duration::from_millis(20);
/// Where a client may come from: this machine, each private network (RFC 1918), and a public address (RFC 5737).
const ADDRESSES: [[u8; 4]; 5] =
    [[127, 0, 0, 1], [10, 0, 0, 1], [172, 16, 0, 1], [192, 168, 0, 1], [192, 0, 2, 1]];

/// What would have to change, and what would follow.
#[derive(Debug, Serialize)]
pub(super) struct Remedy {
    /// All of these together. Empty where nothing that can be tried here helps.
    pub(super) changes: Vec<Change>,
    /// What would still reject the client; nothing if it would come in.
    pub(super) still: Option<Rejection>,
}

/// One thing that would have to be otherwise.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub(super) enum Change {
    /// The client comes from elsewhere.
    Address {
        /// An address with which that is so.
        address: IpAddr,
    },
    /// Sources say "good".
    Revocation {
        /// Of these certificates.
        of: Vec<Status>,
    },
    /// The client asks for another server, or for none.
    ServerName {
        /// A name with which that is so.
        name: Option<String>,
    },
    /// The time is later.
    TimeFrom {
        /// The first second.
        time: Timestamp,
    },
    /// The time is earlier.
    TimeUntil {
        /// The last second.
        time: Timestamp,
    },
}

/// What a source says of a certificate.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    pub(super) subject: String,
    pub(super) source: String,
    pub(super) status: RevocationStatus,
    pub(super) detail: String,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) next_update: Option<Timestamp>,
}

/// What the chain is asked.
#[derive(Clone)]
struct Question {
    handshake: Handshake,
    revocation: Arc<dyn Revocation>,
}

/// How far a client gets: whether it comes in, or else how many deciding policies accept it.
type Rank = (bool, usize);

pub(super) struct Search<'a> {
    chain: &'a Chain,
    question: Question,
    /// What the gate calls itself.
    server_names: Vec<String>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        chain: &'a Chain,
        handshake: &Handshake,
        revocation: Arc<dyn Revocation>,
        server_names: Vec<String>,
    ) -> Self {
        let question = Question { handshake: handshake.clone(), revocation };
        Self { chain, question, server_names }
    }

    /// Changes one thing after the other, each time that which gets the client furthest.
    pub(super) fn remedy(&self, decision: &Decision) -> Remedy {
        let mut remedy = Remedy { changes: Vec::new(), still: rejection(decision) };
        let (mut question, mut decision) = (self.question.clone(), decision.clone());
        while remedy.still.is_some() && remedy.changes.len() < MAXIMUM_CHANGES {
            let mut tried = [
                self.time(&question, &decision),
                self.revocation(&question, &decision),
                self.server_name(&question),
                self.address(&question),
            ];
            let mut best: Option<(Rank, Change, Question, Decision)> = None;
            for (change, changed) in tried.iter_mut().filter_map(Option::take) {
                let answer = self.ask(&changed);
                let reached = rank(&answer);
                if best.as_ref().map_or_else(|| rank(&decision), |(most, ..)| *most) < reached {
                    best = Some((reached, change, changed, answer));
                }
            }
            let Some((_, change, changed, answer)) = best else { break };
            remedy.changes.push(change);
            remedy.still = rejection(&answer);
            (question, decision) = (changed, answer);
        }
        remedy
    }

    fn ask(&self, question: &Question) -> Decision {
        self.chain.decide_with(&question.handshake, &question.revocation)
    }

    fn at(&self, question: &Question, time: Timestamp) -> Rank {
        let mut question = question.clone();
        question.handshake.time = time;
        rank(&self.ask(&question))
    }

    /// The nearest second at which the client gets further: by the ends of the validities if the time is outside of one,
    /// and by the hours of the week to come otherwise.
    fn time(&self, question: &Question, decision: &Decision) -> Option<(Change, Question)> {
        let (now, chain) = (question.handshake.time, &question.handshake.chain);
        let is_valid = |one: &Arc<Certificate>| (one.not_before()..=one.not_after()).contains(&now);
        let times: Vec<Timestamp> = if !chain.iter().all(is_valid) {
            chain.iter().flat_map(|one| [one.not_before(), one.not_after()]).collect()
        } else if decision.elapsed <= QUICK {
            let hour = now - now.rem_euclid(3600);
            (1..=HOURS).map(|hours| hour.saturating_add(hours * 3600)).collect()
        } else {
            Vec::new()
        };
        let ranked = times.into_iter().map(|time| (self.at(question, time), time));
        let better = ranked.filter(|(reached, _)| *reached > rank(decision));
        let (reached, mut good) =
            better.min_by_key(|(reached, time)| (Reverse(*reached), now.abs_diff(*time)))?;
        // Between a time that will do and one that will not, in halves.
        let mut bad = now;
        while good.abs_diff(bad) > 1 {
            let middle = good.midpoint(bad);
            if self.at(question, middle) >= reached { good = middle } else { bad = middle }
        }
        let mut changed = question.clone();
        changed.handshake.time = good;
        let change = match good < now {
            true => Change::TimeUntil { time: good },
            false => Change::TimeFrom { time: good },
        };
        Some((change, changed))
    }

    /// Every source says "good" of every certificate.
    fn revocation(&self, question: &Question, decision: &Decision) -> Option<(Change, Question)> {
        let rejecting = decision
            .policies
            .iter()
            .filter(|report| !report.shadow && !matches!(report.outcome, Outcome::Accepted { .. }));
        let of: Vec<_> = rejecting
            .flat_map(|report| &report.revocation)
            .map(|check| Status {
                subject: check.subject.subject(),
                source: check.source.clone(),
                status: check.answer.status,
                detail: check.answer.detail.clone(),
                revoked_at: check.answer.revoked_at,
                next_update: check.answer.next_update,
            })
            .collect();
        if of.is_empty() {
            return None;
        }
        let good = RecordedAnswers::default().otherwise(RevocationStatus::Good);
        let revocation: Arc<dyn Revocation> = Arc::new(good);
        Some((Change::Revocation { of }, Question { revocation, ..question.clone() }))
    }

    /// A name that the gate's own certificate has, or none.
    fn server_name(&self, question: &Question) -> Option<(Change, Question)> {
        let names = self.server_names.iter().map(|name| Some(name.clone())).chain([None]);
        let others = names.filter(|name| *name != question.handshake.server_name);
        self.first_to_help(question, others, |handshake, name| {
            handshake.server_name.clone_from(&name);
            Change::ServerName { name }
        })
    }

    fn address(&self, question: &Question) -> Option<(Change, Question)> {
        let addresses = ADDRESSES.map(IpAddr::from).into_iter();
        self.first_to_help(question, addresses, |handshake, address| {
            handshake.peer_address = SocketAddr::new(address, handshake.peer_address.port());
            Change::Address { address }
        })
    }

    fn first_to_help<T>(
        &self,
        question: &Question,
        values: impl Iterator<Item = T>,
        change: impl Fn(&mut Handshake, T) -> Change,
    ) -> Option<(Change, Question)> {
        let now = rank(&self.ask(question));
        let tried = values.map(|value| {
            let mut changed = question.clone();
            (change(&mut changed.handshake, value), changed)
        });
        let ranked = tried.map(|(change, changed)| (rank(&self.ask(&changed)), change, changed));
        let better = ranked.filter(|(reached, ..)| *reached > now);
        // Of several that help as much, the first.
        let best = better.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(_, change, changed)| (change, changed))
    }
}

fn rank(decision: &Decision) -> Rank {
    let accepting = decision
        .policies
        .iter()
        .filter(|report| !report.shadow && matches!(report.outcome, Outcome::Accepted { .. }));
    (decision.is_accepted(), accepting.count())
}

fn rejection(decision: &Decision) -> Option<Rejection> {
    match &decision.verdict {
        Verdict::Accept(_) => None,
        Verdict::Reject(rejection) => Some(rejection.clone()),
    }
}
