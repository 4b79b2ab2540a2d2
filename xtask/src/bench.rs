//! `cargo xtask bench`: figures as ratios against a baseline of the same run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::figures::{self, Figures};
use crate::{build, chart, components, peers};

/// What can be measured: the benches of the packages below.
const BENCHES: [&str; 8] =
    ["decide", "handshake", "load", "proxy", "rejudge", "replay", "revocation", "start"];
/// Always together, so that everything beneath them is compiled once.
const PACKAGES: [&str; 4] = ["--package", "portcullis", "--package", "portcullis-tests"];

/// What to measure, and where to write what comes of it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to measure, one of the benches by name; all by default
    name: Option<String>,
    /// Measure for a short time
    #[arg(long)]
    quick: bool,
    /// Where to write the figures as JSON; those of all benches go into target/bench/figures.json by default
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to draw them; those of all benches go into target/bench/figures.svg by default
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs one of them, or all.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = components::target_folder().join("bench");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let names: Vec<&str> = match &arguments.name {
        Some(name) => vec![name],
        None => BENCHES.to_vec(),
    };
    components::build_plugins()?;
    let mut all = Vec::new();
    for name in names {
        let path = folder.join(name).with_extension("json");
        measure(name, arguments.quick, &path)?;
        all.push(Figures::read(&path)?);
    }
    let beside = |name: &str| arguments.name.is_none().then(|| folder.join(name));
    if let Some(path) = arguments.json.clone().or_else(|| beside("figures.json")) {
        match (&arguments.name, all.first()) {
            (Some(_), Some(figures)) => figures.write(&path)?,
            _ => {
                let all: BTreeMap<_, _> = all.iter().map(|one| (&one.bench, one)).collect();
                figures::write_json(&path, &all)?;
            }
        }
        println!("{}", path.display());
    }
    if let Some(path) = arguments.svg.clone().or_else(|| beside("figures.svg")) {
        fs::write(&path, chart::svg(&all)).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Builds what a bench needs, and runs it. It prints what it finds, and writes it to the path.
fn measure(name: &str, quick: bool, path: &Path) -> Result<()> {
    ensure!(BENCHES.contains(&name), "`{name}` is no bench; there are `{}`", BENCHES.join("`, `"));
    if name == "handshake" {
        peers::ensure_haproxy()?;
    }
    if ["handshake", "proxy"].contains(&name) {
        peers::ensure_nginx()?;
    }
    if ["handshake", "load", "proxy", "rejudge", "start"].contains(&name) {
        let status = build::cargo(&["build", "--release"]).args(PACKAGES).status();
        ensure!(status.context("cannot run cargo")?.success(), "cargo could not build the gate");
    }
    let mut cargo = build::cargo(&["bench", "--bench", name]);
    cargo.args(PACKAGES).args(["--", "--json"]).arg(path).args(quick.then_some("--quick"));
    ensure!(cargo.status().context("cannot run cargo")?.success(), "the bench `{name}` failed");
    Ok(())
}
