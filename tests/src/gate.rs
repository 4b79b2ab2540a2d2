//! The real binary, started with a configuration of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portcullis_pki::{Authority, write_private, write_public};
use serde_json::Value;
use tempfile::TempDir;

use crate::pki;
use crate::process::Process;

/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

const ANY_ADDRESS: &str = "127.0.0.1:0";

/// The folder for a gate's files, with its own certificate in it: the configuration, assets and clients' keys go here.
pub struct Setup {
    directory: TempDir,
    environment: Vec<(String, PathBuf)>,
}

/// A gate that listens. Ends when dropped.
pub struct Gate {
    child: Child,
    addresses: Addresses,
    lines: Receiver<Value>,
    setup: Setup,
}

/// Where a gate says that it listens.
#[derive(Clone, Copy)]
struct Addresses {
    clients: SocketAddr,
    metrics: Option<SocketAddr>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A folder with the certificate of the server and of who signed it.
    #[must_use]
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let setup = Self { directory, environment: Vec::new() };
        let authority: Authority = pki::root("Test servers");
        let server = authority.issue(&pki::server()).expect("a certificate");
        write_public(&setup.ca(), &authority.certificate_pem()).expect("a file");
        write_public(&setup.path("server.pem"), &server.chain_pem).expect("a file");
        write_private(&setup.path("server.key"), &server.key_pem).expect("a file");
        setup
    }

    /// The folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file of this name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// What a client trusts the gate by.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.path("server-ca.pem")
    }

    /// Sets a variable for the gate.
    pub fn variable(&mut self, name: &str, value: PathBuf) {
        self.environment.push((name.to_owned(), value));
    }

    /// Writes a file that the configuration names.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file");
    }

    /// Starts the gate with this chain (a TOML array) and these sections, and waits until clients can connect.
    #[must_use]
    pub fn start(self, chain: &str, sections: &str) -> Gate {
        let config = format!(
            "chain = {chain}\n[listen]\naddress = \"{ANY_ADDRESS}\"\n\
             certificate = \"server.pem\"\nprivate-key = \"server.key\"\n{sections}"
        );
        self.write("portcullis.toml", config);
        self.launch(&components())
    }

    /// Starts the gate with the `portcullis.toml` of the folder and the components of another, and waits until clients can
    /// connect.
    #[must_use]
    pub fn launch(self, plugins: &Path) -> Gate {
        let (child, lines, addresses) = self.run(plugins);
        Gate { child, addresses, lines, setup: self }
    }

    fn run(&self, plugins: &Path) -> (Child, Receiver<Value>, Addresses) {
        let mut child = Command::new(binary())
            .args(["run", "--format", "json", "--log-format", "json", "--config"])
            .arg(self.path("portcullis.toml"))
            .arg("--plugins")
            .arg(plugins)
            .env_remove("PORTCULLIS_LOG")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        let lines = log_of(&mut child);
        let addresses = listening(&mut child);
        (child, lines, addresses)
    }
}

impl Gate {
    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses.clients
    }

    /// What it tells Prometheus.
    #[must_use]
    pub fn scraped(&self) -> String {
        let mut stream = std::net::TcpStream::connect(self.metrics()).expect("it listens");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Where it serves its metrics, if it was told to.
    #[must_use]
    pub fn metrics(&self) -> SocketAddr {
        self.addresses.metrics.expect("a section [metrics]")
    }

    /// What it was started with.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Ends at once, as in a power cut.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Starts again where it listened before, after [`Gate::kill`].
    pub fn start_again(&mut self) {
        let path = self.setup.path("portcullis.toml");
        let config = std::fs::read_to_string(&path).expect("a file");
        let config = config.replace(ANY_ADDRESS, &self.address().to_string());
        std::fs::write(path, config).expect("a file");
        (self.child, self.lines, _) = self.setup.run(&components());
    }

    /// The line of the next request that is over or opens a stream. Lines of clients in between are left out.
    #[must_use]
    pub fn next_request(&self) -> Value {
        self.next_line(|line| line["target"] == "portcullis::request")
    }

    /// The next line about loading everything again. Others in between are left out.
    #[must_use]
    pub fn next_reload(&self) -> Value {
        self.next_line(|line| line["target"] == "portcullis::reload")
    }

    /// The audit line of the next connection that is closed since its client, judged again, may not stay.
    #[must_use]
    pub fn next_closed(&self) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("another line in the log");
            if line["target"] == "portcullis::audit" && line["cause"].is_string() {
                return line;
            }
        }
    }

    /// Asks it to load everything again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let told = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(told.expect("kill runs").success());
    }

    /// The audit line of the next client. A test that counts on the order has its clients come one by one.
    #[must_use]
    pub fn next_audit(&self) -> Value {
        self.next_line(|line| line["target"] == "portcullis::audit" && line["verdict"].is_string())
    }

    /// The next line of which this is so. Those before it are left out.
    #[must_use]
    pub fn next_line(&self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("another line in the log");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The lines of its log that nobody has read, after [`Gate::stop`].
    #[must_use]
    pub fn rest_of_log(&self) -> Vec<Value> {
        self.lines.iter().collect()
    }
}

impl Gate {
    /// Ends it as an operator does, and waits until it has put everything away. Its files stay.
    pub fn stop(&mut self) {
        self.signal("-TERM");
        let ended = self.child.wait().expect("a process of ours");
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A test that fails must not leave a gate behind, and one that passes has no more use for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `cargo xtask components` puts the components.
#[must_use]
pub fn components() -> PathBuf {
    prepared(target().join("components"))
}

/// A component by its name.
#[must_use]
pub fn component(name: &str) -> Vec<u8> {
    let path = prepared(components().join(name).with_extension("wasm"));
    std::fs::read(&path).expect("a component that is there")
}

/// The binary.
#[must_use]
pub fn binary() -> PathBuf {
    prepared(target().join("debug").join(format!("portcullis{}", std::env::consts::EXE_SUFFIX)))
}

/// Where things are built.
#[must_use]
pub fn target() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from)
}

fn prepared(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: `cargo xtask test` prepares it", path.display());
    path
}

/// The lines of its standard error, as long as it runs: whoever stops reading makes it wait.
fn log_of(child: &mut Child) -> Receiver<Value> {
    let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line.clone()));
            if !value.is_object() {
                // Not its log: a panic, or what it says when it cannot start.
                eprintln!("gate: {line}");
            }
            // A gate that is gone has no more listener.
            let _ = sender.send(value);
        }
    });
    lines
}

fn listening(child: &mut Child) -> Addresses {
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("a line on standard output");
    let event: Value = serde_json::from_str(&line)
        .unwrap_or_else(|_| panic!("the gate did not start; it printed {line:?}"));
    assert_eq!(event["event"], "listening");
    let address = |key: &str| event[key].as_str().and_then(|text| text.parse().ok());
    Addresses { clients: address("address").expect("an address"), metrics: address("metrics") }
}
