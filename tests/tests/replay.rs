//! What a gate has recorded, judged again: to the same verdicts by the same policies, and to a warning by others.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_pki::Profile;
use portcullis_tests::client::{VERSIONS, s_client};
use portcullis_tests::gate::{Gate, Setup, binary, components};
use portcullis_tests::openssl_ca::{For, OpenSslCa};
use portcullis_tests::pki::{self, Identity};
use serde_json::Value;

const SVID: &str = "spiffe://example.org/agent/openssl";
const CHAIN: &str = r#"["ca-chain", "revocation", { any = ["spiffe-id", "pin-list"] }]"#;
/// Nobody is asked about a certificate that is valid for so short a time as that of `pinned`.
const POLICIES: &str = r#"
[policies.ca-chain]
assets = { anchors = "anchors.pem" }
[policies.revocation]
assets = { anchors = "anchors.pem" }
settings = { exempt-validity-hours = 72 }
[policies.spiffe-id]
assets = { bundles = "bundles.pem" }
settings = { patterns = ["spiffe://example.org/agent/*"] }
[policies.pin-list]
assets = { pins = "pins.txt" }
[revocation.crl]
files = ["clients.crl"]
"#;
const RECORDING: &str = "[recording]\ndirectory = \"recordings\"\nlog-lines = true\n";

/// A gate that has judged everyone below in both versions of TLS, and is gone.
struct Recorded {
    gate: Gate,
}

/// The code with which a client was refused; none for one that came in.
type Expected = Option<&'static str>;

impl Recorded {
    fn new(chain: &str, policies: &str, expected: [Expected; 6]) -> Self {
        let (ours, other) = (OpenSslCa::new("Ours"), OpenSslCa::new("Other"));
        let short = pki::root("Short-lived");
        let setup = Setup::new();
        let own = |name: &str, issued| Identity::write(setup.directory(), name, issued);

        let pinned = short.issue(&Profile::client("pinned", pki::valid())).unwrap();
        let expired = short.issue(&Profile::client("expired", pki::expired())).unwrap();
        let stranger = pki::root("Strangers").issue(&Profile::client("stranger", pki::valid()));
        let clients = [
            issue_rsa(&ours, "good"),
            own("pinned", &pinned),
            issue_rsa(&ours, "leaver"),
            issue_rsa(&other, "unlisted"),
            own("expired", &expired),
            own("stranger", &stranger.unwrap()),
        ];
        ours.revoke("leaver");
        setup.write("clients.crl", ours.crl(""));
        let anchors = [ours.certificate_pem(), other.certificate_pem(), short.certificate_pem()];
        setup.write("anchors.pem", anchors.concat());
        setup.write("bundles.pem", format!("spiffe://example.org\n{}", ours.certificate_pem()));
        setup.write("pins.txt", format!("cert-sha256 {}\n", pinned.sha256_hex()));

        let mut gate = setup.start(chain, &format!("{policies}{RECORDING}"));
        for (client, code) in clients.iter().zip(expected) {
            for version in VERSIONS {
                let alert = s_client(&gate, version, Some(client));
                let audit = gate.next_audit();
                assert_eq!(alert.is_none(), code.is_none(), "{audit}");
                assert_eq!(audit["code"].as_str(), code, "{audit}");
            }
        }
        gate.stop();
        Self { gate }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.gate.setup().path(name)
    }

    /// The exit code and the report of the recordings judged by this chain.
    fn replay(&self, chain: &str, policies: &str) -> (i32, Value) {
        let config = format!(
            "chain = {chain}\n[listen]\naddress = \"127.0.0.1:0\"\n\
             certificate = \"server.pem\"\nprivate-key = \"server.key\"\n{policies}"
        );
        self.gate.setup().write("new.toml", config);
        replay(&self.path("recordings"), &self.path("new.toml"))
    }
}

fn issue_rsa(ca: &OpenSslCa, name: &str) -> Identity {
    ca.issue(name, For::Client, "rsa:2048", "-days 30")
}

fn replay(recordings: &Path, config: &Path) -> (i32, Value) {
    let output = Command::new(binary())
        .args(["replay", "--format", "json", "--config"])
        .arg(config)
        .arg("--plugins")
        .arg(components())
        .arg(recordings)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    (output.status.code().unwrap(), report)
}

#[test]
fn the_same_policies_come_to_the_same_verdicts_and_others_tell_who_would_lose_or_gain_access() {
    let expected = [
        None,
        None,
        Some("revoked"),
        Some("revocation-unknown"),
        Some("expired"),
        Some("unknown-issuer"),
    ];
    let recorded = Recorded::new(CHAIN, POLICIES, expected);
    same_policies(&recorded);
    stricter_patterns(&recorded);
    without_revocation(&recorded);
}

fn same_policies(recorded: &Recorded) {
    let (exit, report) = recorded.replay(CHAIN, POLICIES);
    assert_eq!(exit, 0, "{report:#}");
    assert_eq!(report["judged"], 12, "{report:#}");
    assert_eq!(report["identical"], 12, "{report:#}");
    assert_eq!(report["damaged"], 0);
    for policy in report["policies"].as_array().unwrap() {
        assert_eq!(policy["compared"], serde_json::json!(["same"]), "{policy}");
    }
}

fn stricter_patterns(recorded: &Recorded) {
    let stricter = POLICIES.replace("/agent/*", "/robot/*");
    let (exit, report) = recorded.replay(CHAIN, &stricter);
    assert_eq!((exit, &report["lost"]["count"]), (1, &2.into()), "{report:#}");
    let [group] = &report["lost"]["groups"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!((&group["who"], &group["count"]), (&SVID.into(), &2.into()));
    assert_eq!(group["policy"], "spiffe-id");
    assert_eq!(group["code"], "spiffe-id-not-allowed");
    assert!(group["last_seen"].is_string());
}

fn without_revocation(recorded: &Recorded) {
    let without = CHAIN.replace(r#""revocation", "#, "");
    let policies = POLICIES.split_once("[policies.revocation]").unwrap();
    let rest = policies.1.split_once("[policies.spiffe-id]").unwrap().1;
    let policies = format!("{}[policies.spiffe-id]{rest}", policies.0);
    let (exit, report) = recorded.replay(&without, &policies);
    assert_eq!(exit, 0, "{report:#}");
    let [group] = &report["gained"]["groups"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!((&group["who"], &group["count"]), (&SVID.into(), &2.into()), "the leaver");
    assert_eq!((&group["policy"], &group["code"]), (&"revocation".into(), &"revoked".into()));
    let [group] = &report["changed_reason"]["groups"].as_array().unwrap()[..] else {
        panic!("{report:#}")
    };
    assert_eq!(group["who"], "CN=unlisted");
    assert_eq!(group["before"], "revocation: revocation-unknown");
}

#[test]
fn what_rests_on_answers_that_nobody_recorded_is_neither_a_loss_nor_the_same() {
    let expected =
        [None, None, None, Some("unknown-issuer"), Some("expired"), Some("unknown-issuer")];
    let chain = CHAIN.replace(r#""revocation", "#, "");
    let recorded = Recorded::new(
        &chain,
        r#"
        [policies.ca-chain]
        assets = { anchors = "anchors.pem" }
        [policies.spiffe-id]
        assets = { bundles = "bundles.pem" }
        [policies.pin-list]
        assets = { pins = "pins.txt" }
        "#,
        expected,
    );
    let (exit, report) = recorded.replay(CHAIN, POLICIES);
    assert_eq!((exit, &report["lost"]["count"]), (0, &0.into()), "{report:#}");
    assert_eq!(report["not_recorded"]["count"], 4, "the good one and the leaver: {report:#}");
    assert_eq!(report["not_recorded"]["groups"][0]["policy"], "revocation");
    assert_eq!(report["changed_identity"]["count"], 2, "the pinned one: {report:#}");
    assert_eq!(report["same"], 6, "{report:#}");

    // A rule that rejects whatever the answers are is a loss all the same.
    let stricter = POLICIES.replace("/agent/*", "/robot/*");
    let (exit, report) = recorded.replay(CHAIN, &stricter);
    assert_eq!((exit, &report["lost"]["count"]), (1, &4.into()), "{report:#}");
    assert_eq!(report["not_recorded"]["count"], 0, "{report:#}");
}
