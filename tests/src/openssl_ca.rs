//! A certification authority that is run with `openssl ca`: what it issues, revokes, lists and answers is not ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::pki::Identity;

/// An authority, in a folder of its own.
pub struct OpenSslCa {
    folder: TempDir,
}

/// What a certificate is for: a section of `peers/openssl-ca.cnf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// TLS, as a client.
    Client,
    /// Signing OCSP answers.
    Responder,
}

impl OpenSslCa {
    /// An authority of this name, with its certificate.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let ca = Self { folder: TempDir::new().expect("a temporary directory") };
        for (file, content) in
            [("index.txt", ""), ("serial.txt", "1000\n"), ("crlnumber.txt", "01\n")]
        {
            std::fs::write(ca.path(file), content).expect("a file");
        }
        let subject = format!("/CN={name}");
        ca.openssl("req -x509 -new -newkey rsa:2048 -nodes -days 2 -extensions authority")
            .args(["-subj", &subject, "-keyout", "ca.key", "-out", "ca.pem"])
            .finish();
        ca
    }

    /// What who trusts it has as an anchor.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).expect("a file")
    }

    /// The file of its certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The file of its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path("ca.key")
    }

    /// Issues a certificate. `key` is what `openssl req -newkey` takes, `options` are further ones of `openssl ca`.
    #[must_use]
    pub fn issue(&self, name: &str, usage: For, key: &str, options: &str) -> Identity {
        let extensions = if usage == For::Client { "client" } else { "responder" };
        let [request, certificate, key_file] =
            ["csr", "pem", "key"].map(|end| format!("{name}.{end}"));
        let subject = format!("/CN={name}");
        self.openssl("req -new -nodes")
            .args(["-newkey", key, "-subj", &subject, "-keyout", &key_file, "-out", &request])
            .finish();
        self.openssl("ca -batch -notext -extensions")
            .args([extensions, "-in", &request, "-out", &certificate])
            .args(options.split_whitespace())
            .finish();
        Identity {
            certificate: self.path(&certificate),
            chain: self.path(&certificate),
            key: self.path(&key_file),
        }
    }

    /// Revokes what it issued under this name.
    pub fn revoke(&self, name: &str) {
        let certificate = format!("{name}.pem");
        self.openssl("ca -crl_reason keyCompromise -revoke").args([&certificate]).finish();
    }

    /// Loses the record of what it issued under this name, as if another authority had used its key.
    pub fn forget(&self, name: &str) {
        let index = std::fs::read_to_string(self.path("index.txt")).expect("a file");
        let end = format!("/CN={name}");
        let kept: String = index
            .lines()
            .filter(|line| !line.ends_with(&end))
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(self.path("index.txt"), kept).expect("a file");
    }

    /// A CRL of what is revoked now. `options` are further ones of `openssl ca -gencrl`.
    #[must_use]
    pub fn crl(&self, options: &str) -> Vec<u8> {
        self.openssl("ca -gencrl -out ca.crl").args(options.split_whitespace()).finish();
        std::fs::read(self.path("ca.crl")).expect("a file")
    }

    /// The answer to an OCSP request, signed by who has these files' name.
    #[must_use]
    pub fn answer(&self, request: &[u8], signer: &str) -> Vec<u8> {
        // Requests may come at the same time, so each has files of its own.
        let folder = TempDir::new_in(self.folder.path()).expect("a temporary directory");
        let [asked, answered] =
            ["request.der", "response.der"].map(|name| folder.path().join(name));
        std::fs::write(&asked, request).expect("a file");
        let [certificate, key] = ["pem", "key"].map(|end| format!("{signer}.{end}"));
        let command = self.openssl("ocsp -index index.txt -CA ca.pem -nmin 5 -rsigner");
        let mut command = command.args([&certificate, "-rkey", &key]);
        command.0.arg("-reqin").arg(&asked).arg("-respout").arg(&answered);
        command.finish();
        std::fs::read(&answered).expect("openssl answered")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn openssl(&self, arguments: &str) -> OpenSsl {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/openssl-ca.cnf");
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        // `openssl ocsp` knows no `-config`.
        command.env("OPENSSL_CONF", config);
        OpenSsl(command)
    }
}

struct OpenSsl(Command);

impl OpenSsl {
    fn args<'a>(
        mut self,
        arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr> + 'a>,
    ) -> Self {
        self.0.args(arguments);
        self
    }

    fn finish(mut self) {
        let output = self.0.output().expect("openssl runs; `cargo xtask test` installs it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", self.0);
    }
}
