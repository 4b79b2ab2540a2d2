//! `[reload] suite`: cases that a chain must pass before it is in force.

use std::path::Path;

use portcullis_config::Mistake;
use portcullis_engine::Chain;
use portcullis_suite::{Case, Outcome, Suite};

use crate::config::ConfigFile;

/// How many cases are named of those that fail.
const MAXIMUM_NAMED: usize = 10;

/// Asks the chain about each case of the suite, if there is one.
pub(crate) fn prove(file: &ConfigFile, chain: &Chain, plugins: &Path) -> Result<(), Mistake> {
    let Some(named) = &file.config.reload.suite else { return Ok(()) };
    let path = file.resolve(named.get_ref());
    file.readings().note_file(&path);
    let suite = Suite::read(&path)?;
    suite.files(plugins).iter().for_each(|path| file.readings().note_file(path));
    let mistake = |problem: &str| {
        file.mistake(named, "reload.suite", &format!("`{}`: {problem}", path.display()))
    };
    if let Some(case) = suite.cases().iter().find(|case| case.variant.is_some()) {
        let problem = format!("the case `{}` is about a variant of the chain", case.name);
        return Err(mistake(&problem)
            .hint("put the cases of variants into a suite of their own, for `portcullis test`"));
    }
    let outcomes: Vec<Outcome> = suite.cases().iter().map(|case: &Case| case.run(chain)).collect();
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let names = failed.iter().take(MAXIMUM_NAMED).map(|outcome| format!("`{}`", outcome.name));
    let mut names: Vec<String> = names.collect();
    if failed.len() > MAXIMUM_NAMED {
        names.push("…".to_owned());
    }
    let (failed, all) = (failed.len(), outcomes.len());
    let problem = format!("{failed} of {all} cases fail: {}", names.join(", "));
    Err(mistake(&problem).hint("`portcullis test` shows what was expected of them"))
}
