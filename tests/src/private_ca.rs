//! `portcullis ca`, called as its users call it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::gate::binary;
use crate::pki::Identity;

/// A folder with an authority in `ca`, where its commands run.
pub struct PrivateCa(TempDir);

/// `portcullis ca serve` or `portcullis ca crl --serve`. Ends when dropped.
pub struct Served {
    child: Child,
    listening: Value,
}

impl PrivateCa {
    /// Makes the authority, with these options.
    #[must_use]
    pub fn new(options: &[&str]) -> Self {
        let ca = Self(TempDir::new().expect("a temporary directory"));
        ca.json(&[&["init"], options].concat());
        ca
    }

    /// A file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command that is not yet run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("ca").args(arguments).args(["--format", "json"]).current_dir(self.0.path());
        command.env_remove("PORTCULLIS_PKCS12_PASSWORD").env_remove("PORTCULLIS_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a command that succeeds prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    }

    /// What a command that fails says is wrong. It exits with 2.
    #[track_caller]
    pub fn mistake(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        printed["error"].clone()
    }

    /// What was issued.
    #[must_use]
    pub fn list(&self) -> Vec<Value> {
        self.json(&["list"])["certificates"].as_array().expect("a list").clone()
    }

    /// Issues a certificate for a client, with these options.
    #[must_use]
    pub fn issue(&self, name: &str, options: &[&str]) -> Identity {
        self.json(&[&["issue", name], options].concat());
        let certificate = self.path(&format!("{name}.pem"));
        Identity { chain: certificate.clone(), key: certificate.with_extension("key"), certificate }
    }

    /// Serves the CRL and OCSP answers.
    #[must_use]
    pub fn serve(&self) -> Served {
        self.served(&["crl", "--serve", "127.0.0.1:0"])
    }

    /// Renews certificates.
    #[must_use]
    pub fn serve_renewals(&self) -> Served {
        self.served(&["serve", "--listen", "127.0.0.1:0"])
    }

    /// Does all of it.
    #[must_use]
    pub fn serve_all(&self) -> Served {
        self.served(&["serve", "--listen", "127.0.0.1:0", "--crl", "127.0.0.1:0"])
    }

    fn served(&self, arguments: &[&str]) -> Served {
        let mut command = self.command(arguments);
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("it runs");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line on standard output");
        let listening = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"));
        Served { child, listening }
    }

    /// Runs `openssl` in the folder.
    #[track_caller]
    pub fn openssl(&self, arguments: &str) -> Output {
        openssl(self.0.path(), arguments)
    }
}

impl Served {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.said("address").parse().expect("an address")
    }

    /// Where OCSP requests go.
    #[must_use]
    pub fn ocsp(&self) -> String {
        self.said("ocsp").to_owned()
    }

    /// Where renewals are asked for.
    #[must_use]
    pub fn renewals(&self) -> String {
        self.said("renewals").to_owned()
    }

    fn said(&self, key: &str) -> &str {
        self.listening[key].as_str().unwrap_or_else(|| panic!("{key}: {}", self.listening))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn openssl(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command.output().expect("openssl runs; `cargo xtask test` installs it")
}
