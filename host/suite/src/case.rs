//! One case: a handshake, what is known of revocation, and what must come of it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use portcullis_engine::{Chain, Decision, Handshake, Rejection, Revocation, Verdict};

use crate::expectation::{Difference, Expectation};

/// A case, ready to run.
#[derive(Clone)]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// Which variant of the chain judges; none for the chain as it is.
    pub variant: Option<String>,
    /// None when the suite does not say: then the case fails.
    pub expectation: Option<Expectation>,
    pub(crate) presented: Result<Handshake, String>,
    pub(crate) revocation: Arc<dyn Revocation>,
    /// Where its name stands in the suite.
    pub(crate) span: Range<usize>,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the case.
    pub name: String,
    /// What the chain decided.
    pub decision: Decision,
    /// Where that is not what was expected; empty when the case passed.
    pub differences: Vec<Difference>,
}

impl Case {
    /// Asks a chain.
    #[must_use]
    pub fn run(&self, chain: &Chain) -> Outcome {
        let decision = match &self.presented {
            Ok(handshake) => chain.decide_with(handshake, &self.revocation),
            Err(problem) => bad_certificate(problem),
        };
        let differences = match &self.expectation {
            Some(expectation) => expectation.compare(&decision.verdict),
            None => vec![Difference {
                what: "verdict".to_owned(),
                expected: "nothing: the case has neither `accept` nor `reject`".to_owned(),
                got: crate::expectation::describe(&decision.verdict),
            }],
        };
        Outcome { name: self.name.clone(), decision, differences }
    }
}

impl Outcome {
    /// Whether it was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// What the host says of bytes that are no certificate, before it asks a policy.
fn bad_certificate(problem: &str) -> Decision {
    let code = "bad-certificate".to_owned();
    let verdict = Verdict::Reject(Rejection { code, detail: problem.to_owned(), policy: None });
    Decision { verdict, policies: Vec::new(), elapsed: std::time::Duration::ZERO }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("variant", &self.variant)
            .field("expectation", &self.expectation)
            .finish_non_exhaustive()
    }
}

/// The first case whose name another has before it.
pub(crate) fn repeated(cases: &[Case]) -> Option<&Case> {
    let mut seen = BTreeSet::new();
    cases.iter().find(|case| !seen.insert(&case.name))
}
