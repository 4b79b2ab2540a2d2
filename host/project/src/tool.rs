//! Programs that make components.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ProjectError;

/// A program, and how to get it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Where it is in a project, when it was installed as `hint` says.
    pub(crate) local: &'static str,
    pub(crate) hint: String,
}

impl Tool {
    /// Finds it: in the project, in these folders, or on the `PATH`.
    pub(crate) fn find(
        &self,
        project: &Path,
        folders: &[PathBuf],
    ) -> Result<PathBuf, ProjectError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let local = project.join(self.local);
        let elsewhere = folders.iter().cloned().chain(env::split_paths(&path));
        let mut places =
            std::iter::once(local.clone()).chain(elsewhere.map(|folder| folder.join(self.name)));
        let found =
            places.find(|place| place.is_file()).ok_or_else(|| ProjectError::MissingTool {
                tool: self.name.to_owned(),
                looked_in: format!("{} and the PATH", local.parent().unwrap_or(project).display()),
                hint: self.hint.clone(),
            })?;
        // It runs in the project's folder, where a relative path would lead elsewhere.
        std::path::absolute(&found).map_err(ProjectError::io(&found))
    }
}

/// Runs a tool that says on standard error what is wrong.
pub(crate) fn run(command: &mut Command) -> Result<(), ProjectError> {
    let program = PathBuf::from(command.get_program());
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(ProjectError::io(&program))?;
    if status.success() {
        return Ok(());
    }
    let tool = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(ProjectError::Build { tool, status: status.to_string() })
}
