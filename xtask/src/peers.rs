//! Fetches what the tests need of others: MCP clients, a server, a suite of certificates, and what makes components of Python
//! and JavaScript, from PyPI and npm.
//!
//! What is fetched, and in which version, stands in `tests/peers`; it goes into `target/peers` and is fetched again
//! only when those lists change.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// The MCP client package in its second major version, and servers.
const PYTHON_MCP_2: &str = "python-mcp-2";
/// The MCP client package in its first major version.
const PYTHON_MCP_1: &str = "python-mcp-1";
/// The stubs of a SPIFFE Workload API.
const WORKLOAD_API: &str = "workload-api";
/// What makes components of Python.
const COMPONENTIZE_PY: &str = "componentize-py";
/// What makes components of JavaScript, with either engine.
const COMPONENTIZE_JS: &str = "componentize-js";
/// Certificates and schemas to test with.
const VECTORS: &str = "vectors";

/// The Node that the TypeScript client and its HTTP library need.
const NODE_VERSION: (u32, u32) = (22, 19);

/// What of the system is needed, and the Debian packages that bring it.
const PROGRAMS: [(&str, &[&str], &str); 8] = [
    ("curl", &["--version"], "curl"),
    ("git", &["--version"], "git"),
    ("node", &["--version"], "nodejs"),
    ("npm", &["--version"], "npm"),
    ("openssl", &["version"], "openssl"),
    ("python3", &["--version"], "python3"),
    ("python3", &["-c", "import ensurepip, venv"], "python3-venv"),
    ("stunnel", &["-version"], "stunnel4"),
];

/// Where the peers are.
#[derive(Clone, Debug)]
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Where [`ensure()`] puts them, whether or not they are there.
    pub fn of(root: &Path) -> Self {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self { folder: target.join("peers") }
    }

    /// A Python that has `mcp` 2.
    pub fn python_mcp_2(&self) -> PathBuf {
        self.folder.join(PYTHON_MCP_2).join("bin/python")
    }

    /// A Python that has `mcp` 1.
    pub fn python_mcp_1(&self) -> PathBuf {
        self.folder.join(PYTHON_MCP_1).join("bin/python")
    }

    /// A Python that has `spiffe`.
    pub fn python_workload_api(&self) -> PathBuf {
        self.folder.join(WORKLOAD_API).join("bin/python")
    }

    /// A real MCP server that speaks over its standard input and output.
    pub fn mcp_server_time(&self) -> PathBuf {
        self.folder.join(PYTHON_MCP_2).join("bin/mcp-server-time")
    }

    /// Another one: it takes `--repository FOLDER`.
    pub fn mcp_server_git(&self) -> PathBuf {
        self.folder.join(PYTHON_MCP_2).join("bin/mcp-server-git")
    }

    /// The script of a package from npm, for [`Peers::node`]: an MCP server, or the conformance suite.
    pub fn script(&self, name: &str) -> PathBuf {
        self.node_folder().join("node_modules/.bin").join(name)
    }

    /// A virtual environment that has `componentize-py`.
    pub fn componentize_py(&self) -> PathBuf {
        self.folder.join(COMPONENTIZE_PY)
    }

    /// The folder of `node_modules` that has `componentize-qjs` and `componentize-js`.
    pub fn componentize_js(&self) -> PathBuf {
        self.folder.join(COMPONENTIZE_JS)
    }

    /// The folders of the programs that make components of other languages than Rust.
    pub fn componentizers(&self) -> [PathBuf; 2] {
        [self.componentize_py().join("bin"), self.componentize_js().join("node_modules/.bin")]
    }

    /// NIST's Public Key Interoperability Test Suite: a folder of certificates and one of CRLs.
    pub fn pkits(&self) -> PathBuf {
        self.folder.join(VECTORS).join("cryptography_vectors/x509/PKITS_data")
    }

    /// Where [`Peers::python_mcp_2`] finds the package `kubernetes_validate`.
    pub fn kubernetes_validate(&self) -> PathBuf {
        self.folder.join(VECTORS)
    }

    /// A Node that is new enough.
    pub fn node(&self) -> PathBuf {
        let fetched = self.node_folder().join("node_modules/.bin/node");
        if fetched.exists() { fetched } else { PathBuf::from("node") }
    }

    /// The folder of `node_modules`, in which the packages are.
    pub fn node_folder(&self) -> PathBuf {
        self.folder.join("node")
    }
}

/// Fetches what is missing or has another version than `tests/peers` says.
///
/// # Errors
/// Says what is missing where it cannot be installed.
pub fn ensure(root: &Path) -> Result<Peers> {
    ensure_programs()?;
    let (peers, lists) = (Peers::of(root), root.join("tests/peers"));
    for name in [PYTHON_MCP_2, PYTHON_MCP_1, WORKLOAD_API] {
        ensure_python(&peers.folder.join(name), &lists.join(name).with_extension("txt"))?;
    }
    ensure_vectors(&peers, &lists.join(VECTORS).with_extension("txt"))?;
    ensure_node(&peers, &lists.join("package.json"))?;
    // New projects get what is tested here.
    let requirements = root.join("host/project/templates/python/requirements.txt");
    ensure_python(&peers.componentize_py(), &requirements)?;
    ensure_npm(&peers.componentize_js(), &lists.join("componentize-js.json"))?;
    Ok(peers)
}

/// Fetches only [`Peers::mcp_server_time`], and says where it is.
///
/// # Errors
/// Says what is missing where it cannot be installed.
pub fn ensure_time_server(root: &Path) -> Result<PathBuf> {
    ensure_programs()?;
    let (peers, list) = (Peers::of(root), root.join("tests/peers").join(PYTHON_MCP_2));
    ensure_python(&peers.folder.join(PYTHON_MCP_2), &list.with_extension("txt"))?;
    Ok(peers.mcp_server_time())
}

/// Installs nginx if it is missing: another gate to measure against.
///
/// # Errors
/// Says so where it cannot be installed.
pub fn ensure_nginx() -> Result<()> {
    let program = if Path::new(NGINX).exists() { NGINX } else { "nginx" };
    ensure_installed(&[(program, &["-v"], "nginx-light")])
}

/// Installs HAProxy if it is missing: one more.
///
/// # Errors
/// Says so where it cannot be installed.
pub fn ensure_haproxy() -> Result<()> {
    let program = if Path::new(HAPROXY).exists() { HAPROXY } else { "haproxy" };
    ensure_installed(&[(program, &["-v"], "haproxy")])
}

/// Debian keeps these where only the superuser looks.
pub const NGINX: &str = "/usr/sbin/nginx";
/// As [`NGINX`].
pub const HAPROXY: &str = "/usr/sbin/haproxy";

fn ensure_programs() -> Result<()> {
    ensure_installed(&PROGRAMS)
}

fn ensure_installed(programs: &[(&str, &[&str], &str)]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, arguments, _)| !runs(program, arguments))
        .map(|(_, _, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    eprintln!("peers: installing {packages} with apt-get");
    for prefix in [&[][..], &["sudo", "-n"]] {
        let apt = |arguments: &[&str]| {
            let line: Vec<&str> =
                prefix.iter().chain(&["apt-get", "-qq"]).chain(arguments).copied().collect();
            runs(line[0], &line[1..])
        };
        // A list that is old is still better than none, so only the installation counts.
        apt(&["update"]);
        if apt(&[&["install", "-y", "--no-install-recommends"], &missing[..]].concat()) {
            return Ok(());
        }
    }
    bail!(
        "the tests need {packages}, and apt-get could not install them: please install them and start again"
    )
}

/// A virtual environment with exactly the packages of a requirements file.
fn ensure_python(folder: &Path, requirements: &Path) -> Result<()> {
    let python = folder.join("bin/python");
    if is_current(folder, requirements)? && runs(&python, &["--version"]) {
        return Ok(());
    }
    eprintln!("peers: fetching {} with pip", requirements.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements))?;
    stamp(folder, requirements)
}

/// Packages of files, for which a folder will do.
fn ensure_vectors(peers: &Peers, requirements: &Path) -> Result<()> {
    let folder = peers.folder.join(VECTORS);
    if is_current(&folder, requirements)? && peers.pkits().exists() {
        return Ok(());
    }
    eprintln!("peers: fetching {} with pip", requirements.display());
    run(Command::new(peers.python_mcp_2())
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--upgrade", "--target"])
        .arg(&folder)
        .arg("--requirement")
        .arg(requirements))?;
    stamp(&folder, requirements)
}

fn ensure_node(peers: &Peers, package: &Path) -> Result<()> {
    ensure_npm(&peers.node_folder(), package)?;
    let version = node_version(&peers.node())?;
    let (major, minor) = NODE_VERSION;
    ensure!(
        version >= NODE_VERSION,
        "the tests need Node {major}.{minor} or newer, and npm did not bring it: please install it and start again"
    );
    Ok(())
}

/// A folder whose `node_modules` has what this `package.json` wants.
fn ensure_npm(folder: &Path, package: &Path) -> Result<()> {
    if is_current(folder, package)? && folder.join("node_modules").exists() {
        return Ok(());
    }
    eprintln!("peers: fetching {} with npm", package.display());
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let copy = folder.join("package.json");
    fs::copy(package, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    run(Command::new("npm")
        .args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder))?;
    stamp(folder, package)
}

/// From "v22.23.3".
fn node_version(node: &Path) -> Result<(u32, u32)> {
    let output = Command::new(node).arg("--version").output().context("cannot run node")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.trim().trim_start_matches('v').split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("`node --version` says `{}`", text.trim()),
    }
}

/// Whether the folder was filled from this very list.
fn is_current(folder: &Path, list: &Path) -> Result<bool> {
    let wanted = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    Ok(fs::read(stamp_of(folder)).is_ok_and(|present| present == wanted))
}

fn stamp(folder: &Path, list: &Path) -> Result<()> {
    fs::copy(list, stamp_of(folder))
        .map(drop)
        .with_context(|| format!("cannot write into {}", folder.display()))
}

fn stamp_of(folder: &Path) -> PathBuf {
    folder.join("fetched-from")
}

fn runs(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}");
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {line}"))?;
    ensure!(status.success(), "{line} failed ({status})");
    Ok(())
}
