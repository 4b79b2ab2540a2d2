//! Policies in JavaScript: a componentizer puts a JavaScript engine and `main.js` into the component.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tool::{self, Tool};
use crate::{ProjectError, output, wit};

const SOURCE: &str = "main.js";

/// The JavaScript engine that a component brings.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Engine {
    /// Small and quick to start; ECMAScript 2023 without web interfaces.
    #[default]
    QuickJs,
    /// Mozilla's engine, eight times as large, with web interfaces such as `TextDecoder`.
    StarlingMonkey,
}

impl Engine {
    /// The npm package that makes components with it, and its version.
    pub(crate) fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::QuickJs => ("componentize-qjs", "0.4.5"),
            Self::StarlingMonkey => ("@bytecodealliance/componentize-js", "0.23.0"),
        }
    }

    /// The engine whose package a `package.json` depends on.
    pub(crate) fn of_manifest(manifest: &Value) -> Option<Self> {
        let depends = |package: &str| {
            ["dependencies", "devDependencies"]
                .iter()
                .any(|kind| manifest[*kind].get(package).is_some())
        };
        [Self::QuickJs, Self::StarlingMonkey].into_iter().find(|engine| depends(engine.package().0))
    }

    fn tool(self) -> Tool {
        let (name, local) = match self {
            Self::QuickJs => ("componentize-qjs", "node_modules/.bin/componentize-qjs"),
            Self::StarlingMonkey => ("componentize-js", "node_modules/.bin/componentize-js"),
        };
        let hint = "in the project, run `npm install` (Node 18 or newer)".to_owned();
        Tool { name, local, hint }
    }
}

pub(crate) fn build(
    project: &Path,
    engine: Engine,
    component: &Path,
    folders: &[PathBuf],
) -> Result<(), ProjectError> {
    let tool = engine.tool().find(project, folders)?;
    wit::with_folder(project, component, |wit| {
        let wit = std::path::absolute(wit).map_err(ProjectError::io(wit))?;
        output::write_by(component, |draft| {
            let draft = std::path::absolute(draft).map_err(ProjectError::io(draft))?;
            let mut command = Command::new(&tool);
            command.current_dir(project).arg("--wit").arg(&wit);
            match engine {
                Engine::QuickJs => command
                    .args(["--world", wit::WORLD, "--js", SOURCE])
                    .args(["--sync", "--minify", "--output"])
                    .arg(&draft),
                Engine::StarlingMonkey => command
                    .args(["--world-name", wit::WORLD, "--out"])
                    .arg(&draft)
                    .arg(SOURCE)
                    // What a policy is not given of WASI. The list has no end of its own, so it stands last.
                    .args(["--disable", "http", "fetch-event"]),
            };
            tool::run(&mut command)
        })
    })
}
