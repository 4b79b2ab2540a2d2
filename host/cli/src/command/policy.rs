//! `portcullis policy`: makes, builds and inspects policies.

mod build;
mod inspect;
mod new;

use std::path::Path;

use portcullis_project::ProjectError;

use crate::arguments::{Format, PolicyCommand};
use crate::exit::Exit;
use portcullis_config::Mistake;

/// Does what was asked.
pub(crate) fn policy(command: &PolicyCommand, format: Format) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::New(new) => new::new(new, format),
        PolicyCommand::Build(build) => build::build(build, format),
        PolicyCommand::Inspect(inspect) => inspect::inspect(inspect, format),
    }
}

/// What is wrong with a project, for its author.
fn mistake(project: &Path, error: &ProjectError) -> Mistake {
    let mistake = Mistake::file(error.path().unwrap_or(project), &error.to_string());
    match error.hint() {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    }
}
