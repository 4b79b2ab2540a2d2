//! How the asset is read, in each of its formats, and what of it is left.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]

mod support;

use data_encoding::BASE64;
use portcullis_guest::testing::ParsedCertificate;
use portcullis_pki::{Authority, KeyUsage};
use portcullis_spiffe_id::bundles::{Bundles, BundlesError};
use portcullis_spiffe_id::id::TrustDomain;
use portcullis_spiffe_id::settings::Settings;
use proptest::prelude::*;
use serde_json::{Value, json};

use support::{BILLING, NOON, asset, bundles, client, code, judge_with, root, uris};

fn domain(name: &str) -> TrustDomain {
    TrustDomain::parse(name).expect("a trust domain")
}

fn of_example_org(asset: &str) -> Result<(Bundles, Vec<String>), BundlesError> {
    Bundles::parse(asset.as_bytes(), Some(&domain("example.org")), ParsedCertificate::parse)
}

fn key(authority: &Authority) -> Value {
    let x5c = [BASE64.encode(authority.certificate_der())];
    json!({ "kty": "EC", "use": "x509-svid", "x5c": x5c, "crv": "P-256", "x": "", "y": "" })
}

fn bundle(keys: &[Value]) -> Value {
    json!({ "spiffe_sequence": 7, "spiffe_refresh_hint": 300, "keys": keys, "other": {} })
}

/// The one warning.
fn warning(parsed: Result<(Bundles, Vec<String>), BundlesError>) -> String {
    let (_, warnings) = parsed.expect("bundles");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.concat()
}

#[test]
fn a_file_may_hold_the_bundles_of_several_trust_domains_in_either_format() {
    let (ours, partner) = (root("example.org", |_| {}), root("partner.example", |_| {}));
    let pem = format!(
        "# Ours\r\nspiffe://example.org \r\n{}\n\n# Theirs\nspiffe://partner.example\n{}",
        ours.certificate_pem(),
        partner.certificate_pem()
    );
    let map = json!({ "trust_domains": {
        "example.org": bundle(&[key(&ours)]), "partner.example": bundle(&[key(&partner)]),
    } });
    for asset in [pem, map.to_string()] {
        let judge =
            |issuer, id: &str| judge_with("{}", &asset, NOON, &[client(issuer, id, |_| {})]);
        judge(&ours, BILLING).expect("ours");
        judge(&partner, "spiffe://partner.example/x").expect("theirs");
        assert_eq!(code(judge(&partner, BILLING)), "unknown-issuer");
    }
}

#[test]
fn a_bundle_that_names_no_trust_domain_is_of_the_one_of_the_settings() {
    let root = root("example.org", |_| {});
    let pem = format!("Certificate: some text\n{}", root.certificate_pem());
    for asset in [pem, bundle(&[key(&root)]).to_string()] {
        let (read, warnings) = of_example_org(&asset).expect("a bundle");
        assert_eq!(read.of(&domain("example.org")).expect("the bundle").len(), 1);
        assert_eq!(warnings, Vec::<String>::new());
        assert!(matches!(bundles(&asset), Err(BundlesError::Unnamed(_))));
    }
    let named = asset(&[("example.org", &root)]);
    assert!(matches!(of_example_org(&named), Err(BundlesError::NamedTwice)));
    let before = format!("{}{named}", root.certificate_pem());
    let error = bundles(&before).expect_err("one before the first name");
    assert_eq!(error, BundlesError::Unnamed("the entry of line 1".to_owned()));
}

#[test]
fn a_trust_domain_may_have_several_cas_and_stand_twice_in_pem() {
    let roots = [root("example.org", |_| {}), root("example.org", |_| {})];
    let twice = asset(&[("example.org", &roots[0]), ("example.org", &roots[1])]);
    let map =
        json!({ "trust_domains": { "example.org": bundle(&[key(&roots[0]), key(&roots[1])]) } });
    for asset in [twice, map.to_string()] {
        for root in &roots {
            let leaf = client(root, BILLING, |_| {});
            judge_with("{}", &asset, NOON, &[leaf]).expect("either CA");
        }
    }
}

#[test]
fn a_map_that_names_a_trust_domain_twice_is_refused() {
    let bundle = bundle(&[]).to_string();
    let twice =
        format!(r#"{{ "trust_domains": {{ "a.example": {bundle}, "a.example": {bundle} }} }}"#);
    let error = bundles(&twice).expect_err("twice").to_string();
    assert!(error.contains("`a.example` stands twice"), "{error}");
}

#[test]
fn a_bad_entry_is_skipped_by_its_place_and_the_others_stand() {
    let (good, leaf_like) =
        (root("example.org", |_| {}), root("example.org", |profile| profile.ca = None));
    let no_signer = root("example.org", |profile| profile.key_usages = vec![KeyUsage::CrlSign]);
    let of_another = root("partner.example", |_| {});
    let with_path =
        root("example.org", |profile| profile.alt_names = uris(&["spiffe://example.org/ca"]));
    for (bad, problem) in [
        (&leaf_like, "basic constraints do not say that it is a CA"),
        (&no_signer, "its key usage does not include keyCertSign"),
        (&of_another, "is of `spiffe://partner.example`, not of `example.org`"),
        (&with_path, "a CA's has no path"),
    ] {
        let pem = format!("{}{}", asset(&[("example.org", &good)]), bad.certificate_pem());
        let line = 2 + good.certificate_pem().lines().count();
        let text = warning(bundles(&pem));
        assert!(text.starts_with(&format!("the entry of line {line} is skipped: ")), "{text}");
        assert!(text.contains(problem), "{text}");

        let text = warning(of_example_org(&bundle(&[key(&good), key(bad)]).to_string()));
        assert!(text.starts_with("key 2 of the bundle is skipped: "), "{text}");
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn a_key_that_is_not_for_certificates_is_passed_over_and_a_bad_one_named() {
    let root = root("example.org", |_| {});
    let with = |change: Value| {
        let mut bad = key(&root);
        let fields = change.as_object().expect("an object").clone();
        bad.as_object_mut().expect("an object").extend(fields);
        of_example_org(&bundle(&[key(&root), bad]).to_string())
    };
    for other in ["jwt-svid", "X509-SVID", "sig", ""] {
        let (_, warnings) = with(json!({ "use": other, "x5c": "garbage" })).expect("a bundle");
        assert_eq!(warnings, Vec::<String>::new());
    }
    for (change, problem) in [
        (json!({ "kty": "new" }), "its `kty` is none of"),
        (json!({ "kty": null }), "its `kty` is none of"),
        (json!({ "x5c": [] }), "it has no certificate in `x5c`"),
        (json!({ "x5c": null }), "it has no certificate in `x5c`"),
        (json!({ "x5c": [7] }), "it has no certificate in `x5c`"),
        (json!({ "x5c": ["_-_-"] }), "is not base64"),
        (json!({ "x5c": ["AAAA"] }), ""),
    ] {
        let text = warning(with(change));
        assert!(text.contains(problem), "{text}");
    }
    // All but the first certificate of a key are passed over.
    let x5c = [BASE64.encode(root.certificate_der()), "garbage".to_owned()];
    let (_, warnings) = with(json!({ "x5c": x5c })).expect("a bundle");
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn a_trust_domain_without_a_ca_is_warned_of_and_locks_nobody_else_out() {
    let root = root("example.org", |_| {});
    let map = json!({ "trust_domains": {
        "empty.example": bundle(&[]), "example.org": bundle(&[key(&root)]),
    } });
    let text = warning(bundles(&map.to_string()));
    assert_eq!(text, "no CA of the trust domain `empty.example` is in it");

    let alone = json!({ "trust_domains": { "empty.example": bundle(&[]) } });
    assert!(matches!(bundles(&alone.to_string()), Err(BundlesError::NothingLeft(_))));
}

#[test]
fn a_name_mistyped_is_refused_and_never_leaves_its_cas_to_the_trust_domain_before() {
    let root = root("example.org", |_| {});
    let (good, pem) = (asset(&[("example.org", &root)]), root.certificate_pem());
    let line = good.lines().count() + 1;
    for mistyped in ["spife://partner.example", "partner.example", " spiffe://partner.example"] {
        let error = bundles(&format!("{good}{mistyped}\n{pem}")).expect_err(mistyped).to_string();
        assert!(error.starts_with(&format!("line {line} is neither")), "{error}");
    }
    for wrong in ["spiffe://Partner.example", "spiffe://partner.example/ca", "spiffe://"] {
        let error = bundles(&format!("{good}{wrong}\n{pem}")).expect_err(wrong).to_string();
        assert!(error.starts_with(&format!("line {line}: the trust domain ")), "{error}");
    }
}

#[test]
fn an_entry_that_lost_its_end_does_not_take_the_next_name_with_it() {
    let (ours, partner) = (root("example.org", |_| {}), root("partner.example", |_| {}));
    let ours_pem = ours.certificate_pem();
    let cut = ours_pem.replace("-----END CERTIFICATE-----\n", "");
    let pem = format!(
        "spiffe://example.org\n{ours_pem}{cut}spiffe://partner.example\n{}",
        partner.certificate_pem()
    );
    let (read, warnings) = bundles(&pem).expect("bundles");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(read.of(&domain("example.org")).expect("ours").len(), 1);
    assert_eq!(read.of(&domain("partner.example")).expect("theirs").len(), 1);
}

#[test]
fn what_is_in_neither_format_is_refused() {
    for (content, problem) in [
        ("", "neither PEM nor JSON"),
        ("hello", "neither PEM nor JSON"),
        ("[]", "neither PEM nor JSON"),
        ("{", "no SPIFFE bundle"),
        ("{}", "it has no `keys`"),
        (r#"{ "keys": {} }"#, "no SPIFFE bundle"),
        (r#"{ "trust_domains": { "a": {} } }"#, "no SPIFFE bundle"),
        (r#"{ "keys": [], "trust_domains": {} }"#, "both"),
        (r#"{ "trust_domains": {} }"#, "no CA of any trust domain"),
    ] {
        let error = bundles(content).expect_err(content).to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_pattern_of_a_trust_domain_without_bundle_is_told_of() {
    let (read, _) = bundles(&asset(&[("example.org", &root("example.org", |_| {}))])).expect("one");
    let settings = r#"{ "patterns": ["spiffe://example.org/**", "spiffe://example.com/a"] }"#;
    let lines = Settings::parse(settings).expect("settings").patterns_without_bundle(&read);
    assert_eq!(
        lines,
        ["the pattern `spiffe://example.com/a` matches nobody: its trust domain has no bundle"]
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(content in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Bundles::parse(&content, None, ParsedCertificate::parse);
    }

    #[test]
    fn no_text_that_looks_like_a_bundle_makes_the_parser_panic(
        pem in "((spiffe://[a-z./]{0,6}|-----BEGIN (CERTIFICATE|KEY)-----|[A-Za-z0-9+/=]{0,8}|-----END CERTIFICATE-----|#x)\r?\n){0,12}",
        keys in "(\\{\"use\":\"x509-svid\",\"kty\":\"EC\",\"x5c\":(\\[\"[A-Za-z0-9+/=]{0,12}\"\\]|[0-9]|\\{\\})\\},?){0,3}",
    ) {
        let _ = bundles(&pem);
        let _ = of_example_org(&pem);
        let _ = of_example_org(&format!("{{\"keys\":[{keys}]}}"));
    }
}
