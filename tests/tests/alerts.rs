//! What a client that may not come in is told, as `openssl s_client` and `curl` see it, and what the operator reads.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]
use std::path::Path;

use portcullis_pki::{Authority, Extension, PathLength, Profile, oid};
use portcullis_tests::client::{Client, VERSIONS, assert_refused, curl, s_client};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::guest;
use portcullis_tests::pki::{self, Identity};

const CLIENTS: [Client; 2] = [s_client, curl];

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
fn a_client_that_may_not_come_in_is_told_an_alert_and_no_more() {
    let authority = pki::root("Test clients");
    let gate = trusting_gate(&authority, "");
    for (identity, code, alert) in clients_that_are_refused(gate.setup().directory(), &authority) {
        for client in CLIENTS {
            assert_refused(client, &gate, identity.as_ref(), (code, alert));
        }
    }
}

/// Each with what is wrong with it: the code for the operator, and the alert for the client.
fn clients_that_are_refused(
    directory: &Path,
    authority: &Authority,
) -> Vec<(Option<Identity>, &'static str, &'static str)> {
    let client = |name: &str| Profile::client(name, pki::valid());
    let good = |name: &str, profile: &Profile| Some(issue(directory, authority, name, profile));
    let other = pki::root("Other clients");
    // The same name, and another key behind it.
    let impostor = pki::root("Test clients");
    let narrow = authority
        .intermediate(&Profile {
            ca: Some(PathLength::AtMost(0)),
            ..Profile::authority("Narrow", pki::valid())
        })
        .unwrap();
    let too_deep = narrow.intermediate(&Profile::authority("Too deep", pki::valid())).unwrap();

    vec![
        (None, "no-certificate", "certificate_required"),
        (good("unpinned", &client("unpinned")), "not-pinned", "access_denied"),
        (
            Some(issue(directory, &other, "stranger", &client("stranger"))),
            "unknown-issuer",
            "unknown_ca",
        ),
        (
            Some(issue(directory, &impostor, "impostor", &client("impostor"))),
            "bad-signature",
            "decrypt_error",
        ),
        (Some(issue(directory, &too_deep, "deep", &client("deep"))), "path-too-long", "unknown_ca"),
        (
            good("expired", &Profile::client("expired", pki::expired())),
            "expired",
            "certificate_expired",
        ),
        (
            good("early", &Profile::client("early", pki::not_yet_valid())),
            "not-yet-valid",
            "certificate_expired",
        ),
        (
            good(
                "server",
                &Profile {
                    extended_key_usages: vec![oid::SERVER_AUTH.to_owned()],
                    ..client("server")
                },
            ),
            "wrong-usage",
            "unsupported_certificate",
        ),
        (
            good("ca", &Profile { ca: Some(PathLength::Unlimited), ..client("ca") }),
            "ca-as-leaf",
            "unsupported_certificate",
        ),
        (
            Some(Identity::write_weak(directory, "weak", authority)),
            "weak-key",
            "certificate_unknown",
        ),
        (
            good("critical", &with_extensions(&["1.2.3.4"], true)),
            "unknown-critical-extension",
            "bad_certificate",
        ),
        (
            good("doubled", &with_extensions(&["1.2.3.4", "1.2.3.4"], false)),
            "bad-certificate",
            "bad_certificate",
        ),
    ]
}

/// A client with these extensions, whose content is no DER.
fn with_extensions(oids: &[&str], critical: bool) -> Profile {
    let extension =
        |oid: &&str| Extension { oid: (*oid).to_owned(), critical, value: b"garbage".to_vec() };
    Profile {
        extensions: oids.iter().map(extension).collect(),
        ..Profile::client("extended", pki::valid())
    }
}

/// Not in the table of both clients, because curl does not load such a certificate.
#[test]
fn a_client_whose_certificate_is_malformed_is_refused_before_a_policy_is_asked() {
    let authority = pki::root("Test clients");
    let gate = trusting_gate(&authority, "");
    let garbage = with_extensions(&["2.5.29.17"], false);
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
