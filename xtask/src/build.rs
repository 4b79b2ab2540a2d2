//! Builds the gate.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::components;

/// Builds the binary in the profile that the tests use, and says where it is.
pub(crate) fn gate() -> Result<PathBuf> {
    let status =
        cargo(&["build", "--package", "portcullis"]).status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo could not build the gate");
    let name = format!("portcullis{}", env::consts::EXE_SUFFIX);
    Ok(components::target_folder().join("debug").join(name))
}

/// Cargo, in this repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(components::root()).args(arguments);
    cargo
}
