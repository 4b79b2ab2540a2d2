//! What a suite of others expects, what we answer, and the ledger of where the two differ and why.
//!
//! A ledger stands in `tests/ledgers`. It fails a run for every difference that it does not know, for every one that it
//! knows and that is gone, and for every rejection with another code than it has: an invalid certificate that is
//! refused for the wrong reason proves nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use serde::Deserialize;

/// What a suite expects of a case.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// The client comes in.
    Accept,
    /// The client is refused.
    Reject,
}

/// What we answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The client comes in.
    Accepted,
    /// The client is refused.
    Rejected {
        /// The code.
        code: String,
        /// For whoever reads a mismatch.
        detail: String,
    },
}

impl Answer {
    fn agrees(&self, expected: Expected) -> bool {
        (*self == Self::Accepted) == (expected == Expected::Accept)
    }

    /// As ledgers spell it.
    fn as_str(&self) -> &str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected { code, .. } => code,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Rejected { code, detail } => write!(f, "{code} ({detail})"),
        }
    }
}

/// A case that was run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name in the suite.
    pub case: String,
    /// What the suite expects.
    pub expected: Expected,
    /// What we answered.
    pub answer: Answer,
}

impl Run {
    /// Whether somebody comes in who must not.
    #[must_use]
    pub fn is_accepted_against_the_suite(&self) -> bool {
        self.expected == Expected::Reject && self.answer == Answer::Accepted
    }
}

/// What is known beforehand of how a suite comes out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Where we answer otherwise than the suite expects.
    #[serde(default, rename = "exception")]
    exceptions: Vec<Exception>,
    /// The cases that are refused as expected, by code.
    rejections: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    case: String,
    expected: Expected,
    answer: String,
    reason: String,
}

impl Ledger {
    /// Reads `tests/ledgers/NAME.toml`.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ledgers").join(name);
        let path = path.with_extension("toml");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let ledger: Self =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for exception in &ledger.exceptions {
            assert!(!exception.reason.is_empty(), "{} has no reason", exception.case);
        }
        ledger
    }

    /// Prints a line for each case, and panics when one comes out otherwise than the ledger has it.
    pub fn check(&self, runs: &[Run]) {
        report(runs.iter().map(|run| self.line(run)));
        let agree = runs.iter().filter(|run| run.answer.agrees(run.expected)).count();
        let total = runs.len();
        report([format!("{total} cases: {agree} agree, {} are excepted", total - agree)]);

        let faults = self.faults(runs);
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    fn faults(&self, runs: &[Run]) -> Vec<String> {
        runs.iter().filter_map(|run| self.fault(run)).chain(self.strays(runs)).collect()
    }

    fn line(&self, run: &Run) -> String {
        let (case, answer) = (&run.case, run.answer.as_str());
        match self.exception(case) {
            None => format!("{case}: {answer}"),
            Some(exception) => format!("{case}: {answer}, an exception: {}", exception.reason),
        }
    }

    /// What is wrong with how a case came out.
    fn fault(&self, run: &Run) -> Option<String> {
        let Run { case, expected, answer } = run;
        let known = self.rejections.iter().filter(|(_, cases)| cases.contains(case));
        let known: Vec<&str> = known.map(|(code, _)| code.as_str()).collect();
        match (answer.agrees(*expected), self.exception(case)) {
            (true, Some(_)) => {
                Some(format!("{case}: {answer}, as expected; take it out of the ledger"))
            }
            (false, None) => {
                Some(format!("{case}: {answer}, and {expected:?} is expected; not in the ledger"))
            }
            (false, Some(exception)) => {
                let same = exception.answer == answer.as_str() && exception.expected == *expected;
                (!same).then(|| {
                    let (expected, answered) = (exception.expected, &exception.answer);
                    format!("{case}: {answer}; the ledger has {answered} for {expected:?}")
                })
            }
            (true, None) => {
                let wanted = (*answer != Answer::Accepted).then(|| answer.as_str());
                let same = known == Vec::from_iter(wanted);
                (!same).then(|| format!("{case}: {answer}; the ledger has {known:?}"))
            }
        }
    }

    /// What the ledger has of cases that are not in the suite.
    fn strays(&self, runs: &[Run]) -> impl Iterator<Item = String> {
        let excepted = self.exceptions.iter().map(|exception| &exception.case);
        excepted
            .chain(self.rejections.values().flatten())
            .filter(|case| !runs.iter().any(|run| run.case == **case))
            .map(|case| format!("{case}: in the ledger, and not in the suite"))
    }

    fn exception(&self, case: &str) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.case == case)
    }
}

/// Prints lines, also of a test that passes: the test runner keeps to itself only what `println!` prints.
pub fn report(lines: impl IntoIterator<Item = String>) {
    let mut stderr = std::io::stderr().lock();
    for line in lines {
        // Nobody need read it.
        let _ = writeln!(stderr, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"
        [[exception]]
        case = "lenient"
        expected = "reject"
        answer = "accepted"
        reason = "it is"

        [rejections]
        expired = ["late"]
    "#;

    fn faults(lenient: Option<&str>, late: Option<&str>) -> usize {
        let run = |case: &str, code: Option<&str>| Run {
            case: case.to_owned(),
            expected: Expected::Reject,
            answer: code.map_or(Answer::Accepted, |code| Answer::Rejected {
                code: code.to_owned(),
                detail: String::new(),
            }),
        };
        let ledger: Ledger = toml::from_str(LEDGER).expect("a ledger");
        ledger.faults(&[run("lenient", lenient), run("late", late)]).len()
    }

    #[test]
    fn a_ledger_wants_every_difference_and_every_code_as_it_has_them() {
        assert_eq!(faults(None, Some("expired")), 0);
        assert_eq!(faults(Some("revoked"), Some("expired")), 1, "an exception that is gone");
        assert_eq!(faults(None, None), 1, "a difference that is new");
        assert_eq!(faults(None, Some("revoked")), 1, "another code");
    }

    #[test]
    fn a_ledger_of_cases_that_are_not_run_is_at_fault() {
        let ledger: Ledger = toml::from_str(LEDGER).expect("a ledger");
        assert_eq!(ledger.faults(&[]).len(), 2);
    }
}
