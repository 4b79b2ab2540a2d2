//! Answers about revocation that are known beforehand.

use std::collections::HashMap;

use crate::certificate::Certificate;
use crate::clock::Timestamp;
use crate::decision::RevocationCheck;
use crate::revocation::{Revocation, RevocationAnswer, RevocationStatus};

/// Which certificate, of which issuer, and which source.
type Question = ([u8; 32], [u8; 32], String);

/// Gives the answers that it was made of, whatever the time, and none that is still pending: for handshakes that are
/// judged again, and for test cases.
#[derive(Clone, Debug, Default)]
pub struct RecordedAnswers(HashMap<Question, RevocationAnswer>);

impl RecordedAnswers {
    /// The answers that a decision rested on.
    pub fn of<'a>(checks: impl IntoIterator<Item = &'a RevocationCheck>) -> Self {
        let mut answers = Self::default();
        for check in checks {
            let (subject, issuer) = (*check.subject.sha256(), *check.issuer.sha256());
            answers.insert(subject, issuer, &check.source, check.answer.clone());
        }
        answers
    }

    /// Adds what `source` says of the certificate `subject` of `issuer`, each by its SHA-256. The last of several counts.
    pub fn insert(
        &mut self,
        subject: [u8; 32],
        issuer: [u8; 32],
        source: &str,
        answer: RevocationAnswer,
    ) {
        let answer = RevocationAnswer { pending: false, ..answer };
        self.0.insert((subject, issuer, source.to_owned()), answer);
    }
}

impl Revocation for RecordedAnswers {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        _: Timestamp,
    ) -> RevocationAnswer {
        let question = (*subject.sha256(), *issuer.sha256(), source.to_owned());
        self.0.get(&question).cloned().unwrap_or_else(|| RevocationAnswer {
            status: RevocationStatus::Unknown,
            source: String::new(),
            detail: "not recorded".to_owned(),
            revoked_at: None,
            this_update: None,
            next_update: None,
            pending: false,
        })
    }
}
