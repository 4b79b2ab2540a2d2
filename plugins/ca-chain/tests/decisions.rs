//! What ca-chain accepts and refuses, and with which code.

mod support;

use portcullis_guest::Attribute;
use portcullis_guest::testing::ParsedCertificate;
use portcullis_pki::{AltName, Extension, KeyType, KeyUsage, NameConstraint, PathLength, Validity};

use support::{DAY, NOON, VALID, below, client, code, judge, judge_at, of, of_authority, root};

#[test]
fn a_client_of_the_anchor_is_accepted_and_the_anchor_and_depth_are_told() {
    let root = root(|_| {});
    let acceptance = judge("{}", &[&root], &[of(&client(&root, |_| {}))]).expect("accepted");
    assert_eq!(acceptance.principal, None);
    assert_eq!(
        acceptance.attributes,
        [
            Attribute::new("ca-chain.anchor", "CN=Root"),
            Attribute::new("ca-chain.anchor-sha256", "ab".repeat(32)),
            Attribute::new("ca-chain.depth", "0"),
        ]
    );
}

#[test]
fn intermediates_may_come_in_any_order_and_with_the_root_and_a_stranger_among_them() {
    let root = root(|_| {});
    let upper = below(&root, "Upper", |_| {});
    let lower = below(&upper, "Lower", |_| {});
    let stranger = support::root(|profile| profile.subject[0].1 = "Stranger".into());
    let leaf = of(&client(&lower, |_| {}));
    let [root_cert, upper, lower, stranger] = [&root, &upper, &lower, &stranger].map(of_authority);
    let chain = [leaf, stranger, upper, root_cert, lower];
    let acceptance = judge("{}", &[&root], &chain).expect("accepted");
    assert_eq!(acceptance.attributes[2].value, "2");
}

#[test]
fn every_kind_of_key_works_for_the_ca_and_for_the_client() {
    for key in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519, KeyType::Rsa2048] {
        let root = root(|profile| profile.key = key);
        let leaf = client(&root, |profile| profile.key = key);
        judge("{}", &[&root], &[of(&leaf)]).expect("accepted");
    }
}

#[test]
fn a_client_of_another_ca_is_refused_even_if_that_ca_has_the_anchors_name() {
    let ours = root(|_| {});
    let other = root(|profile| profile.subject[0].1 = "Other".into());
    let namesake = root(|_| {});
    assert_eq!(code(judge("{}", &[&ours], &[of(&client(&other, |_| {}))])), "unknown-issuer");
    assert_eq!(code(judge("{}", &[&ours], &[of(&client(&namesake, |_| {}))])), "bad-signature");

    // Nor does it help to send the other CA along.
    let chain = [of(&client(&other, |_| {})), of_authority(&other)];
    assert_eq!(code(judge("{}", &[&ours], &chain)), "unknown-issuer");
}

#[test]
fn a_path_that_needs_an_intermediate_is_refused_without_it() {
    let root = root(|_| {});
    let middle = below(&root, "Middle", |_| {});
    let leaf = of(&client(&middle, |_| {}));
    assert_eq!(code(judge("{}", &[&root], std::slice::from_ref(&leaf))), "unknown-issuer");
    judge("{}", &[&root], &[leaf, of_authority(&middle)]).expect("accepted with it");
}

#[test]
fn the_validity_includes_its_first_and_its_last_second() {
    let root = root(|profile| {
        profile.validity = Validity { not_before: NOON - 9 * DAY, not_after: NOON + 9 * DAY };
    });
    let leaf = [of(&client(&root, |_| {}))];
    let judge_at = |time| judge_at(time, "{}", &[&root], &leaf);
    judge_at(VALID.not_before).expect("the first second");
    judge_at(VALID.not_after).expect("the last second");
    assert_eq!(code(judge_at(VALID.not_before - 1)), "not-yet-valid");
    assert_eq!(code(judge_at(VALID.not_after + 1)), "expired");
    assert_eq!(code(judge_at(-1)), "not-yet-valid");
}

#[test]
fn the_verdict_holds_as_long_as_the_certificate_that_ends_first() {
    let until = |offset| Validity { not_before: NOON - DAY, not_after: NOON + offset };
    for (root_ends, middle_ends, leaf_ends) in [(10, 20, 30), (30, 10, 20), (20, 30, 10)] {
        let root = root(|profile| profile.validity = until(root_ends));
        let middle = below(&root, "Middle", |profile| profile.validity = until(middle_ends));
        let leaf = client(&middle, |profile| profile.validity = until(leaf_ends));
        let chain = [of(&leaf), of_authority(&middle)];
        let acceptance = judge("{}", &[&root], &chain).expect("accepted");
        assert_eq!(acceptance.valid_until, Some(NOON + 11));
        let again = judge_at(NOON + 11, "{}", &[&root], &chain);
        assert_eq!(code(again), "expired", "what it is asked for again is refused");
    }
}

#[test]
fn an_anchor_outside_its_validity_anchors_nothing_and_does_not_hide_one_that_is_inside() {
    let expired = Validity { not_before: NOON - 9 * DAY, not_after: NOON - 1 };
    let future = Validity { not_before: NOON + 1, not_after: NOON + 9 * DAY };
    let good = root(|_| {});
    for (validity, expected) in [(expired, "expired"), (future, "not-yet-valid")] {
        let bad = root(|profile| profile.validity = validity);
        let leaf = [of(&client(&bad, |_| {}))];
        assert_eq!(code(judge("{}", &[&bad], &leaf)), expected);

        let of_good = [of(&client(&good, |_| {}))];
        judge("{}", &[&bad, &good], &of_good).expect("the other anchor stands");
    }
}

#[test]
fn the_client_certificate_must_be_meant_for_clients() {
    let root = root(|_| {});
    let with = |usages: &[&str]| {
        let usages = usages.iter().map(|&usage| usage.to_owned()).collect();
        [of(&client(&root, |profile| profile.extended_key_usages = usages))]
    };
    let (client_auth, server_auth, any) = ("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0");
    let judge = |settings, chain: [ParsedCertificate; 1]| judge(settings, &[&root], &chain);

    assert_eq!(code(judge("{}", with(&[]))), "wrong-usage");
    assert_eq!(code(judge("{}", with(&[server_auth]))), "wrong-usage");
    assert_eq!(code(judge("{}", with(&[any]))), "wrong-usage");
    judge("{}", with(&[server_auth, client_auth])).expect("one of two");

    let relaxed = r#"{ "allow-absent-extended-key-usage": true }"#;
    judge(relaxed, with(&[])).expect("absent, and allowed to be");
    assert_eq!(code(judge(relaxed, with(&[server_auth]))), "wrong-usage");

    let both = r#"{ "extended-key-usages": ["clientAuth", "1.3.6.1.4.1.32473.7"] }"#;
    assert_eq!(code(judge(both, with(&[client_auth]))), "wrong-usage");
    judge(both, with(&[client_auth, "1.3.6.1.4.1.32473.7"])).expect("both of two");
}

#[test]
fn a_ca_that_is_limited_to_servers_has_no_clients() {
    let root = root(|_| {});
    let middle = below(&root, "Servers", |profile| {
        profile.extended_key_usages = vec!["1.3.6.1.5.5.7.3.1".to_owned()];
    });
    let chain = [of(&client(&middle, |_| {})), of_authority(&middle)];
    assert_eq!(code(judge("{}", &[&root], &chain)), "wrong-usage");
}

#[test]
fn a_ca_certificate_is_no_client_certificate() {
    let root = root(|_| {});
    let ca = client(&root, |profile| profile.ca = Some(PathLength::Unlimited));
    assert_eq!(code(judge("{}", &[&root], &[of(&ca)])), "ca-as-leaf");
    let signer = client(&root, |profile| profile.key_usages.push(KeyUsage::KeyCertSign));
    assert_eq!(code(judge("{}", &[&root], &[of(&signer)])), "ca-as-leaf");
}

#[test]
fn the_key_usage_of_the_client_must_have_digital_signature_if_it_is_there() {
    let root = root(|_| {});
    let absent = client(&root, |profile| profile.key_usages.clear());
    judge("{}", &[&root], &[of(&absent)]).expect("absent is no restriction");
    let other = client(&root, |profile| profile.key_usages = vec![KeyUsage::KeyEncipherment]);
    assert_eq!(code(judge("{}", &[&root], &[of(&other)])), "wrong-usage");
}

#[test]
fn a_client_certificate_issues_no_clients_and_neither_does_a_ca_without_key_cert_sign() {
    let root = root(|_| {});
    let not_a_ca = below(&root, "Not a CA", |profile| profile.ca = None);
    let chain = [of(&client(&not_a_ca, |_| {})), of_authority(&not_a_ca)];
    assert_eq!(code(judge("{}", &[&root], &chain)), "wrong-usage");

    let no_signer =
        below(&root, "CRLs only", |profile| profile.key_usages = vec![KeyUsage::CrlSign]);
    let chain = [of(&client(&no_signer, |_| {})), of_authority(&no_signer)];
    assert_eq!(code(judge("{}", &[&root], &chain)), "wrong-usage");
}

#[test]
fn a_path_length_constraint_holds() {
    let root = root(|_| {});
    let upper = below(&root, "Upper", |profile| profile.ca = Some(PathLength::AtMost(0)));
    let lower = below(&upper, "Lower", |_| {});
    let chain = [of(&client(&lower, |_| {})), of_authority(&lower), of_authority(&upper)];
    assert_eq!(code(judge("{}", &[&root], &chain)), "path-too-long");
    let chain = [of(&client(&upper, |_| {})), of_authority(&upper)];
    judge("{}", &[&root], &chain).expect("directly below");
}

#[test]
fn name_constraints_hold_for_the_anchor_and_for_those_below() {
    let permitted = vec![NameConstraint::Dns("example.org".to_owned())];
    let named = |name: &str| vec![AltName::Dns(name.to_owned())];

    let bound = root(|profile| profile.permitted_names = permitted.clone());
    let inside = client(&bound, |profile| profile.alt_names = named("agent.example.org"));
    judge("{}", &[&bound], &[of(&inside)]).expect("inside");
    let outside = client(&bound, |profile| profile.alt_names = named("agent.example.com"));
    assert_eq!(code(judge("{}", &[&bound], &[of(&outside)])), "name-not-permitted");

    let free = root(|_| {});
    let middle = below(&free, "Middle", |profile| profile.excluded_names = permitted);
    let excluded = client(&middle, |profile| profile.alt_names = named("agent.example.org"));
    let chain = [of(&excluded), of_authority(&middle)];
    assert_eq!(code(judge("{}", &[&free], &chain)), "name-not-permitted");
}

#[test]
fn an_extension_that_is_critical_and_unknown_is_refused_and_one_that_is_only_unknown_is_not() {
    let root = root(|_| {});
    let with = |critical| {
        let oid = "1.3.6.1.4.1.32473.1".to_owned();
        let extension = Extension { oid, critical, value: vec![5, 0] };
        [of(&client(&root, |profile| profile.extensions.push(extension)))]
    };
    assert_eq!(code(judge("{}", &[&root], &with(true))), "unknown-critical-extension");
    judge("{}", &[&root], &with(false)).expect("not critical");
}

#[test]
fn a_weak_key_is_refused_wherever_it_is_on_the_path() {
    let root = root(|_| {});
    let middle = below(&root, "Middle", |_| {});
    let leaf = of(&client(&middle, |_| {}));
    let ca = of_authority(&middle);
    judge("{}", &[&root], &[leaf.clone(), ca.clone()]).expect("strong keys");

    for (algorithm, bits) in [("rsa", 2047), ("rsa", 0), ("1.2.840.10040.4.1", 2048)] {
        let weak_leaf = [leaf.clone().with_key(algorithm, bits), ca.clone()];
        assert_eq!(code(judge("{}", &[&root], &weak_leaf)), "weak-key");
        let weak_ca = [leaf.clone(), ca.clone().with_key(algorithm, bits)];
        assert_eq!(code(judge("{}", &[&root], &weak_ca)), "weak-key");
    }
    let strict = r#"{ "minimum-rsa-bits": 3072 }"#;
    let rsa = support::root(|profile| profile.key = KeyType::Rsa2048);
    assert_eq!(code(judge(strict, &[&rsa], &[of(&client(&rsa, |_| {}))])), "weak-key");

    let relaxed = r#"{ "allow-rsa-below-2048-bits": true, "minimum-rsa-bits": 1024 }"#;
    judge(relaxed, &[&root], &[leaf.with_key("rsa", 1024), ca]).expect("relaxed by name");
}

#[test]
fn a_signature_by_a_key_that_is_too_small_to_verify_is_called_weak_and_not_wrong() {
    let root = root(|_| {});
    let middle = below(&root, "Middle", |_| {});
    let impostor = below(&root, "Middle", |_| {});
    let leaf = of(&client(&impostor, |_| {}));
    let ca = of_authority(&middle);
    assert_eq!(code(judge("{}", &[&root], &[leaf.clone(), ca.clone()])), "bad-signature");
    assert_eq!(code(judge("{}", &[&root], &[leaf, ca.with_key("rsa", 1024)])), "weak-key");
}

#[test]
fn a_certificate_may_not_be_valid_for_longer_than_the_settings_say() {
    let root = root(|_| {});
    let lasting = |seconds| {
        let validity = Validity { not_before: NOON, not_after: NOON + seconds };
        [of(&client(&root, |profile| profile.validity = validity))]
    };
    let a_day = r#"{ "maximum-validity-hours": 24 }"#;
    judge(a_day, &[&root], &lasting(DAY - 1)).expect("both ends count: a day");
    assert_eq!(code(judge(a_day, &[&root], &lasting(DAY))), "lifetime-too-long");
    judge("{}", &[&root], &lasting(DAY)).expect("no limit by default");
}

#[test]
fn the_number_of_certificates_that_a_client_may_send_is_limited() {
    let root = root(|_| {});
    let mut chain = vec![of(&client(&root, |_| {}))];
    for index in 0..6 {
        chain.push(of_authority(&below(&root, &format!("Other {index}"), |_| {})));
    }
    judge("{}", &[&root], &chain).expect("six beside its own");
    chain.push(of_authority(&root));
    assert_eq!(code(judge("{}", &[&root], &chain)), "path-too-complex");
    assert_eq!(code(judge("{}", &[&root], &[])), "bad-certificate");
}

#[test]
fn certificates_that_all_fit_each_other_are_given_up_in_bounded_time() {
    // Six CAs of one name, none of which signed the leaf or one another: every order of them fits by name.
    let ours = root(|profile| profile.subject[0].1 = "Ours".into());
    let twins: Vec<_> = (0..6).map(|_| root(|_| {})).collect();
    let mut chain = vec![of(&client(&root(|_| {}), |_| {}))];
    chain.extend(twins.iter().map(of_authority));
    assert_eq!(code(judge("{}", &[&ours], &chain)), "unknown-issuer");
    assert!(code(judge("{}", &[&twins[0]], &chain)).starts_with(['b', 'p']));
}

#[test]
fn the_principal_is_the_one_name_of_the_wanted_kind() {
    let root = root(|_| {});
    let uri = AltName::Uri("spiffe://example.org/agent/billing".to_owned());
    let dns = AltName::Dns("billing.example.org".to_owned());
    let email = AltName::Email("ann@example.org".to_owned());
    let leaf = client(&root, |profile| profile.alt_names = vec![dns.clone(), uri, email]);
    let principal =
        |settings: &str| judge(settings, &[&root], &[of(&leaf)]).expect("accepted").principal;
    assert_eq!(principal(r#"{ "principal": "none" }"#), None);
    assert_eq!(principal(r#"{ "principal": "common-name" }"#).as_deref(), Some("client-1"));
    assert_eq!(principal(r#"{ "principal": "dns" }"#).as_deref(), Some("billing.example.org"));
    assert_eq!(principal(r#"{ "principal": "email" }"#).as_deref(), Some("ann@example.org"));
    assert_eq!(
        principal(r#"{ "principal": "uri" }"#).as_deref(),
        Some("spiffe://example.org/agent/billing")
    );

    let two = vec![dns, AltName::Dns("admin.example.org".to_owned())];
    for names in [Vec::new(), two] {
        let leaf = client(&root, |profile| profile.alt_names = names);
        let judged = judge(r#"{ "principal": "dns" }"#, &[&root], &[of(&leaf)]);
        assert_eq!(code(judged), "no-principal");
    }
}
