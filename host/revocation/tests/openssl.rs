//! OpenSSL's CRLs and OCSP answers, as a CA that we have not written makes them.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::server::{Reply, Server};
use common::{Fixture, assert_unknown};
use portcullis_core::{Certificate, Clock, RevocationStatus};
use portcullis_revocation::{Nonce, RevocationChecker};

const CONFIGURATION: &str = "
[ca]
default_ca = own
[own]
database = index.txt
serial = serial.txt
crlnumber = crlnumber.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 2
default_crl_hours = 1
policy = any
crl_extensions = crl
unique_subject = no
[any]
commonName = supplied
[crl]
authorityKeyIdentifier = keyid
[delta]
authorityKeyIdentifier = keyid
2.5.29.27 = critical, DER:02:01:01
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
[responder]
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = ignored
[req]
distinguished_name = name
[name]
";

/// A CA of OpenSSL's in a directory of its own.
struct OpenSslCa(tempfile::TempDir);

impl OpenSslCa {
    /// `key` is what `-newkey` takes.
    fn new(key: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (file, content) in [
            ("openssl.cnf", CONFIGURATION),
            ("index.txt", ""),
            ("serial.txt", "1000\n"),
            ("crlnumber.txt", "01\n"),
        ] {
            std::fs::write(home.path().join(file), content).unwrap();
        }
        let ca = Self(home);
        ca.run(&format!("req -x509 -new -newkey {key} -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=CA -config openssl.cnf -extensions authority"));
        ca
    }

    fn run(&self, arguments: &str) {
        run(self.0.path(), arguments);
    }

    fn issue(&self, name: &str, profile: &str) -> Certificate {
        self.run(&format!("req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name} -config openssl.cnf"));
        self.run(&format!(
            "ca -batch -config openssl.cnf -in {name}.csr -out {name}.pem -extensions {profile}"
        ));
        self.certificate(name)
    }

    fn certificate(&self, name: &str) -> Certificate {
        self.run(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
        Certificate::from_der(self.read(&format!("{name}.der"))).unwrap()
    }

    fn revoke(&self, name: &str) {
        self.run(&format!("ca -config openssl.cnf -revoke {name}.pem -crl_reason keyCompromise"));
    }

    fn crl(&self, more: &str) -> Vec<u8> {
        self.run(&format!("ca -config openssl.cnf -gencrl -out ca.crl {more}"));
        self.read("ca.crl")
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(file)).unwrap()
    }
}

fn run(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn crls_of_openssl_are_read() {
    for key in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"] {
        let ca = OpenSslCa::new(key);
        let (good, revoked) = (ca.issue("good", "client"), ca.issue("revoked", "client"));
        ca.revoke("revoked");
        // Ed25519 has no digest of its own to choose.
        let digest = if key == "ed25519" { "-md null" } else { "" };
        let crl = ca.crl(digest);
        let issuer = ca.certificate("ca");
        let now = Clock::system().now();
        let mut fixture = Fixture::new();
        fixture.clock.set(now);
        let checker = fixture.start_with_crl(&crl);
        let ask = |client: &Certificate| checker.check_waiting(client, &issuer, "crl", now).status;
        assert_eq!(checker.status().crls[0].last_error, None, "{key}");
        assert_eq!(ask(&good), RevocationStatus::Good, "{key}");
        assert_eq!(ask(&revoked), RevocationStatus::Revoked, "{key}");
        let later = checker.check_waiting(&good, &issuer, "crl", now + 3_700);
        assert_unknown(&later, "next update was due");
    }
}

#[test]
fn a_delta_crl_of_openssl_is_refused() {
    let ca = OpenSslCa::new("rsa:2048");
    let mut fixture = Fixture::new();
    fixture.clock.set(Clock::system().now());
    let checker = fixture.start_with_crl(&ca.crl("-crlexts delta"));
    assert!(checker.status().crls[0].last_error.as_ref().unwrap().contains("delta CRL"));
}

/// A responder that has `openssl ocsp` answer each request.
fn responder(ca: &Arc<OpenSslCa>, signer: &'static str, more: &'static str) -> Server {
    let ca = Arc::clone(ca);
    Server::start(move |request| {
        // Requests can come at the same time, so each has files of its own.
        let home = tempfile::tempdir().unwrap();
        let (query, answer) = (home.path().join("query.der"), home.path().join("answer.der"));
        std::fs::write(&query, request.ocsp()).unwrap();
        ca.run(&format!(
            "ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin {} -respout {} {more}",
            query.display(),
            answer.display()
        ));
        Reply::Body(std::fs::read(answer).unwrap())
    })
}

fn asking(server: &Server, nonce: Nonce) -> RevocationChecker {
    let mut fixture = Fixture::new();
    fixture.clock.set(Clock::system().now());
    fixture.options.ocsp.responder = Some(server.url("/"));
    fixture.options.ocsp.nonce = nonce;
    fixture.options.ocsp.wait_milliseconds = 60_000;
    fixture.options.ocsp.timeout_milliseconds = 60_000;
    fixture.start()
}

#[test]
fn ocsp_answers_of_openssl_are_read() {
    let ca = Arc::new(OpenSslCa::new("rsa:2048"));
    let (good, revoked) = (ca.issue("good", "client"), ca.issue("revoked", "client"));
    ca.issue("responder", "responder");
    ca.issue("impostor", "client");
    let stranger = ca.issue("stranger", "client");
    ca.revoke("revoked");
    // A certificate that is not in the index is unknown to the responder.
    let index = String::from_utf8(ca.read("index.txt")).unwrap();
    let known: String = index
        .lines()
        .filter(|line| !line.contains("stranger"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(ca.0.path().join("index.txt"), known).unwrap();
    let issuer = ca.certificate("ca");
    for (signer, more, nonce) in [
        ("responder", "-nmin 5", Nonce::Off),
        ("responder", "-ndays 1", Nonce::Require),
        ("responder", "-resp_key_id", Nonce::Prefer),
        ("ca", "", Nonce::Require),
    ] {
        let server = responder(&ca, signer, more);
        let checker = asking(&server, nonce);
        let ask = |client: &Certificate| {
            checker.check_waiting(client, &issuer, "ocsp", Clock::system().now())
        };
        assert_eq!(ask(&good).status, RevocationStatus::Good, "{:?}", ask(&good));
        assert_eq!(ask(&revoked).status, RevocationStatus::Revoked);
        assert!(ask(&revoked).revoked_at.is_some());
        assert_unknown(&ask(&stranger), "does not know the certificate");
    }
    let server = responder(&ca, "impostor", "-nmin 5");
    let answer =
        asking(&server, Nonce::Off).check_waiting(&good, &issuer, "ocsp", Clock::system().now());
    assert_unknown(&answer, "signer is not accepted");
}
