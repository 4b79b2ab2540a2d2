//! Policies in Rust: cargo compiles each package to a core module for `wasm32-unknown-unknown`, with whatever toolchain is
//! [found](crate::toolchain), and `wit-component` makes the component of it. Cargo's own freshness check is the cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::toolchain::{self, Choice, TARGET};
use crate::{ProjectError, encode, output};

/// A package to build.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name in its `Cargo.toml`. Its library must be a `cdylib`, and of that name.
    pub name: String,
    /// The component to write.
    pub component: PathBuf,
}

/// Builds packages of the workspace, or the one package, whose `Cargo.toml` is in `folder`.
///
/// Cargo's files go into `target_folder`, or where cargo puts them. `choice` says which toolchain
/// to take. A component that came out as before is not written again. May be called from several processes at once:
/// cargo makes them wait for each other.
///
/// # Errors
/// No toolchain is found, cargo fails, or a package does not make a component.
pub fn build(
    folder: &Path,
    packages: &[Package],
    target_folder: Option<&Path>,
    choice: Choice<'_>,
) -> Result<(), ProjectError> {
    let folder = std::path::absolute(folder).map_err(ProjectError::io(folder))?;
    let toolchain = toolchain::find(&folder, choice)?;
    let mut cargo = cargo(&folder, packages, target_folder);
    toolchain.apply(&mut cargo);
    let modules = compile(&mut cargo)?;

    for package in packages {
        let file = format!("{}.wasm", package.name.replace('-', "_"));
        let module = modules
            .iter()
            .find(|module| module.file_name().is_some_and(|name| *name == *file))
            .ok_or_else(|| {
                let problem = format!(
                    "`{}` made no {file}: give its library the crate-type `cdylib`",
                    package.name
                );
                ProjectError::manifest(&folder.join("Cargo.toml"), problem)
            })?;
        let bytes = fs::read(module).map_err(ProjectError::io(module))?;
        let component = encode::component(&bytes)
            .map_err(|problem| ProjectError::Component { path: module.clone(), problem })?;
        output::write_if_changed(&package.component, &component)?;
    }
    Ok(())
}

/// The release profile of guests, whatever the workspace has for its own binaries.
const PROFILE: &[(&str, &str)] = &[
    ("CODEGEN_UNITS", "1"),
    ("DEBUG", "false"),
    ("LTO", "true"),
    ("OPT_LEVEL", "3"),
    ("PANIC", "abort"),
    ("STRIP", "true"),
];

fn cargo(folder: &Path, packages: &[Package], target_folder: Option<&Path>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    if let Some(target_folder) = target_folder {
        cargo.arg("--target-dir").arg(target_folder);
    }
    for package in packages {
        cargo.args(["--package", &package.name]);
    }
    // Flags that are meant for the machine at hand (a CPU, a linker, coverage) have no place in a component, nor has the
    // home of whoever builds it, which would stand in the places of panics.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Some(home) = cargo_home() {
        cargo.env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("--remap-path-prefix={}=cargo", home.display()),
        );
    }
    for (key, value) in PROFILE {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    cargo
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> Option<PathBuf> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Runs cargo, and gives the core modules that it made or found fresh.
fn compile(cargo: &mut Command) -> Result<Vec<PathBuf>, ProjectError> {
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        ProjectError::MissingTool {
            tool: "cargo".to_owned(),
            looked_in: format!("the PATH ({error})"),
            hint: "install Rust: https://rustup.rs".to_owned(),
        }
    })?;
    if !output.status.success() {
        let status = output.status.to_string();
        return Err(ProjectError::Build { tool: "cargo build".to_owned(), status });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact");
    let files = artifacts.flat_map(|message| message["filenames"].as_array().cloned());
    Ok(files
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .filter(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .collect())
}
