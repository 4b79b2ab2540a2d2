//! What spiffe-id accepts and refuses, and with which code.

mod support;

use portcullis_guest::Attribute;
use portcullis_pki::{AltName, Extension, KeyType, KeyUsage, PathLength, Validity};

use support::{
    BILLING, DAY, NOON, VALID, asset, below, client, code, judge, judge_with, of_authority, root,
    uris,
};

const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

#[test]
fn a_client_of_the_bundle_is_accepted_under_its_id() {
    let root = root("example.org", |_| {});
    let acceptance = judge("{}", &root, &[client(&root, BILLING, |_| {})]).expect("accepted");
    assert_eq!(acceptance.principal.as_deref(), Some(BILLING));
    assert_eq!(
        acceptance.attributes,
        [
            Attribute::new("spiffe-id.trust-domain", "example.org"),
            Attribute::new("spiffe-id.path", "/agent/billing"),
        ]
    );
}

#[test]
fn a_leaf_has_exactly_one_uri_and_any_other_names() {
    let root = root("example.org", |_| {});
    let with = |names: Vec<AltName>| [client(&root, "", |profile| profile.alt_names = names)];
    let mut names = uris(&[BILLING]);
    names.insert(0, AltName::Dns("billing.example.org".to_owned()));
    names.push(AltName::Email("ann@example.org".to_owned()));
    names.push(AltName::Ip([192, 0, 2, 1].into()));
    judge("{}", &root, &with(names)).expect("other names");

    assert_eq!(code(judge("{}", &root, &with(Vec::new()))), "not-an-svid");
    for second in [BILLING, "spiffe://example.org/agent/other", "https://example.org/"] {
        assert_eq!(code(judge("{}", &root, &with(uris(&[BILLING, second])))), "not-an-svid");
        assert_eq!(code(judge("{}", &root, &with(uris(&[second, BILLING])))), "not-an-svid");
    }
}

#[test]
fn the_uri_of_a_leaf_is_a_spiffe_id_with_a_path() {
    let root = root("example.org", |_| {});
    for uri in [
        "https://example.org/agent",
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/agent/",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/a%2Fb",
        "spiffe://example.org:443/agent",
        "spiffe://Example.org/agent",
    ] {
        assert_eq!(code(judge("{}", &root, &[client(&root, uri, |_| {})])), "not-an-svid", "{uri}");
    }
}

#[test]
fn a_trust_domain_validates_against_its_own_bundle_only() {
    let (ours, partner) = (root("example.org", |_| {}), root("partner.example", |_| {}));
    let asset = asset(&[("example.org", &ours), ("partner.example", &partner)]);
    let judge = |issuer, id: &str| judge_with("{}", &asset, NOON, &[client(issuer, id, |_| {})]);

    judge(&ours, BILLING).expect("ours of ours");
    judge(&partner, "spiffe://partner.example/x").expect("theirs of theirs");
    assert_eq!(code(judge(&partner, BILLING)), "unknown-issuer");
    assert_eq!(code(judge(&ours, "spiffe://partner.example/x")), "unknown-issuer");
    assert_eq!(code(judge(&ours, "spiffe://other.example/x")), "unknown-trust-domain");
    assert_eq!(code(judge(&ours, "spiffe://sub.example.org/x")), "unknown-trust-domain");
}

#[test]
fn a_ca_certificate_is_no_svid_of_a_client() {
    let root = root("example.org", |_| {});
    let ca = client(&root, BILLING, |profile| profile.ca = Some(PathLength::Unlimited));
    assert_eq!(code(judge("{}", &root, &[ca])), "ca-as-leaf");
    for usage in [KeyUsage::KeyCertSign, KeyUsage::CrlSign] {
        let signer = client(&root, BILLING, |profile| profile.key_usages.push(usage));
        assert_eq!(code(judge("{}", &root, &[signer])), "ca-as-leaf");
    }
}

#[test]
fn the_key_usage_of_a_leaf_is_there_and_has_digital_signature() {
    let root = root("example.org", |_| {});
    for usages in [Vec::new(), vec![KeyUsage::KeyEncipherment]] {
        let leaf = client(&root, BILLING, |profile| profile.key_usages = usages);
        assert_eq!(code(judge("{}", &root, &[leaf])), "wrong-usage");
    }
    let usages = vec![KeyUsage::DigitalSignature, KeyUsage::KeyAgreement];
    let leaf = client(&root, BILLING, |profile| profile.key_usages = usages);
    judge("{}", &root, &[leaf]).expect("with others");
}

#[test]
fn the_extended_key_usage_of_a_leaf_has_client_auth_if_it_is_there() {
    let root = root("example.org", |_| {});
    let with = |usages: &[&str]| {
        let usages = usages.iter().map(|&usage| usage.to_owned()).collect();
        [client(&root, BILLING, |profile| profile.extended_key_usages = usages)]
    };
    judge("{}", &root, &with(&[])).expect("absent");
    judge("{}", &root, &with(&[SERVER_AUTH, CLIENT_AUTH])).expect("both");
    assert_eq!(code(judge("{}", &root, &with(&[SERVER_AUTH]))), "wrong-usage");
    assert_eq!(code(judge("{}", &root, &with(&["2.5.29.37.0"]))), "wrong-usage");
}

#[test]
fn an_intermediate_has_the_id_of_the_trust_domain_or_none() {
    let root = root("example.org", |_| {});
    let judge_below = |names: &[&str]| {
        let middle = below(&root, "Middle", |profile| profile.alt_names = uris(names));
        judge("{}", &root, &[client(&middle, BILLING, |_| {}), of_authority(&middle)])
    };
    judge_below(&[]).expect("no ID");
    judge_below(&["spiffe://example.org"]).expect("the ID of the trust domain");
    assert_eq!(code(judge_below(&["spiffe://example.org/ca"])), "not-an-svid");
    assert_eq!(code(judge_below(&["https://example.org"])), "not-an-svid");
    let two = ["spiffe://example.org", "spiffe://example.org"];
    assert_eq!(code(judge_below(&two)), "not-an-svid");
    assert_eq!(code(judge_below(&["spiffe://partner.example"])), "unknown-issuer");
}

#[test]
fn an_intermediate_is_a_ca_that_may_sign_certificates() {
    let root = root("example.org", |_| {});
    for usages in [Vec::new(), vec![KeyUsage::CrlSign]] {
        let middle = below(&root, "Middle", |profile| profile.key_usages = usages);
        let chain = [client(&middle, BILLING, |_| {}), of_authority(&middle)];
        assert_eq!(code(judge("{}", &root, &chain)), "wrong-usage");
    }
    let leaf_as_ca = below(&root, "Leaf", |profile| profile.ca = None);
    let chain = [client(&leaf_as_ca, BILLING, |_| {}), of_authority(&leaf_as_ca)];
    assert_eq!(code(judge("{}", &root, &chain)), "wrong-usage");
}

#[test]
fn the_path_is_validated_as_rfc_5280_says() {
    let root = root("example.org", |_| {});
    let upper = below(&root, "Upper", |profile| profile.ca = Some(PathLength::AtMost(0)));
    let lower = below(&upper, "Lower", |_| {});
    let chain = [client(&lower, BILLING, |_| {}), of_authority(&lower), of_authority(&upper)];
    assert_eq!(code(judge("{}", &root, &chain)), "path-too-long");
    assert_eq!(code(judge("{}", &root, &chain[..1])), "unknown-issuer");

    let namesake = support::root("example.org", |_| {});
    let forged = client(&namesake, BILLING, |_| {});
    assert_eq!(code(judge("{}", &root, &[forged])), "bad-signature");

    let oid = "1.3.6.1.4.1.32473.1".to_owned();
    let unknown = Extension { oid, critical: true, value: vec![5, 0] };
    let leaf = client(&root, BILLING, |profile| profile.extensions.push(unknown));
    assert_eq!(code(judge("{}", &root, &[leaf])), "unknown-critical-extension");
}

#[test]
fn the_verdict_holds_as_long_as_the_certificate_that_ends_first() {
    let until = |offset| Validity { not_before: NOON - DAY, not_after: NOON + offset };
    for (root_ends, middle_ends, leaf_ends) in [(10, 20, 30), (30, 10, 20), (20, 30, 10)] {
        let root = root("example.org", |profile| profile.validity = until(root_ends));
        let middle = below(&root, "Middle", |profile| profile.validity = until(middle_ends));
        let leaf = client(&middle, BILLING, |profile| profile.validity = until(leaf_ends));
        let chain = [leaf, of_authority(&middle)];
        let asset = asset(&[("example.org", &root)]);
        let acceptance = judge_with("{}", &asset, NOON, &chain).expect("accepted");
        assert_eq!(acceptance.valid_until, Some(NOON + 11));
        judge_with("{}", &asset, NOON + 10, &chain).expect("the last second");
        assert_eq!(code(judge_with("{}", &asset, NOON + 11, &chain)), "expired");
    }
    let root = root("example.org", |_| {});
    let asset = asset(&[("example.org", &root)]);
    let early = judge_with("{}", &asset, VALID.not_before - 1, &[client(&root, BILLING, |_| {})]);
    assert_eq!(code(early), "not-yet-valid");
}

#[test]
fn only_ids_that_match_a_pattern_come_in() {
    let root = root("example.org", |_| {});
    let settings = r#"{ "patterns": [
        "spiffe://example.org/ci", "spiffe://example.org/agent/*", "spiffe://example.org/ns/**"
    ] }"#;
    let judge = |path: &str| {
        let id = format!("spiffe://example.org{path}");
        judge(settings, &root, &[client(&root, &id, |_| {})])
    };
    for path in ["/ci", "/agent/billing", "/ns/prod/sa/web"] {
        judge(path).expect("allowed");
    }
    for path in ["/cid", "/ci/x", "/agent", "/agentish/x", "/agent/x/y", "/ns", "/other"] {
        assert_eq!(code(judge(path)), "spiffe-id-not-allowed", "{path}");
    }
}

#[test]
fn whoever_cannot_prove_an_id_does_not_learn_whether_it_is_allowed() {
    let (ours, other) = (root("example.org", |_| {}), root("other.example", |_| {}));
    let settings = r#"{ "patterns": ["spiffe://example.org/agent/*"] }"#;
    for id in [BILLING, "spiffe://example.org/nobody"] {
        assert_eq!(code(judge(settings, &ours, &[client(&other, id, |_| {})])), "unknown-issuer");
    }
}

#[test]
fn keys_and_lifetimes_are_held_to_the_settings() {
    let root = root("example.org", |_| {});
    let leaf = client(&root, BILLING, |_| {});
    assert_eq!(code(judge("{}", &root, &[leaf.clone().with_key("rsa", 2047)])), "weak-key");
    judge("{}", &root, &[leaf.clone().with_key("rsa", 2048)]).expect("large enough");
    let relaxed = r#"{ "allow-rsa-below-2048-bits": true, "minimum-rsa-bits": 1024 }"#;
    judge(relaxed, &root, &[leaf.clone().with_key("rsa", 1024)]).expect("relaxed by name");
    let strict = r#"{ "minimum-rsa-bits": 3072 }"#;
    let rsa = support::root("example.org", |profile| profile.key = KeyType::Rsa2048);
    assert_eq!(code(judge(strict, &rsa, &[client(&rsa, BILLING, |_| {})])), "weak-key");

    let day = r#"{ "maximum-validity-hours": 24 }"#;
    assert_eq!(code(judge(day, &root, &[leaf])), "lifetime-too-long");
    let validity = Validity { not_before: NOON, not_after: NOON + DAY - 1 };
    let short = client(&root, BILLING, |profile| profile.validity = validity);
    judge(day, &root, &[short]).expect("a day");
}

#[test]
fn the_number_of_certificates_that_a_client_may_send_is_limited() {
    let root = root("example.org", |_| {});
    let mut chain = vec![client(&root, BILLING, |_| {})];
    chain.extend((0..6).map(|_| of_authority(&root)));
    judge("{}", &root, &chain).expect("six beside its own");
    chain.push(of_authority(&root));
    assert_eq!(code(judge("{}", &root, &chain)), "path-too-complex");
    assert_eq!(code(judge("{}", &root, &[])), "bad-certificate");
}
