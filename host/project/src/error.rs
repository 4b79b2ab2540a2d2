//! What keeps a project from being made or built.
//!
//! The texts do not repeat the file or folder that [`ProjectError::path`] gives.

use std::io;
use std::path::{Path, PathBuf};

/// Why a project could not be made or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The compiler or componentizer failed; what it says is on standard error.
    #[error("`{tool}` failed ({status})")]
    Build {
        /// The tool.
        tool: String,
        /// How it ended.
        status: String,
    },
    /// A core module does not make a component of the policy world.
    #[error("the module does not make a component: {problem}")]
    Component {
        /// The module.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest does not say what it must.
    #[error("{problem}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is missing or wrong.
        problem: String,
    },
    /// A tool is not installed.
    #[error("`{tool}` is missing: looked in {looked_in}")]
    MissingTool {
        /// The tool.
        tool: String,
        /// Where it was looked for.
        looked_in: String,
        /// How to get it.
        hint: String,
    },
    /// A project would be written over what is there.
    #[error("it exists already and is not an empty folder; nothing was written")]
    NotEmpty(PathBuf),
    /// The folder holds no project.
    #[error("no policy's project: expected a `Cargo.toml`, a `pyproject.toml` or a `package.json`")]
    NotAProject(PathBuf),
}

impl ProjectError {
    /// The file or folder that it is about; none when it is about the project as a whole.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Component { path, .. } | Self::Io { path, .. } | Self::Manifest { path, .. } => {
                Some(path)
            }
            Self::NotAProject(path) | Self::NotEmpty(path) => Some(path),
            Self::Build { .. } | Self::MissingTool { .. } => None,
        }
    }

    /// The way out, where there is a known one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::MissingTool { hint, .. } => Some(hint),
            Self::NotEmpty(_) => Some("choose another name, or another folder to start in"),
            Self::NotAProject(_) => {
                Some("`portcullis policy new NAME --language LANGUAGE` makes one")
            }
            _ => None,
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    pub(crate) fn manifest(path: &Path, problem: impl Into<String>) -> Self {
        Self::Manifest { path: path.to_owned(), problem: problem.into() }
    }
}
