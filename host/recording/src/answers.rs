//! What a decision was told about revocation.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_core::{Certificate, Revocation, RevocationAnswer, RevocationCheck, Timestamp};

/// Answers that are kept of one decision, and the longest name of a source: more than any honest policy needs.
const MAXIMUM_ANSWERS: usize = 1024;
const MAXIMUM_SOURCE_BYTES: usize = 64;

/// SHA-256 of the certificate and of its issuer's, and the source.
type Question = ([u8; 32], [u8; 32], String);

/// Passes one decision's questions on, each once: whoever asks again is told the same, though the source may have
/// learned better meanwhile. So a decision rests on one set of answers, which can be kept.
pub struct AnsweredOnce {
    revocation: Arc<dyn Revocation>,
    answers: Mutex<Answers>,
}

/// What one decision asked and was told.
#[derive(Clone, Debug)]
pub struct Answers {
    pub(crate) given: HashMap<Question, RevocationAnswer>,
    pub(crate) complete: bool,
}

impl AnsweredOnce {
    /// For one decision.
    #[must_use]
    pub fn new(revocation: Arc<dyn Revocation>) -> Self {
        let answers = Answers { given: HashMap::new(), complete: true };
        Self { revocation, answers: Mutex::new(answers) }
    }

    /// What was asked, once the decision is made.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revocation for AnsweredOnce {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        let mut answers = self.lock();
        if source.len() > MAXIMUM_SOURCE_BYTES {
            answers.complete = false;
            return self.revocation.check(subject, issuer, source, time);
        }
        let question = (*subject.sha256(), *issuer.sha256(), source.to_owned());
        if let Some(answer) = answers.given.get(&question) {
            return answer.clone();
        }
        let answer = self.revocation.check(subject, issuer, source, time);
        if answers.given.len() < MAXIMUM_ANSWERS {
            answers.given.insert(question, answer.clone());
        } else {
            answers.complete = false;
        }
        answer
    }

    /// The policies are asked anew once this has returned, and what was on its way may be there.
    fn wait(&self, check: &RevocationCheck, time: Timestamp) {
        self.revocation.wait(check, time);
        self.lock().given.retain(|_, answer| !answer.pending);
    }
}

impl fmt::Debug for AnsweredOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnsweredOnce").field("answers", &self.lock().given.len()).finish()
    }
}
