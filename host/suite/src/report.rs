//! What came of suites, for people and for machines.

use portcullis_engine::{LogLine, printable};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::case::Outcome;
use crate::run::Run;

/// How much of a name is shown.
const MAXIMUM_NAME_BYTES: usize = 300;

/// One line a case, and below it where it differs, and what the policies logged.
#[must_use]
pub fn text(run: &Run) -> String {
    let mut out = format!("\n{}: {}\n", run.suite.display(), cases(run.outcomes.len()));
    for outcome in &run.outcomes {
        let name = printable(&outcome.name, MAXIMUM_NAME_BYTES);
        let result = if outcome.passed() { "ok" } else { "FAILED" };
        out.push_str(&format!("case {name} ... {result}\n"));
        out.push_str(&differences(outcome));
    }
    out
}

fn cases(number: usize) -> String {
    if number == 1 { "1 case".to_owned() } else { format!("{number} cases") }
}

fn differences(outcome: &Outcome) -> String {
    let lines = outcome.differences.iter().map(|difference| {
        let what = printable(&difference.what, MAXIMUM_NAME_BYTES);
        format!(
            "    {what}: expected {}\n    {:width$}  got      {}\n",
            difference.expected,
            "",
            difference.got,
            width = what.chars().count()
        )
    });
    lines.chain(log(outcome)).collect()
}

/// What the policies logged in a case that failed.
fn log(outcome: &Outcome) -> impl Iterator<Item = String> {
    let reports = outcome.decision.policies.iter().filter(|_| !outcome.passed());
    reports.flat_map(|report| {
        let line =
            |line: &LogLine| format!("    {} logs {}: {}\n", report.policy, line.level, line.text);
        report.log.iter().map(line)
    })
}

/// JUnit's XML.
///
/// # Errors
/// When it cannot be written.
pub fn junit(runs: &[Run]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("portcullis");
    for run in runs {
        let name = run.suite.display().to_string();
        let mut suite = TestSuite::new(name.clone());
        for outcome in &run.outcomes {
            let mut status = TestCaseStatus::success();
            if let Some(first) = outcome.differences.first() {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_type(first.what.clone())
                    .set_message(format!("expected {}, got {}", first.expected, first.got))
                    .set_description(differences(outcome));
            }
            let mut case = TestCase::new(outcome.name.clone(), status);
            case.set_classname(name.clone());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut run = serializer.serialize_struct("Run", 2)?;
        run.serialize_field("suite", &self.suite.display().to_string())?;
        run.serialize_field("cases", &self.outcomes)?;
        run.end()
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut case = serializer.serialize_struct("Outcome", 4)?;
        case.serialize_field("name", &self.name)?;
        case.serialize_field("passed", &self.passed())?;
        case.serialize_field("differences", &self.differences)?;
        case.serialize_field("decision", &self.decision)?;
        case.end()
    }
}
