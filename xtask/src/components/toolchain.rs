//! Finds a way to compile for `wasm32-unknown-unknown`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::root;

/// What policies are compiled for: it has no system interface at all, so a component of it imports no WASI.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// Names one way, to the exclusion of the others: `installed`, `rustup` or `debian`.
const WAY: &str = "PORTCULLIS_WASM_TOOLCHAIN";

/// How cargo is to compile for [`TARGET`].
#[derive(Debug)]
pub(super) enum Toolchain {
    /// The active toolchain has the target's standard library.
    Active,
    /// Another compiler, which comes with the source of the standard library.
    FromSource {
        /// The compiler.
        rustc: PathBuf,
        /// A linker for WebAssembly, which that compiler may lack.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Sets what cargo needs to use it.
    pub(super) fn apply(&self, cargo: &mut Command) {
        let Self::FromSource { rustc, linker } = self else { return };
        // Building the standard library is a nightly option; the compiler's own library is what it is meant for.
        cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
}

/// Finds a toolchain: the active one, if need be after `rustup target add`; otherwise Debian's.
pub(super) fn find() -> Result<Toolchain> {
    let wanted = env::var(WAY).ok();
    let mut tried = Vec::new();
    for (name, way) in WAYS {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        match way() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => tried.push(format!("\n  {name}: {error:#}")),
        }
    }
    if tried.is_empty() {
        bail!(
            "{WAY} is `{}`: expected `installed`, `rustup` or `debian`",
            wanted.unwrap_or_default()
        );
    }
    bail!(
        "no way to compile for {TARGET} was found; tried:{}\n\n\
         hint: with a network, run `rustup target add {TARGET}`; on Debian, install the packages {}",
        tried.concat(),
        DEBIAN_PACKAGES.join(" and "),
    )
}

type Way = fn() -> Result<Toolchain>;

const WAYS: &[(&str, Way)] = &[("installed", installed), ("rustup", rustup), ("debian", debian)];

fn installed() -> Result<Toolchain> {
    let rustc = active_rustc();
    let libraries = PathBuf::from(output(Command::new(&rustc).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]))?);
    let has_core = fs::read_dir(&libraries).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    });
    ensure!(has_core, "no standard library for {TARGET} in {}", libraries.display());
    Ok(Toolchain::Active)
}

fn rustup() -> Result<Toolchain> {
    eprintln!("{TARGET} is not installed: asking rustup for it");
    run(
        // One attempt: a machine without a network should learn it at once.
        Command::new("rustup").args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "0"),
        Duration::from_secs(120),
    )?;
    installed()
}

/// Debian's compiler for browsers follows Rust's releases, and its source package has the standard library with all
/// that it depends on.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

fn debian() -> Result<Toolchain> {
    let rustc = PathBuf::from(DEBIAN_RUSTC);
    if let Err(lack) = check_debian(&rustc) {
        install_debian().with_context(|| format!("{lack:#}"))?;
        check_debian(&rustc)?;
    }
    Ok(Toolchain::FromSource { rustc, linker: linker()? })
}

fn check_debian(rustc: &Path) -> Result<()> {
    ensure!(rustc.exists(), "{} does not exist", rustc.display());

    let version = output(Command::new(rustc).arg("--version"))?;
    let minimum = env!("CARGO_PKG_RUST_VERSION");
    let new_enough = minor(&version).zip(minor(minimum)).is_some_and(|(has, needs)| has >= needs);
    ensure!(new_enough, "{} is {version}: expected {minimum} or newer", rustc.display());

    let sysroot = PathBuf::from(output(Command::new(rustc).args(["--print", "sysroot"]))?);
    let source = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
    ensure!(source.exists(), "{} does not exist", source.display());
    Ok(())
}

fn install_debian() -> Result<()> {
    ensure!(Path::new("/usr/bin/apt-get").exists(), "there is no apt-get");
    let id = output(Command::new("id").arg("-u"))?;
    let apt_get = || {
        let mut command = match id.as_str() {
            "0" => Command::new("apt-get"),
            _ => {
                let mut sudo = Command::new("sudo");
                sudo.args(["-n", "apt-get"]);
                sudo
            }
        };
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    eprintln!("installing {}", DEBIAN_PACKAGES.join(" and "));
    run(apt_get().args(["update", "--quiet"]), Duration::from_secs(300))?;
    run(
        apt_get()
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(DEBIAN_PACKAGES),
        Duration::from_secs(900),
    )
}

/// The linker of the active toolchain, or LLVM's own.
fn linker() -> Result<PathBuf> {
    let rustc = active_rustc();
    let sysroot = PathBuf::from(output(Command::new(&rustc).args(["--print", "sysroot"]))?);
    let verbose = output(Command::new(&rustc).arg("-vV"))?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let own = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    if own.exists() {
        return Ok(own);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join("wasm-ld"))
        .find(|file| file.exists())
        .with_context(|| {
            format!("neither {} nor a `wasm-ld` exists: install the package lld", own.display())
        })
}

/// `RUSTC` is not asked: inside a build it names a compiler that was chosen for something else.
fn active_rustc() -> PathBuf {
    PathBuf::from("rustc")
}

/// The second number of the first version in a text.
fn minor(version: &str) -> Option<u32> {
    let version = version.strip_prefix("rustc ").unwrap_or(version);
    version.split('.').nth(1)?.parse().ok()
}

fn output(command: &mut Command) -> Result<String> {
    let text = describe(command);
    let output = command
        .current_dir(root())
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{text}`"))?;
    ensure!(output.status.success(), "`{text}` failed: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a command that uses the network, and ends it when it takes too long.
fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let text = describe(command);
    let mut child = command
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run `{text}`"))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "`{text}` failed: {status}");
            return Ok(());
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("`{text}` took longer than {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn describe(command: &Command) -> String {
    let words: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read_from_what_compilers_and_manifests_say() {
        assert_eq!(
            minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some(96)
        );
        assert_eq!(minor("1.95"), Some(95));
        assert_eq!(minor("unknown"), None);
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let start = Instant::now();
        let error =
            run(Command::new("sleep").arg("60"), Duration::from_millis(100)).expect_err("ended");
        assert_eq!(error.to_string(), "`sleep 60` took longer than 0 s");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let error = run(&mut Command::new("false"), Duration::from_secs(30)).expect_err("failed");
        assert_eq!(error.to_string(), "`false` failed: exit status: 1");
    }
}
