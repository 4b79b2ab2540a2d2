//! What a client that may not come in is told, as `openssl s_client` and `curl` see it, and what the operator reads.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]
use std::path::Path;

use portcullis_pki::{Authority, Extension, Profile};
use portcullis_tests::client::{CLIENTS, VERSIONS, assert_refused, s_client};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::guest;
use portcullis_tests::pki::{self, Identity};

const TRUSTING: &str = r#"
[policies.ca-chain]
assets = { anchors = "clients-ca.pem" }
[policies.pin-list]
assets = { pins = "pins.txt" }
"#;

/// The gate of the first chain that an operator writes: clients of one authority, and of those the pinned ones.
fn trusting_gate(authority: &Authority, pins: &str) -> Gate {
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    setup.write("pins.txt", pins);
    setup.start(r#"["ca-chain", "pin-list"]"#, TRUSTING)
}

fn issue(directory: &Path, authority: &Authority, name: &str, profile: &Profile) -> Identity {
    Identity::write(directory, name, &authority.issue(profile).unwrap())
}

#[test]
fn a_client_that_may_come_in_is_let_in() {
    let authority = pki::root("Test clients");
    let client = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let gate = trusting_gate(&authority, &format!("cert-sha256 {}\n", client.sha256_hex()));
    let identity = Identity::write(gate.setup().directory(), "alice", &client);
    for client in CLIENTS {
        for version in VERSIONS {
            assert_eq!(client(&gate, version, Some(&identity)), None);
            let audit = gate.next_audit();
            assert_eq!(audit["verdict"], "accepted", "{audit}");
            assert_eq!(audit["subject"], "CN=alice");
        }
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let gate = trusting_gate(&pki::root("Test clients"), "");
    for client in CLIENTS {
        assert_refused(client, &gate, None, ("no-certificate", "certificate_required"));
    }
}

/// Not for both clients, because curl does not load such a certificate.
#[test]
fn a_client_whose_certificate_is_malformed_is_refused_before_a_policy_is_asked() {
    let authority = pki::root("Test clients");
    let gate = trusting_gate(&authority, "");
    let alt_names =
        Extension { oid: "2.5.29.17".to_owned(), critical: false, value: b"garbage".to_vec() };
    let garbage =
        Profile { extensions: vec![alt_names], ..Profile::client("garbage", pki::valid()) };
    let identity = issue(gate.setup().directory(), &authority, "garbage", &garbage);
    assert_refused(s_client, &gate, Some(&identity), ("bad-certificate", "bad_certificate"));
}

/// What each code of the contract's README becomes.
const TABLE: [(&str, &str); 19] = [
    ("bad-certificate", "bad_certificate"),
    ("bad-signature", "decrypt_error"),
    ("ca-as-leaf", "unsupported_certificate"),
    ("expired", "certificate_expired"),
    ("lifetime-too-long", "certificate_unknown"),
    ("name-not-permitted", "bad_certificate"),
    ("not-pinned", "access_denied"),
    ("not-yet-valid", "certificate_expired"),
    ("path-too-long", "unknown_ca"),
    ("pin-expired", "certificate_expired"),
    ("policy-failed", "access_denied"),
    ("revocation-unknown", "unknown_ca"),
    ("revoked", "certificate_revoked"),
    ("something-that-nobody-listed", "access_denied"),
    ("unknown-critical-extension", "bad_certificate"),
    ("unknown-issuer", "unknown_ca"),
    ("unsupported-signature-algorithm", "decrypt_error"),
    ("weak-key", "certificate_unknown"),
    ("wrong-usage", "unsupported_certificate"),
];

#[test]
fn each_code_that_a_policy_rejects_with_reaches_the_client_as_its_alert() {
    let setup = Setup::new();
    setup.write("rejects.wasm", guest::policy("rejects-with-the-common-name"));
    let gate = setup.start(r#"["rejects"]"#, "[policies.rejects]\ncomponent = \"rejects.wasm\"\n");
    let authority = pki::root("Test clients");
    for (code, alert) in TABLE {
        let profile = Profile::client(code, pki::valid());
        let identity = issue(gate.setup().directory(), &authority, code, &profile);
        for client in CLIENTS {
            assert_refused(client, &gate, Some(&identity), (code, alert));
        }
    }
}

#[test]
fn a_policy_that_fails_or_does_not_end_keeps_the_client_out() {
    for (name, code) in [
        ("evaluate-fails", "policy-failed"),
        ("evaluate-hogs-memory", "policy-memory"),
        ("evaluate-loops", "policy-timeout"),
        ("evaluate-traps", "policy-trapped"),
    ] {
        let setup = Setup::new();
        setup.write("hostile.wasm", guest::policy(name));
        let sections = "[policies.hostile]\ncomponent = \"hostile.wasm\"\n";
        let gate = setup.start(r#"["hostile"]"#, sections);
        let authority = pki::root("Test clients");
        let profile = Profile::client("alice", pki::valid());
        let identity = issue(gate.setup().directory(), &authority, "alice", &profile);
        assert_refused(s_client, &gate, Some(&identity), (code, "access_denied"));
    }
}
