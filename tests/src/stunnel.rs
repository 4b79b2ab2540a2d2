//! `stunnel` as a client that presents a certificate for programs that cannot.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::gate::Gate;
use crate::pki::Identity;

/// Plain connections in, mutual TLS to a gate out. Ends when dropped.
#[derive(Debug)]
pub struct Stunnel {
    child: Child,
    address: SocketAddr,
}

impl Stunnel {
    /// Starts it, and waits until it listens.
    #[must_use]
    pub fn before(gate: &Gate, identity: &Identity) -> Self {
        let config = format!(
            "foreground = yes\npid =\ndebug = info\n[gate]\nclient = yes\naccept = 127.0.0.1:0\n\
             connect = {}\ncert = {}\nkey = {}\nCAfile = {}\nverifyChain = yes\ncheckIP = 127.0.0.1\n",
            gate.address(),
            identity.chain.display(),
            identity.key.display(),
            gate.setup().ca().display(),
        );
        gate.setup().write("stunnel.conf", config);
        let mut child = Command::new("stunnel")
            .arg(gate.setup().path("stunnel.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("stunnel: {error}; `cargo xtask test` prepares it"));
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.split("bound to ").nth(1).and_then(|address| address.trim().parse().ok())
        });
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address: address.expect("stunnel that listens") }
    }

    /// Where it takes plain connections.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Stunnel {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
