//! The vectors of other implementations, judged at the time that they are of.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]

mod support;

use std::fs;
use std::path::Path;

use portcullis_guest::Timestamp;
use portcullis_guest::paths::pem;
use portcullis_guest::testing::ParsedCertificate;
use portcullis_spiffe_id::bundles::{Bundles, BundlesError};
use portcullis_spiffe_id::id::TrustDomain;
use portcullis_spiffe_id::svid;

use support::{code, judge_with};

/// 2020-03-24T14:30:00Z.
const THEN: Timestamp = 1_585_060_200;

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    fs::read_to_string(folder.join(name)).expect(name)
}

/// The certificates of a file; other entries, which are keys, are passed over.
fn chain(name: &str) -> Vec<ParsedCertificate> {
    let text = read(name);
    let ders = pem::entries(&text).filter_map(|entry| entry.certificate().ok());
    ders.map(|der| ParsedCertificate::parse(&der).expect(name)).collect()
}

fn example_org() -> TrustDomain {
    TrustDomain::parse("example.org").expect("a trust domain")
}

#[test]
fn the_good_ones_are_svids() {
    for (name, certificates) in [
        ("good-cert-and-key.pem", 1),
        ("good-key-and-cert.pem", 1),
        ("good-leaf-and-intermediate.pem", 2),
        ("good-leaf-only.pem", 1),
    ] {
        let chain = chain(name);
        assert_eq!(chain.len(), certificates, "{name}");
        let id = svid::leaf(&chain[0]).expect(name);
        assert_eq!(id.to_string(), "spiffe://example.org/workload-1");
        for ca in &chain[1..] {
            svid::check_authority(ca, &example_org()).expect(name);
        }
    }
}

#[test]
fn the_good_one_with_its_ca_is_accepted_and_those_without_it_are_not() {
    let file = read("good-leaf-and-intermediate.pem");
    let (_, ca) = file.split_once("-----END CERTIFICATE-----").expect("two certificates");
    let asset = format!("spiffe://example.org{ca}");
    let leaf = &chain("good-leaf-and-intermediate.pem")[..1];
    let acceptance = judge_with("{}", &asset, THEN, leaf).expect("accepted");
    assert_eq!(acceptance.principal.as_deref(), Some("spiffe://example.org/workload-1"));
    assert_eq!(acceptance.valid_until, Some(1_585_062_461), "a second after its end");
    assert_eq!(code(judge_with("{}", &asset, 1_585_062_461, leaf)), "expired");

    let ca_unknown = ["good-cert-and-key.pem", "good-key-and-cert.pem"];
    for name in ca_unknown {
        assert_eq!(code(judge_with("{}", &asset, THEN, &chain(name))), "bad-signature", "{name}");
    }
}

#[test]
fn the_wrong_leaves_are_no_svids() {
    for (name, expected) in [
        ("wrong-leaf-ca-true.pem", "ca-as-leaf"),
        ("wrong-leaf-cert-sign.pem", "ca-as-leaf"),
        ("wrong-leaf-crl-sign.pem", "ca-as-leaf"),
        ("wrong-leaf-empty-id.pem", "not-an-svid"),
        // It also has keyCertSign and cRLSign, which tell more.
        ("wrong-leaf-no-digital-signature.pem", "ca-as-leaf"),
    ] {
        let rejection = svid::leaf(&chain(name)[0]).expect_err(name);
        assert_eq!(rejection.code, expected, "{name}");
    }
}

#[test]
fn the_wrong_intermediates_are_no_cas() {
    for name in ["wrong-intermediate-no-ca.pem", "wrong-intermediate-no-key-cert-sign.pem"] {
        let chain = chain(name);
        svid::leaf(&chain[0]).expect("the leaf is good");
        let rejection = svid::check_authority(&chain[1], &example_org()).expect_err(name);
        assert_eq!(rejection.code, "wrong-usage", "{name}");
    }
}

#[test]
fn the_corrupt_ones_are_neither_clients_nor_bundles() {
    for name in ["corrupt-cert.pem", "corrupt-key.pem"] {
        let text = read(name);
        let entries: Vec<_> = pem::entries(&text).collect();
        assert_eq!(entries.len(), 1);
        // A client with the first would be refused by the host; the second has no certificate to send.
        entries[0].certificate().and_then(|der| ParsedCertificate::parse(&der)).expect_err(name);
        let asset = format!("spiffe://example.org\n{text}");
        let error = support::bundles(&asset).expect_err(name);
        assert!(matches!(error, BundlesError::NothingLeft(_)), "{error:?}");
    }
}

#[test]
fn the_bundles_are_read() {
    let local = TrustDomain::parse("local").expect("a trust domain");
    let parse =
        |name: &str| Bundles::parse(read(name).as_bytes(), Some(&local), ParsedCertificate::parse);
    for name in [
        "spiffebundle_valid_1.json",
        "spiffebundle_valid_2.json",
        // Keys for JWT-SVIDs are nothing to this policy, not even those that lack a `kid`.
        "spiffebundle_missing_kid.json",
        // Of several certificates in a key, the first counts (X509-SVID, 6.2).
        "spiffebundle_multiple_x509.json",
    ] {
        let (bundles, warnings) = parse(name).expect(name);
        assert_eq!(warnings, Vec::<String>::new(), "{name}");
        assert_eq!(bundles.of(&local).expect("a bundle").len(), 1, "{name}");
    }
    let error = parse("spiffebundle_no_keys.json").expect_err("no keys");
    assert!(error.to_string().contains("it has no `keys`"), "{error}");
}
