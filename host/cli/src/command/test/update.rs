//! `--update`: what was got becomes what is expected, once someone has said so.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use portcullis_config::Document;
use portcullis_suite::{Case, Outcome, Run, Suite, updated};

use crate::arguments::Test;
use crate::exit::Exit;

/// Nobody is there to answer when standard input is no terminal.
pub(super) fn check_can_ask(arguments: &Test) -> anyhow::Result<()> {
    if arguments.yes || io::stdin().is_terminal() {
        return Ok(());
    }
    anyhow::bail!("`--update` asks before it writes, and nobody is there: say `--yes` beside it")
}

/// Writes the expectations of the cases that failed.
pub(super) fn update(arguments: &Test, suites: &[Suite], runs: &[Run]) -> anyhow::Result<Exit> {
    let mut all_written = true;
    for run in runs {
        let suite = suites.iter().find(|suite| suite.path() == run.suite);
        let failed: Vec<&Outcome> =
            run.outcomes.iter().filter(|outcome| !outcome.passed()).collect();
        if let (Some(suite), false) = (suite, failed.is_empty()) {
            all_written &= update_suite(arguments, suite, &failed)?;
        }
    }
    Ok(if all_written { Exit::Success } else { Exit::CaseFailed })
}

fn update_suite(arguments: &Test, suite: &Suite, failed: &[&Outcome]) -> anyhow::Result<bool> {
    let pairs: Vec<(&Case, &Outcome)> = failed
        .iter()
        .filter_map(|&outcome| {
            let case = suite.cases().iter().find(|case| case.name == outcome.name)?;
            Some((case, outcome))
        })
        .collect();
    let text = updated(suite, &pairs)?;
    eprint!("\n{}", changed_lines(suite.document().text(), &text));
    let question = format!("write this to `{}`?", suite.path().display());
    if !arguments.yes && !is_agreed(&question)? {
        return Ok(false);
    }
    write(suite, &text)?;
    eprintln!("wrote `{}`", suite.path().display());
    Ok(true)
}

/// The lines that go and come, in pairs where both texts have as many.
fn changed_lines(before: &str, after: &str) -> String {
    let removed = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let added = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    let removed = removed.map(|line| format!("- {line}\n"));
    removed.chain(added.map(|line| format!("+ {line}\n"))).collect()
}

fn is_agreed(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// In one step, so that no half of a suite is ever there; and only over the text that was run.
fn write(suite: &Suite, text: &str) -> anyhow::Result<()> {
    let path: &Path = suite.path();
    Suite::new(Document::new(path.to_owned(), text.to_owned()))?;
    let failed = || format!("cannot write `{}`", path.display());
    if std::fs::read_to_string(path).with_context(failed)? != suite.document().text() {
        anyhow::bail!("`{}` was changed meanwhile, so it is left as it is", path.display());
    }
    let new = path.with_extension("toml.new");
    std::fs::write(&new, text).with_context(failed)?;
    std::fs::rename(&new, path).with_context(failed)
}
