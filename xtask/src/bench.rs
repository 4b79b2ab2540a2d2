//! `cargo xtask bench`: figures as ratios against a baseline of the same run.

use anyhow::{Context as _, Result, ensure};

use crate::{build, components, peers};

/// What can be measured, and where: a name, its package and its bench.
const BENCHES: [(&str, &str, &str); 4] = [
    ("decide", "portcullis-tests", "decide"),
    ("proxy", "portcullis-tests", "proxy"),
    ("replay", "portcullis", "replay"),
    ("revocation", "portcullis-revocation", "crl"),
];

/// Runs one of them.
pub fn run(name: &str) -> Result<()> {
    let known = BENCHES.iter().find(|(known, ..)| *known == name);
    let (_, package, bench) = known.with_context(|| {
        format!("`{name}` is no bench: `decide`, `proxy`, `replay` or `revocation`")
    })?;
    components::build_plugins()?;
    if name == "proxy" {
        peers::ensure_nginx()?;
        let status = build::cargo(&["build", "--release", "--package", "portcullis"]).status();
        ensure!(status.context("cannot run cargo")?.success(), "cargo could not build the gate");
    }
    let status = build::cargo(&["bench", "--package", package, "--bench", bench])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the bench `{name}` failed");
    Ok(())
}
