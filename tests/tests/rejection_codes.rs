//! Every code with which a policy says that it rejects is brought about by real clients at a real gate, which see the
//! code's alert.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::BASE64;
use portcullis_engine::{Asset, Engine, EngineOptions, Policy, PolicyLimits, PolicySource};
use portcullis_pki::{
    AltName, Authority, Extension, Issued, NameConstraint, PathLength, Profile, Validity, oid,
};
use portcullis_tests::client::{CLIENTS, assert_refused};
use portcullis_tests::gate::{Gate, Setup, component};
use portcullis_tests::openssl_ca::{For, OpenSslCa};
use portcullis_tests::pki::{self, Identity};

/// A client that is refused: with which code, and the alert that goes with it.
type Refused = (Identity, &'static str, &'static str);

#[test]
fn every_code_of_ca_chain_reaches_a_client_as_its_alert() {
    let (setup, authorities) = (Setup::new(), Authorities::new());
    let anchors = authorities.anchors();
    setup.write("anchors.pem", &anchors);
    let gate = setup.start(
        r#"["ca-chain"]"#,
        r#"
        [policies.ca-chain]
        assets = { anchors = "anchors.pem" }
        settings = { maximum-validity-hours = 72, principal = "uri" }
        "#,
    );
    let mut clients = authorities.clients_without_a_path(gate.setup().directory());
    let nameless = authorities.issue(gate.setup().directory(), "nameless", |profile| {
        profile.alt_names.clear();
    });
    clients.push((nameless, "no-principal", "access_denied"));
    assert_all_are_produced(&gate, "ca-chain", ("anchors", &anchors), &clients);
}

#[test]
fn every_code_of_pin_list_reaches_a_client_as_its_alert() {
    let authority = pki::root("Clients");
    let client = |name: &str| authority.issue(&Profile::client(name, pki::valid())).unwrap();
    let (unpinned, expired) = (client("unpinned"), client("expired"));
    let pins = format!("cert-sha256 {} expires=2026-01-01\n", expired.sha256_hex());
    let setup = Setup::new();
    setup.write("pins.txt", &pins);
    let sections = "[policies.pin-list]\nassets = { pins = \"pins.txt\" }\n";
    let gate = setup.start(r#"["pin-list"]"#, sections);
    let directory = gate.setup().directory();
    let clients = [
        (Identity::write(directory, "unpinned", &unpinned), "not-pinned", "access_denied"),
        (Identity::write(directory, "expired", &expired), "pin-expired", "certificate_expired"),
    ];
    assert_all_are_produced(&gate, "pin-list", ("pins", &pins), &clients);
}

#[test]
fn every_code_of_revocation_reaches_a_client_as_its_alert() {
    let [fresh, stale, silent, stranger] =
        ["Fresh", "Stale", "Silent", "Stranger"].map(OpenSslCa::new);
    let issue = |ca: &OpenSslCa, name: &str| ca.issue(name, For::Client, "rsa:2048", "");
    let clients = [
        (issue(&fresh, "revoked"), "revoked", "certificate_revoked"),
        (issue(&stale, "stale"), "revocation-stale", "unknown_ca"),
        (issue(&silent, "unknown"), "revocation-unknown", "unknown_ca"),
        (issue(&stranger, "stranger"), "unknown-issuer", "unknown_ca"),
    ];
    fresh.revoke("revoked");

    let setup = Setup::new();
    setup.write("fresh.crl", fresh.crl(""));
    setup.write("stale.crl", stale.crl(OLD));
    let anchors = [&fresh, &stale, &silent].map(OpenSslCa::certificate_pem).concat();
    setup.write("anchors.pem", &anchors);
    let gate = setup.start(
        r#"["revocation"]"#,
        r#"
        [policies.revocation]
        assets = { anchors = "anchors.pem" }
        settings = { maximum-age-hours = 24 }
        [revocation.crl]
        files = ["fresh.crl", "stale.crl"]
        "#,
    );
    assert_all_are_produced(&gate, "revocation", ("anchors", &anchors), &clients);
}

/// A CRL that its authority need not replace yet, and that is older than a policy may want it.
const OLD: &str = "-crl_lastupdate 20260101000000Z -crl_nextupdate 20460101000000Z";

#[test]
fn every_code_of_spiffe_id_reaches_a_client_as_its_alert() {
    let (setup, authorities) = (Setup::new(), Authorities::new());
    let bundles = format!("spiffe://example.org\n{}", authorities.anchors());
    setup.write("bundles.pem", &bundles);
    let gate = setup.start(
        r#"["spiffe-id"]"#,
        r#"
        [policies.spiffe-id]
        assets = { bundles = "bundles.pem" }
        settings = { maximum-validity-hours = 72, patterns = ["spiffe://example.org/agent/*"] }
        "#,
    );
    let mut clients = authorities.clients_without_a_path(gate.setup().directory());
    for (id, code, alert) in [
        ("https://example.org/agent/alice", "not-an-svid", "access_denied"),
        ("spiffe://example.org/server/web", "spiffe-id-not-allowed", "access_denied"),
        ("spiffe://elsewhere.example/agent/x", "unknown-trust-domain", "unknown_ca"),
    ] {
        let identity = authorities.issue(gate.setup().directory(), code, |profile| {
            profile.alt_names = vec![AltName::Uri(id.to_owned())];
        });
        clients.push((identity, code, alert));
    }
    assert_all_are_produced(&gate, "spiffe-id", ("bundles", &bundles), &clients);
}

/// Asserts that each client is refused as it is to be, by the policy and not before it, and that together they have
/// seen every code that the policy's description lists.
#[track_caller]
fn assert_all_are_produced(
    gate: &Gate,
    policy: &str,
    (asset, content): (&str, &str),
    clients: &[Refused],
) {
    for (identity, code, alert) in clients {
        for client in CLIENTS {
            for audit in assert_refused(client, gate, Some(identity), (code, alert)) {
                assert_eq!(audit["policy"], policy, "{code}: {audit}");
            }
        }
    }
    let produced: BTreeSet<String> =
        clients.iter().map(|(_, code, _)| (*code).to_owned()).collect();
    assert_eq!(produced, listed(policy, asset, content));
}

/// The codes in a policy's description.
fn listed(policy: &str, asset: &str, content: &str) -> BTreeSet<String> {
    let source = PolicySource {
        name: policy.to_owned(),
        component: component(policy),
        settings: "{}".to_owned(),
        assets: vec![Asset { name: asset.to_owned(), content: content.as_bytes().to_vec() }],
        limits: PolicyLimits::default(),
    };
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let policy = Policy::load(&engine, source).unwrap();
    policy.description().rejection_codes.iter().cloned().collect()
}

/// Authorities of clients that name themselves `spiffe://example.org/agent/…`.
struct Authorities {
    ours: Authority,
    openssl: OpenSslCa,
}

impl Authorities {
    fn new() -> Self {
        Self { ours: pki::root("Clients"), openssl: OpenSslCa::new("OpenSSL's clients") }
    }

    fn anchors(&self) -> String {
        self.ours.certificate_pem() + &self.openssl.certificate_pem()
    }

    fn issue(&self, directory: &Path, name: &str, change: impl FnOnce(&mut Profile)) -> Identity {
        issue(directory, &self.ours, name, change)
    }

    /// Clients from which no path leads to an anchor, each for a reason of its own.
    fn clients_without_a_path(&self, directory: &Path) -> Vec<Refused> {
        let good = |name: &str, change: fn(&mut Profile)| self.issue(directory, name, change);
        let mut clients = vec![
            (
                good("ca", |profile| profile.ca = Some(PathLength::Unlimited)),
                "ca-as-leaf",
                "unsupported_certificate",
            ),
            (
                good("expired", |profile| profile.validity = pki::expired()),
                "expired",
                "certificate_expired",
            ),
            (
                good("long", |profile| profile.validity = for_a_month()),
                "lifetime-too-long",
                "certificate_unknown",
            ),
            (
                good("early", |profile| profile.validity = pki::not_yet_valid()),
                "not-yet-valid",
                "certificate_expired",
            ),
            (
                good("critical", |profile| profile.extensions = vec![unheard_of()]),
                "unknown-critical-extension",
                "bad_certificate",
            ),
            (
                good("server", |profile| {
                    profile.extended_key_usages = vec![oid::SERVER_AUTH.to_owned()];
                }),
                "wrong-usage",
                "unsupported_certificate",
            ),
            (self.contradictory(directory), "bad-certificate", "bad_certificate"),
        ];
        clients.extend(self.clients_of_other_authorities(directory));
        clients.extend(self.clients_of_openssl());
        clients
    }

    fn clients_of_other_authorities(&self, directory: &Path) -> [Refused; 5] {
        let client = |authority: &Authority, name: &str| issue(directory, authority, name, |_| {});
        let authority = |name: &str| Profile::authority(name, pki::valid());
        let mut narrow = authority("For example.org");
        narrow.permitted_names = vec![NameConstraint::Dns("example.org".to_owned())];
        let narrow = self.ours.intermediate(&narrow).unwrap();
        let last = Profile { ca: Some(PathLength::AtMost(0)), ..authority("Last") };
        let beyond = self.ours.intermediate(&last).unwrap().intermediate(&authority("Beyond"));
        let misnamed = issue(directory, &narrow, "misnamed", |profile| {
            profile.alt_names.push(AltName::Dns("elsewhere.example".to_owned()));
        });
        [
            // The same name, and another key behind it.
            (client(&pki::root("Clients"), "impostor"), "bad-signature", "decrypt_error"),
            (misnamed, "name-not-permitted", "bad_certificate"),
            (self.companied(directory), "path-too-complex", "access_denied"),
            (client(&beyond.unwrap(), "deep"), "path-too-long", "unknown_ca"),
            (client(&pki::root("Strangers"), "stranger"), "unknown-issuer", "unknown_ca"),
        ]
    }

    /// What our own authority would not do.
    fn clients_of_openssl(&self) -> [Refused; 2] {
        let issue = |name, key, options| self.openssl.issue(name, For::Client, key, options);
        [
            (
                issue("sha1", "rsa:2048", "-md sha1"),
                "unsupported-signature-algorithm",
                "decrypt_error",
            ),
            (issue("weak", "rsa:1024", ""), "weak-key", "certificate_unknown"),
        ]
    }

    /// A client that names another signature algorithm outside of what is signed than inside (RFC 5280, 4.1.1.2).
    fn contradictory(&self, directory: &Path) -> Identity {
        const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
        let mut issued = self.ours.issue(&profile("contradictory")).unwrap();
        let der = &mut issued.certificate_der;
        let length = ECDSA_WITH_SHA256.len();
        let outer = der.windows(length).rposition(|bytes| bytes == ECDSA_WITH_SHA256).unwrap();
        der[outer + length - 1] = 0x03;
        let base64 = BASE64.encode(der);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        let issued = Issued { certificate_pem: pem.clone(), chain_pem: pem, ..issued };
        Identity::write(directory, "contradictory", &issued)
    }

    /// A client with more certificates than it needs.
    fn companied(&self, directory: &Path) -> Identity {
        let mut issued = self.ours.issue(&profile("companied")).unwrap();
        for number in 0..7 {
            issued.chain_pem += &pki::root(&format!("Companion {number}")).certificate_pem();
        }
        Identity::write(directory, "companied", &issued)
    }
}

fn issue(
    directory: &Path,
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut Profile),
) -> Identity {
    let mut profile = profile(name);
    change(&mut profile);
    Identity::write(directory, name, &authority.issue(&profile).unwrap())
}

fn profile(name: &str) -> Profile {
    let id = format!("spiffe://example.org/agent/{name}");
    Profile { alt_names: vec![AltName::Uri(id)], ..Profile::client(name, pki::valid()) }
}

fn for_a_month() -> Validity {
    let Validity { not_before, not_after } = pki::valid();
    Validity { not_before, not_after: not_after + 30 * 24 * 60 * 60 }
}

fn unheard_of() -> Extension {
    Extension { oid: "1.2.3.4".to_owned(), critical: true, value: vec![0x05, 0x00] }
}
