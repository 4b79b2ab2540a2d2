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
pub struct RecordedAnswers {
    answers: HashMap<Question, RevocationAnswer>,
    otherwise: Option<RevocationStatus>,
}

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
        self.answers.insert((subject, issuer, source.to_owned()), answer);
    }

    /// What is said of a certificate that has no answer: unknown, unless this says something else. A statement that was
    /// never made is as new as the handshake.
    #[must_use]
    pub fn otherwise(self, status: RevocationStatus) -> Self {
        Self { otherwise: Some(status), ..self }
    }

    /// What was recorded for this question, if anything.
    #[must_use]
    pub fn get(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
    ) -> Option<&RevocationAnswer> {
        self.answers.get(&(*subject.sha256(), *issuer.sha256(), source.to_owned()))
    }
}

impl Revocation for RecordedAnswers {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        if let Some(answer) = self.get(subject, issuer, source) {
            return answer.clone();
        }
        match self.otherwise {
            None | Some(RevocationStatus::Unknown) => RevocationAnswer::unknown("not recorded"),
            Some(status) => RevocationAnswer {
                status,
                source: source.to_owned(),
                this_update: Some(time),
                ..RevocationAnswer::unknown("")
            },
        }
    }
}
