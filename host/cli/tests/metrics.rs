//! What a running gate tells Prometheus.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use portcullis_pki::{Authority, Profile, Validity, write_private, write_public};
use portcullis_tests::{guest, pki};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use serde_json::Value;
use time::OffsetDateTime;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A CRL in force with two entries.
fn crl() -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::new(params, KeyPair::generate().expect("a key"));
    let at =
        |offset: i64| OffsetDateTime::from_unix_timestamp(pki::now() + offset).expect("a time");
    let revoked = |serial: u8| RevokedCertParams {
        serial_number: SerialNumber::from(vec![serial]),
        revocation_time: at(-60),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: at(-60),
        next_update: at(3600),
        crl_number: SerialNumber::from(vec![1]),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked(1), revoked(2)],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer).expect("a CRL").der().to_vec()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the metrics listen");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn metrics_count_clients_by_how_they_ended_and_tell_the_age_of_a_crl() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let validity: Validity = pki::valid();
    let authority = Authority::root(&Profile::authority("Test", validity)).expect("a root");
    let server = authority.issue(&Profile::server("gate", Vec::new(), validity)).expect("issued");
    write_public(&path("server.pem"), &server.chain_pem).expect("written");
    write_private(&path("server.key"), &server.key_pem).expect("written");
    std::fs::write(path("any.wasm"), guest::policy_from("")).expect("written");
    std::fs::write(path("a.crl"), crl()).expect("written");
    let config = "chain = [\"any\"]\n[listen]\naddress = \"127.0.0.1:0\"\n\
                  certificate = \"server.pem\"\nprivate-key = \"server.key\"\n\
                  [metrics]\naddress = \"127.0.0.1:0\"\n[revocation.crl]\nfiles = [\"a.crl\"]\n";
    std::fs::write(path("portcullis.toml"), config).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--plugins", ".", "--format", "json"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    let _running = Running(child);
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let listening: Value = serde_json::from_str(&line).expect("it listens");
    let metrics = listening["metrics"].as_str().expect("an address");

    let mut client = TcpStream::connect(listening["address"].as_str().expect("an address"))
        .expect("the gate listens");
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    // The gate has counted a client before it closes.
    let _ = client.read_to_end(&mut Vec::new());

    let answer = get(metrics, "/metrics");
    for wanted in [
        "portcullis_clients_total{verdict=\"failed\",code=\"not-tls\",policy=\"\"} 1\n",
        "# UNIT portcullis_crl_age_seconds seconds\n",
        "a.crl\"} 2\n",
    ] {
        assert!(answer.contains(wanted), "no `{wanted}` in {answer}");
    }
    assert!(get(metrics, "/").starts_with("HTTP/1.1 404 "));
}
