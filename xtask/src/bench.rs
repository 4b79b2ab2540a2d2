//! `cargo xtask bench`: figures as ratios against a baseline of the same run.

use anyhow::{Context as _, Result, ensure};

use crate::{build, components};

/// What can be measured: `decide`.
pub fn run(name: &str) -> Result<()> {
    components::build_plugins()?;
    let status = build::cargo(&["bench", "--package", "portcullis-tests", "--bench", name])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the bench `{name}` failed");
    Ok(())
}
