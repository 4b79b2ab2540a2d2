//! `portcullis test`: suites of cases that policies must pass.

mod update;
mod watch;

use std::path::PathBuf;

use portcullis_suite::{Case, Coverage, PolicyCoverage, Run, Suite, find_suites, run};
use serde::Serialize;

use crate::arguments::{OutputFormat, Test};
use crate::cache;
use crate::exit::Exit;
use crate::report;

/// All that came of it, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    passed: usize,
    failed: usize,
    suites: &'a [Run],
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<&'a [PolicyCoverage]>,
}

/// Runs the suites, once or at each change.
pub(crate) fn test(arguments: &Test, format: OutputFormat) -> anyhow::Result<Exit> {
    if arguments.watch {
        return watch::watch(arguments, format);
    }
    if arguments.update {
        update::check_can_ask(arguments)?;
    }
    once(arguments, &find_suites(&arguments.paths)?, format)
}

/// Runs the suites.
fn once(arguments: &Test, paths: &[PathBuf], format: OutputFormat) -> anyhow::Result<Exit> {
    let suites = paths.iter().map(|path| Suite::read(path)).collect::<Result<Vec<_>, _>>()?;
    let (cache, mut runs) = (cache::of_user(), Vec::new());
    for suite in &suites {
        let cases: Vec<&Case> =
            suite.cases().iter().filter(|case| is_selected(arguments, case)).collect();
        if cases.is_empty() {
            continue;
        }
        let run = run(suite, &cases, &arguments.plugins, cache.as_ref())?;
        if format == OutputFormat::Text {
            report::text(&portcullis_suite::text(&run))?;
        }
        runs.push(run);
    }
    if runs.is_empty() {
        anyhow::bail!(
            "no case has `{}` in its name, so nothing was tested",
            arguments.filter.as_deref().unwrap_or_default()
        );
    }
    let coverage = arguments.wants_coverage().then(|| covered(&runs));
    print(&runs, coverage.as_deref(), format)?;
    if arguments.update {
        return update::update(arguments, &suites, &runs);
    }
    let failed = runs.iter().any(|run| run.failed() > 0);
    let gap = coverage.iter().flatten().any(|policy| !policy.is_complete());
    Ok(if failed || (arguments.require_coverage && gap) { Exit::CaseFailed } else { Exit::Success })
}

fn is_selected(arguments: &Test, case: &Case) -> bool {
    arguments.filter.as_ref().is_none_or(|text| case.name.contains(text))
}

fn covered(runs: &[Run]) -> Vec<PolicyCoverage> {
    let mut all = Coverage::default();
    runs.iter().for_each(|run| all.merge(run.coverage.clone()));
    all.policies()
}

fn print(
    runs: &[Run],
    coverage: Option<&[PolicyCoverage]>,
    format: OutputFormat,
) -> anyhow::Result<()> {
    let failed = runs.iter().map(Run::failed).sum();
    let passed = runs.iter().map(|run| run.outcomes.len()).sum::<usize>() - failed;
    match format {
        OutputFormat::Json => report::json(&Report { passed, failed, suites: runs, coverage }),
        OutputFormat::Junit => report::text(&portcullis_suite::junit(runs)?),
        OutputFormat::Text => {
            let mut out = format!("\n{passed} passed; {failed} failed\n");
            for policy in coverage.unwrap_or_default() {
                out.push_str(&describe(policy));
            }
            report::text(&out)
        }
    }
}

fn describe(coverage: &PolicyCoverage) -> String {
    let PolicyCoverage { policy, codes, missing_codes, settings, missing_settings } = coverage;
    let mut out = format!(
        "\ncoverage of {}: {} of {codes} codes, {} of {settings} settings and values\n",
        report::printable(policy),
        codes - missing_codes.len(),
        settings - missing_settings.len(),
    );
    for code in missing_codes {
        out.push_str(&format!("    no case is rejected with `{}`\n", report::printable(code)));
    }
    for setting in missing_settings {
        out.push_str(&format!("    no case is judged with `{}`\n", report::printable(setting)));
    }
    out
}
