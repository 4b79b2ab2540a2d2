//! Policies in Python: componentize-py puts CPython and the modules that `main.py` imports into the component.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::{self, Tool};
use crate::{ProjectError, output, wit};

/// The module of the policy. It must not be called `policy`: that is the world's name.
const MODULE: &str = "main";
/// Where the types for editors go.
const BINDINGS: &str = "bindings";

fn tool() -> Tool {
    Tool {
        name: "componentize-py",
        local: ".venv/bin/componentize-py",
        hint: "in the project, run `python3 -m venv .venv && .venv/bin/pip install --requirement requirements.txt`"
            .to_owned(),
    }
}

pub(crate) fn build(
    project: &Path,
    component: &Path,
    folders: &[PathBuf],
) -> Result<(), ProjectError> {
    let tool = tool().find(project, folders)?;
    wit::with_folder(project, component, |wit| {
        output::write_by(component, |draft| {
            // CPython imports sockets, which no policy gets. So it is packed without any WASI, and needs none: what it asks
            // of it as it starts is asked before.
            let mut command = base(project, &tool, wit)?;
            command.args(["componentize", "--stub-wasi", MODULE, "--output"]).arg(absolute(draft)?);
            tool::run(&mut command)
        })
    })
}

/// Writes the contract as Python types, for editors, unless they are there.
pub(crate) fn write_types(
    project: &Path,
    component: &Path,
    folders: &[PathBuf],
) -> Result<(), ProjectError> {
    if project.join(BINDINGS).exists() {
        return Ok(());
    }
    let tool = tool().find(project, folders)?;
    wit::with_folder(project, component, |wit| {
        tool::run(base(project, &tool, wit)?.args(["bindings", BINDINGS]))
    })
}

fn base(project: &Path, tool: &Path, wit: &Path) -> Result<Command, ProjectError> {
    let mut command = Command::new(tool);
    command.current_dir(project).arg("--quiet").arg("--wit-path").arg(absolute(wit)?);
    command.args(["--world", wit::WORLD]);
    let environment = project.join(".venv");
    if environment.exists() {
        // Packages beside the tool are the policy's to import.
        command.env("VIRTUAL_ENV", absolute(&environment)?);
    }
    Ok(command)
}

fn absolute(path: &Path) -> Result<PathBuf, ProjectError> {
    std::path::absolute(path).map_err(ProjectError::io(path))
}
