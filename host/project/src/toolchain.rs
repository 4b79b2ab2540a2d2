//! Finds a way to compile for `wasm32-unknown-unknown`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::ProjectError;

/// What policies are compiled for: it has no system interface at all, so a component of it imports no WASI.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The environment variable that names one of [`WAYS`], to the exclusion of the others.
pub const VARIABLE: &str = "PORTCULLIS_WASM_TOOLCHAIN";

/// The ways to come by a toolchain, in the order in which they are tried: the active one as it is, the active one after
/// `rustup target add`, and Debian's `rustc-web`.
pub const WAYS: [&str; 3] = ["installed", "rustup", "debian"];

/// Which way to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// One of [`WAYS`]; none for the first that leads somewhere.
    pub way: Option<&'a str>,
    /// Whether packages of the system may be installed with apt-get: a developer's machine or CI, not a user's.
    pub install_packages: bool,
}

/// How cargo is to compile for [`TARGET`].
#[derive(Debug)]
pub(crate) enum Toolchain {
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
    pub(crate) fn apply(&self, cargo: &mut Command) {
        let Self::FromSource { rustc, linker } = self else { return };
        // Building the standard library is a nightly option; the compiler's own library is what it is meant for.
        cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
}

/// Finds a toolchain for what is compiled in `folder`.
pub(crate) fn find(folder: &Path, choice: Choice<'_>) -> Result<Toolchain, ProjectError> {
    let machine = Machine { folder, install_packages: choice.install_packages };
    let mut tried = Vec::new();
    for name in WAYS.iter().filter(|name| choice.way.is_none_or(|wanted| wanted == **name)) {
        let result = match *name {
            "installed" => machine.installed(),
            "rustup" => machine.rustup(),
            _ => machine.debian(),
        };
        match result {
            Ok(toolchain) => return Ok(toolchain),
            Err(problem) => tried.push(format!("{name} ({problem})")),
        }
    }
    if let (true, Some(wanted)) = (tried.is_empty(), choice.way) {
        tried.push(format!("`{wanted}`, which is none of {}", WAYS.join(", ")));
    }
    Err(ProjectError::MissingTool {
        tool: format!("standard library for {TARGET}"),
        looked_in: tried.join("; "),
        hint: format!(
            "with a network, run `rustup target add {TARGET}`; on Debian, install the packages {}",
            DEBIAN_PACKAGES.join(" and ")
        ),
    })
}

/// Debian's compiler for browsers follows Rust's releases, and its source package has the standard library with all
/// that it depends on.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// `RUSTC` is not asked: inside a build it names a compiler that was chosen for something else.
const ACTIVE_RUSTC: &str = "rustc";

/// What is here to compile with. Problems are texts: whoever looks for a toolchain is told all of them at once.
struct Machine<'a> {
    /// Where commands run, since the active toolchain may depend on it.
    folder: &'a Path,
    install_packages: bool,
}

impl Machine<'_> {
    fn installed(&self) -> Result<Toolchain, String> {
        let libraries = PathBuf::from(self.output(Command::new(ACTIVE_RUSTC).args([
            "--print",
            "target-libdir",
            "--target",
            TARGET,
        ]))?);
        let has_core = fs::read_dir(&libraries).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        });
        match has_core {
            true => Ok(Toolchain::Active),
            false => Err(format!("it is not in {}", libraries.display())),
        }
    }

    fn rustup(&self) -> Result<Toolchain, String> {
        eprintln!("{TARGET} is not installed: asking rustup for it");
        // One attempt: a machine without a network should learn it at once.
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "0");
        self.run(&mut rustup, Duration::from_secs(120))?;
        self.installed()
    }

    fn debian(&self) -> Result<Toolchain, String> {
        let rustc = PathBuf::from(DEBIAN_RUSTC);
        if let Err(lack) = self.check_debian(&rustc) {
            if !self.install_packages {
                return Err(lack);
            }
            self.install_debian().map_err(|problem| format!("{lack}, and {problem}"))?;
            self.check_debian(&rustc)?;
        }
        Ok(Toolchain::FromSource { rustc, linker: self.linker()? })
    }

    fn check_debian(&self, rustc: &Path) -> Result<(), String> {
        exists(rustc)?;
        let version = self.output(Command::new(rustc).arg("--version"))?;
        let minimum = env!("CARGO_PKG_RUST_VERSION");
        if minor(&version).zip(minor(minimum)).is_none_or(|(has, needs)| has < needs) {
            return Err(format!("{} is {version}: expected {minimum} or newer", rustc.display()));
        }
        let sysroot = self.output(Command::new(rustc).args(["--print", "sysroot"]))?;
        exists(&Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml"))
    }

    fn install_debian(&self) -> Result<(), String> {
        exists(Path::new("/usr/bin/apt-get"))?;
        let id = self.output(Command::new("id").arg("-u"))?;
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
        self.run(apt_get().args(["update", "--quiet"]), Duration::from_secs(300))?;
        self.run(
            apt_get()
                .args(["install", "--quiet", "--yes", "--no-install-recommends"])
                .args(DEBIAN_PACKAGES),
            Duration::from_secs(900),
        )
    }

    /// The linker of the active toolchain, or LLVM's own.
    fn linker(&self) -> Result<PathBuf, String> {
        let sysroot = self.output(Command::new(ACTIVE_RUSTC).args(["--print", "sysroot"]))?;
        let verbose = self.output(Command::new(ACTIVE_RUSTC).arg("-vV"))?;
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let own = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
        if own.exists() {
            return Ok(own);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .map(|folder| folder.join("wasm-ld"))
            .find(|file| file.exists())
            .ok_or_else(|| {
                format!("neither {} nor a `wasm-ld` exists: install the package lld", own.display())
            })
    }

    fn output(&self, command: &mut Command) -> Result<String, String> {
        let text = describe(command);
        let output = command
            .current_dir(self.folder)
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run `{text}`: {error}"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(format!("`{text}` failed: {}", output.status)),
        }
    }

    /// Runs a command that uses the network, and ends it when it takes too long.
    fn run(&self, command: &mut Command, limit: Duration) -> Result<(), String> {
        let text = describe(command);
        let failed = |error: std::io::Error| format!("cannot run `{text}`: {error}");
        let mut child = command
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let start = Instant::now();
        loop {
            match child.try_wait().map_err(failed)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("`{text}` failed: {status}")),
                None if start.elapsed() > limit => {
                    child.kill().and_then(|()| child.wait()).map_err(failed)?;
                    return Err(format!("`{text}` took longer than {} s", limit.as_secs()));
                }
                None => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

fn exists(path: &Path) -> Result<(), String> {
    match path.exists() {
        true => Ok(()),
        false => Err(format!("{} does not exist", path.display())),
    }
}

/// The second number of the first version in a text.
fn minor(version: &str) -> Option<u32> {
    let version = version.strip_prefix("rustc ").unwrap_or(version);
    version.split('.').nth(1)?.parse().ok()
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

    fn machine() -> Machine<'static> {
        Machine { folder: Path::new("."), install_packages: false }
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let start = Instant::now();
        let error = machine()
            .run(Command::new("sleep").arg("60"), Duration::from_millis(100))
            .expect_err("ended");
        assert_eq!(error, "`sleep 60` took longer than 0 s");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let error =
            machine().run(&mut Command::new("false"), Duration::from_secs(30)).expect_err("failed");
        assert_eq!(error, "`false` failed: exit status: 1");
    }

    #[test]
    fn a_way_that_does_not_exist_is_named_beside_those_that_do() {
        let choice = Choice { way: Some("nightly"), ..Choice::default() };
        let error = find(Path::new("."), choice).expect_err("no way").to_string();
        assert!(error.contains("`nightly`, which is none of installed, rustup, debian"), "{error}");
    }
}
