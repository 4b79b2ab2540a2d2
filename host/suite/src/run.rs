//! Running a suite.

use std::path::{Path, PathBuf};

use portcullis_config::Mistake;
use portcullis_engine::CompileCache;

use crate::case::{Case, Outcome};
use crate::chains::{Chains, in_parallel};
use crate::coverage::Coverage;
use crate::suite::Suite;

/// What came of a suite.
#[derive(Debug)]
pub struct Run {
    /// Where the suite is.
    pub suite: PathBuf,
    /// In the order of the cases.
    pub outcomes: Vec<Outcome>,
    /// What the cases brought about.
    pub coverage: Coverage,
}

impl Run {
    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.passed()).count()
    }
}

/// Runs some cases of a suite, with what was compiled before in the cache if there is one: loads each chain that they need once, and asks it about each case, on every core.
///
/// # Errors
/// When a chain does not load.
pub fn run(
    suite: &Suite,
    cases: &[&Case],
    plugins: &Path,
    cache: Option<&CompileCache>,
) -> Result<Run, Mistake> {
    let chains = Chains::load(suite, cases, plugins, cache)?;
    let asked: Vec<_> = cases.iter().filter_map(|case| Some((*case, chains.of(case)?))).collect();
    let outcomes = in_parallel(&asked, |(case, loaded)| case.run(&loaded.chain));
    let mut coverage = Coverage::default();
    for ((_, loaded), outcome) in asked.iter().zip(&outcomes) {
        coverage.add(loaded, outcome);
    }
    Ok(Run { suite: suite.path().to_owned(), outcomes, coverage })
}
