//! The gate as it is released, for benches.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::gate::{Setup, components, target};
use crate::process::Process;

/// A gate that listens. Ends when dropped.
pub struct Released {
    child: Child,
    address: SocketAddr,
    ready: Duration,
}

impl Released {
    /// Starts the gate with the `portcullis.toml` of the folder, on this processor alone if one is named.
    #[must_use]
    pub fn start(setup: &Setup, processor: Option<usize>) -> Self {
        let start = Instant::now();
        let mut command = match processor {
            Some(number) => {
                let mut command = Command::new("taskset");
                command.arg("--cpu-list").arg(number.to_string()).arg(binary());
                command
            }
            None => Command::new(binary()),
        };
        let log = std::fs::File::create(setup.path("gate.log")).expect("a file");
        let mut child = command
            .args(["run", "--format", "json", "--log-format", "json", "--config"])
            .arg(setup.path("portcullis.toml"))
            .arg("--plugins")
            .arg(components())
            .env("PORTCULLIS_CACHE", setup.path("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the gate, which `cargo xtask bench` builds");
        let address = address_told(&mut child);
        Self { child, address, ready: start.elapsed() }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long it took from its start until clients could connect.
    #[must_use]
    pub fn ready(&self) -> Duration {
        self.ready
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a server listens, which it prints as JSON once it does. Takes the child's standard output.
#[must_use]
pub fn address_told(child: &mut Child) -> SocketAddr {
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let said: Value = serde_json::from_str(&line).expect("a server that listens");
    let address = said["address"].as_str().and_then(|text| text.parse().ok());
    address.expect("an address")
}

fn binary() -> PathBuf {
    target().join("release").join(format!("portcullis{}", std::env::consts::EXE_SUFFIX))
}
