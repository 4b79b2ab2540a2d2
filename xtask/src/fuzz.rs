//! `cargo xtask fuzz`: the targets of `tests/fuzz`, each from its kept corpus.
//!
//! The targets are cargo-fuzz's, and `cargo fuzz run --fuzz-dir tests/fuzz TARGET` runs them too, on a nightly
//! toolchain. Here they are built without sanitizers, which safe code has little use for, and so on any toolchain.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};

use crate::{build, components};

/// What libFuzzer needs of the compiler: counters of covered edges, and comparisons that it can learn from.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";

/// Runs one target, or all of them, for so many seconds each.
pub fn run(only: Option<&str>, seconds: u32) -> Result<()> {
    let folder = components::root().join("tests/fuzz");
    let target = components::target_folder().join("fuzz");
    // Named, so that build scripts and procedural macros are built without the flags.
    let triple = host_triple()?;
    let status = build::cargo(&["build", "--release", "--target", &triple, "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo could not build the fuzz targets");

    let names = targets(&folder)?;
    let names: Vec<_> = names.iter().filter(|name| only.is_none_or(|only| only == *name)).collect();
    ensure!(!names.is_empty(), "there is no such target in {}", folder.display());
    // A fuzzer uses one core.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for together in names.chunks(cores) {
        let fuzzers: Vec<_> = together
            .iter()
            .map(|name| start(name, &folder, &target, &triple, seconds))
            .collect::<Result<_>>()?;
        // Every one is waited for before one that failed ends this.
        let ended: Vec<_> = fuzzers.into_iter().map(|mut fuzzer| fuzzer.wait()).collect();
        for (name, status) in together.iter().zip(ended) {
            let log = target.join("found").join(name).with_extension("log");
            ensure!(status?.success(), "`{name}` failed; {} has the input", log.display());
            eprintln!("fuzz: {name} found nothing in {}", runs(&log)?);
        }
    }
    Ok(())
}

fn start(name: &str, folder: &Path, target: &Path, triple: &str, seconds: u32) -> Result<Child> {
    eprintln!("fuzz: {name} for {seconds} s");
    let found = target.join("found").join(name);
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let binary = target.join(triple).join("release").join(name);
    // New inputs go to the first folder; the kept corpus is the second, and is only read.
    Command::new(&binary)
        .arg(&found)
        .arg(folder.join("corpus").join(name))
        .args([&format!("-max_total_time={seconds}"), "-rss_limit_mb=4096", "-timeout=10"])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .stderr(fs::File::create(found.with_extension("log"))?)
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))
}

/// "123 runs", from libFuzzer's last lines: "Done 123 runs in 60 second(s)".
fn runs(log: &Path) -> Result<String> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let done = text.lines().rev().find_map(|line| line.strip_prefix("Done "));
    done.map(str::to_owned).with_context(|| format!("{} does not say how it ended", log.display()))
}

/// The targets by their files.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join("targets"))? {
        if let Some(name) = entry?.file_name().to_string_lossy().strip_suffix(".rs") {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn host_triple() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let triple = text.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).context("`rustc -vV` does not name its host")
}
