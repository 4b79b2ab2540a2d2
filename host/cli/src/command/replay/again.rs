//! One recorded handshake, judged again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_engine::{
    Certificate, Chain, Decision, Handshake, Outcome, PolicyReport, RecordedAnswers, Revocation,
    RevocationAnswer, RevocationStatus, Timestamp,
};
use portcullis_recording::{RawRecord, ReadError, RecordedDecision};

use super::input::{Batch, Damaged};
use super::tally::{Place, Tally};

/// The detail of an answer that nobody has recorded.
const ASSUMED: &str = "not recorded, and taken to be good";

/// A record, and what comes of its handshake now.
pub(super) struct Judged {
    pub(super) handshake: Handshake,
    pub(super) then: RecordedDecision,
    pub(super) now: RecordedDecision,
    /// The policy that accepts only if an answer that is not recorded is good.
    pub(super) undecided: Option<String>,
}

/// Takes batches until there are no more. Any number of threads may run it.
pub(super) struct Worker<'a> {
    chain: &'a Chain,
    batches: Mutex<Receiver<Batch>>,
}

/// What one thread has done.
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) damaged: Damaged,
}

impl<'a> Worker<'a> {
    pub(super) fn new(chain: &'a Chain, batches: Receiver<Batch>) -> Self {
        Self { chain, batches: Mutex::new(batches) }
    }

    pub(super) fn run(&self) -> Done {
        let mut done = Done { tally: Tally::default(), damaged: Damaged::default() };
        loop {
            // In a statement of its own: the lock is held for the receiving only.
            let batch = self.batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = batch else { return done };
            for record in &batch.records {
                let place = Place { file: batch.file, offset: record.offset };
                match judge(self.chain, record) {
                    Ok(judged) => done.tally.add(&judged, place),
                    Err(problem) => done.damaged.add(place.file, place.offset, problem),
                }
            }
        }
    }
}

fn judge(chain: &Chain, record: &RawRecord) -> Result<Judged, String> {
    let record = record.decode().map_err(|error| match error {
        ReadError::Damaged { damage, .. } => format!("the record {damage}"),
        other => other.to_string(),
    })?;
    let handshake = record.handshake().map_err(|error| format!("a certificate: {error}"))?;
    let answers = Arc::new(Answers::new(record.recorded_answers()));
    let asked: Arc<dyn Revocation> = Arc::clone(&answers) as _;
    let decision = chain.decide_with(&handshake, &asked);
    Ok(Judged {
        undecided: undecided(&decision, &answers),
        now: RecordedDecision::from(&decision),
        then: record.decision,
        handshake,
    })
}

/// The recorded answers; where there is none, "good", so that whoever is rejected is so by the rules.
struct Answers {
    recorded: RecordedAnswers,
    assumed: AtomicBool,
}

impl Answers {
    fn new(recorded: RecordedAnswers) -> Self {
        Self { recorded, assumed: AtomicBool::new(false) }
    }
}

impl Revocation for Answers {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        if let Some(answer) = self.recorded.get(subject, issuer, source) {
            return answer.clone();
        }
        self.assumed.store(true, Ordering::Relaxed);
        RevocationAnswer {
            status: RevocationStatus::Good,
            source: source.to_owned(),
            detail: ASSUMED.to_owned(),
            revoked_at: None,
            this_update: Some(time),
            next_update: None,
            pending: false,
        }
    }
}

/// The policy on whose word a client comes in that rests on an assumption. A rejection rests on none.
fn undecided(decision: &Decision, answers: &Answers) -> Option<String> {
    if !answers.assumed.load(Ordering::Relaxed) || !decision.is_accepted() {
        return None;
    }
    let assumes = |report: &&PolicyReport| {
        report.revocation.iter().any(|check| check.answer.detail == ASSUMED)
    };
    let accepts = |report: &&PolicyReport| {
        !report.shadow && matches!(report.outcome, Outcome::Accepted { .. })
    };
    let mut reports = decision.policies.iter();
    // A report lists the first answers only. Where none shows it, it may have been any of them.
    if !reports.clone().any(|report| assumes(&report)) {
        return Some(String::new());
    }
    reports.find(|report| accepts(report) && assumes(report)).map(|report| report.policy.clone())
}
