//! A SPIFFE agent: the Workload API of `tests/peers/workload_api.py`, which gives what a test says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use data_encoding::BASE64;
use portcullis_pki::{AltName, Authority, Issued, Profile, Validity};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::client::{peers, script};

/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that listens. Ends when dropped.
pub struct Agent {
    child: Child,
    stdin: ChildStdin,
    said: Receiver<String>,
}

/// Everything that an agent gives at one time.
#[derive(Clone, Debug, Default)]
pub struct Given {
    svids: Vec<Value>,
    federated: serde_json::Map<String, Value>,
}

impl Agent {
    /// Starts one that gives nothing yet, at the socket of this path.
    #[must_use]
    pub fn start(socket: &Path) -> Self {
        Self::at(&format!("unix:{}", socket.display())).0
    }

    /// The same at a port of 127.0.0.1, which it gives.
    #[must_use]
    pub fn start_at_a_port() -> (Self, u16) {
        Self::at("127.0.0.1:0")
    }

    fn at(address: &str) -> (Self, u16) {
        let mut child = Command::new(peers().python_workload_api())
            .arg(script("workload_api.py"))
            .arg(address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the agent; `cargo xtask test` prepares it");
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Whoever stopped listening misses nothing.
                let _ = sender.send(line);
            }
        });
        let agent = Self { child, stdin, said };
        let line = agent.next();
        let port = line.strip_prefix("serving ").and_then(|port| port.parse().ok());
        (agent, port.unwrap_or_else(|| panic!("it does not listen: {line}")))
    }

    /// What it says next: `stream` when somebody begins to listen, `refused` when it is asked without the header.
    #[must_use]
    pub fn next(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("another line")
    }

    /// Gives this from now on.
    pub fn give(&mut self, given: &Given) {
        let message = json!({ "svids": given.svids, "federated_bundles": given.federated });
        self.say(&message);
    }

    /// Has no identity for anybody from now on.
    pub fn deny(&mut self) {
        self.say(&Value::Null);
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").expect("it reads");
    }

    /// Ends it at once, as `kill -9` does. Its socket stays.
    pub fn kill(&mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}

impl Given {
    /// With an SVID, its key and these CAs of its trust domain.
    #[must_use]
    pub fn svid(self, issued: &Issued, authorities: &[&Authority]) -> Self {
        self.svid_with(issued, &issued.key_pem, authorities)
    }

    /// The same with a key that may be another's.
    #[must_use]
    pub fn svid_with(mut self, issued: &Issued, key: &str, authorities: &[&Authority]) -> Self {
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        self.svids.push(json!({
            "spiffe_id": "as the certificate says",
            "x509_svid": BASE64.encode(&issued.certificate_der),
            "x509_svid_key": BASE64.encode(key.secret_der()),
            "bundle": bundle(authorities),
        }));
        self
    }

    /// With the CAs of another trust domain.
    #[must_use]
    pub fn federated(mut self, trust_domain: &str, authorities: &[&Authority]) -> Self {
        let id = format!("spiffe://{trust_domain}");
        self.federated.insert(id, Value::String(bundle(authorities)));
        self
    }
}

fn bundle(authorities: &[&Authority]) -> String {
    let ders = authorities.iter().flat_map(|authority| authority.certificate_der().to_vec());
    BASE64.encode(&ders.collect::<Vec<u8>>())
}

/// An SVID for a server of this machine and for its clients, as agents issue them.
#[must_use]
pub fn svid(authority: &Authority, id: &str, validity: Validity) -> Issued {
    let names = vec![
        AltName::Uri(id.to_owned()),
        AltName::Dns("localhost".to_owned()),
        AltName::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
    ];
    let mut profile = Profile::server("", names, validity);
    profile.subject.clear();
    profile.extended_key_usages.extend(Profile::client("", validity).extended_key_usages);
    authority.issue(&profile).expect("an SVID")
}

/// Where a test's agent listens.
#[must_use]
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("agent.sock")
}
