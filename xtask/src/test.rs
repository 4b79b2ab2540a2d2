//! `cargo xtask test`: prepares what the tests need, and runs them all.

use std::ffi::OsString;

use anyhow::{Context as _, Result, ensure};

use crate::{build, components, peers};

/// Fetches the peers, builds the components, and runs the tests with these further arguments of cargo.
pub fn run(arguments: &[OsString]) -> Result<()> {
    eprintln!("test: fetching the peers");
    let peers = peers::ensure(&components::root())?;
    eprintln!("test: building the policies");
    components::build_plugins()?;
    components::build_examples(&peers)?;
    // Builds the gate's binary as well, since its package has tests that run it.
    let status = build::cargo(&["test", "--workspace"])
        .args(arguments)
        .env("PORTCULLIS_MCP_SERVER_TIME", peers.mcp_server_time())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "some tests failed");
    Ok(())
}
