//! What revocation accepts and refuses, and with which code.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use portcullis_guest::paths::Facts;
use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::testing::ParsedCertificate;
use portcullis_guest::{Acceptance, Attribute, Rejection, RevocationAnswer, Timestamp};
use portcullis_pki::{Authority, Extension, Profile, Validity};
use portcullis_revocation_policy::codes;
use portcullis_revocation_policy::host::Host;
use portcullis_revocation_policy::rule::Rule;
use portcullis_revocation_policy::settings::Settings;
use rustls_pki_types::SignatureVerificationAlgorithm;

/// 2026-11-24T12:00:00Z: when every case is judged that names no other time.
const NOON: Timestamp = 1_795_521_600;

const HOUR: i64 = 3600;

/// Valid for a day before noon and a day after.
const VALID: Validity = Validity { not_before: NOON - 24 * HOUR, not_after: NOON + 24 * HOUR };

/// Knows what it was told, by subject and source; keeps who was asked about.
#[derive(Default)]
struct Fake {
    answers: BTreeMap<(String, &'static str), RevocationAnswer>,
    asked: RefCell<Vec<String>>,
}

impl Fake {
    fn with(mut self, subject: &str, source: &'static str, answer: RevocationAnswer) -> Self {
        self.answers.insert((format!("CN={subject}"), source), answer);
        self
    }

    /// One whose CRL says of everybody that all is well.
    fn content() -> Self {
        ["client-1", "Middle", "Lower"]
            .iter()
            .fold(Self::default(), |fake, subject| fake.with(subject, "crl", good()))
    }
}

impl Host for Fake {
    type Certificate = ParsedCertificate;

    fn algorithms(&self) -> &[&dyn SignatureVerificationAlgorithm] {
        webpki::ALL_VERIFICATION_ALGS
    }

    fn check(
        &self,
        subject: &ParsedCertificate,
        issuer: &ParsedCertificate,
        source: &str,
    ) -> RevocationAnswer {
        let line = format!("{} by {} at {source}", subject.subject(), issuer.subject());
        self.asked.borrow_mut().push(line);
        let known =
            self.answers.iter().find(|((name, of), _)| *name == subject.subject() && *of == source);
        known.map_or_else(|| answer("unknown"), |(_, answer)| answer.clone())
    }

    fn parse(&self, der: &[u8]) -> Result<ParsedCertificate, String> {
        ParsedCertificate::parse(der)
    }
}

fn answer(status: &str) -> RevocationAnswer {
    RevocationAnswer {
        status: status.to_owned(),
        source: String::new(),
        detail: if status == "unknown" { "not configured".to_owned() } else { String::new() },
        revoked_at: None,
        this_update: None,
        next_update: None,
    }
}

/// Said an hour ago, and for an hour more.
fn good() -> RevocationAnswer {
    RevocationAnswer {
        this_update: Some(NOON - HOUR),
        next_update: Some(NOON + HOUR),
        ..answer("good")
    }
}

fn revoked() -> RevocationAnswer {
    RevocationAnswer { revoked_at: Some(NOON - HOUR), ..answer("revoked") }
}

fn root() -> Authority {
    Authority::root(&Profile::authority("Root", VALID)).expect("a root")
}

fn below(authority: &Authority, name: &str) -> Authority {
    authority.intermediate(&Profile::authority(name, VALID)).expect("an intermediate")
}

fn client(authority: &Authority, change: impl FnOnce(&mut Profile)) -> ParsedCertificate {
    let mut profile = Profile::client("client-1", VALID);
    change(&mut profile);
    let issued = authority.issue(&profile).expect("a client");
    ParsedCertificate::parse(&issued.certificate_der).expect("a certificate")
}

fn of(authority: &Authority) -> ParsedCertificate {
    ParsedCertificate::parse(authority.certificate_der()).expect("a certificate")
}

fn judge_at(
    time: Timestamp,
    settings: &str,
    host: &Fake,
    anchor: &Authority,
    chain: &[ParsedCertificate],
) -> Result<Acceptance, Rejection> {
    let bundle = anchor.certificate_pem();
    let (anchors, _) = Anchors::parse(bundle.as_bytes(), ParsedCertificate::parse).expect("one");
    let settings = Settings::parse(settings).expect("settings");
    Rule::new(settings, anchors).judge(host, chain, time).expect("judged")
}

/// Judges a client directly below the anchor, at noon.
fn judge(settings: &str, host: &Fake) -> Result<Acceptance, Rejection> {
    let root = root();
    judge_at(NOON, settings, host, &root, &[client(&root, |_| {})])
}

/// The code of a rejection, which must be one that the policy's description lists.
fn code(judgement: Result<Acceptance, Rejection>) -> String {
    let rejection = judgement.expect_err("a rejection");
    assert!(codes::ALL.contains(&rejection.code.as_str()), "{rejection:?}");
    rejection.code
}

fn leaf_of(judgement: Result<Acceptance, Rejection>) -> String {
    let acceptance = judgement.expect("accepted");
    assert_eq!(acceptance.attributes[0].name, "revocation.leaf");
    acceptance.attributes[0].value.clone()
}

const REQUIRE: &str = r#"{ "mode": "require" }"#;

#[test]
fn a_client_that_is_good_is_accepted_and_the_statement_is_told() {
    let acceptance = judge("{}", &Fake::content()).expect("accepted");
    assert_eq!(acceptance.principal, None);
    assert_eq!(
        acceptance.attributes,
        [
            Attribute::new("revocation.leaf", "crl"),
            Attribute::new("revocation.this-update", "2026-11-24T11:00:00Z"),
        ]
    );
}

#[test]
fn every_certificate_below_the_anchor_is_asked_about_with_its_own_issuer() {
    let root = root();
    let middle = below(&root, "Middle");
    let lower = below(&middle, "Lower");
    // In any order, and with a stranger who has the issuer's name.
    let stranger = below(&self::root(), "Lower");
    let chain = [client(&lower, |_| {}), of(&stranger), of(&middle), of(&lower), of(&root)];

    let host = Fake::content();
    judge_at(NOON, "{}", &host, &root, &chain).expect("accepted");
    assert_eq!(
        host.asked.into_inner(),
        [
            "CN=client-1 by CN=Lower at crl",
            "CN=Lower by CN=Middle at crl",
            "CN=Middle by CN=Root at crl"
        ]
    );
    for subject in ["client-1", "Lower", "Middle"] {
        let host = Fake::content().with(subject, "crl", revoked());
        assert_eq!(code(judge_at(NOON, "{}", &host, &root, &chain)), "revoked", "{subject}");
        let host = Fake::content().with(subject, "crl", answer("unknown"));
        let judged = judge_at(NOON, "{}", &host, &root, &chain);
        assert_eq!(code(judged), "revocation-unknown", "{subject}");
    }
}

#[test]
fn only_the_leaf_is_asked_about_when_the_settings_say_so() {
    let root = root();
    let middle = below(&root, "Middle");
    let host = Fake::default().with("client-1", "crl", good()).with("Middle", "crl", revoked());
    let chain = [client(&middle, |_| {}), of(&middle)];
    judge_at(NOON, r#"{ "check": "leaf" }"#, &host, &root, &chain).expect("accepted");
    assert_eq!(code(judge_at(NOON, "{}", &host, &root, &chain)), "revoked");
}

#[test]
fn an_issuer_is_one_by_its_signature_and_not_by_its_name() {
    let (root, namesake) = (root(), root());
    let forged = client(&namesake, |_| {});
    let host = Fake::content();
    assert_eq!(code(judge_at(NOON, "{}", &host, &root, &[forged])), "unknown-issuer");
    assert_eq!(host.asked.into_inner(), Vec::<String>::new(), "nobody is asked");

    let middle = below(&root, "Middle");
    let judged = judge_at(NOON, "{}", &Fake::content(), &root, &[client(&middle, |_| {})]);
    assert_eq!(code(judged), "unknown-issuer");
    assert_eq!(code(judge_at(NOON, "{}", &Fake::content(), &root, &[])), "unknown-issuer");
}

#[test]
fn the_first_source_that_knows_decides_in_the_order_of_the_settings() {
    let both =
        |crl, ocsp| Fake::default().with("client-1", "crl", crl).with("client-1", "ocsp", ocsp);
    let ocsp_first = r#"{ "sources": ["ocsp", "crl"] }"#;

    assert_eq!(leaf_of(judge("{}", &both(good(), revoked()))), "crl");
    assert_eq!(code(judge(ocsp_first, &both(good(), revoked()))), "revoked");
    assert_eq!(leaf_of(judge("{}", &both(answer("unknown"), good()))), "ocsp");
    assert_eq!(leaf_of(judge(ocsp_first, &both(good(), answer("unknown")))), "crl");
    assert_eq!(code(judge("{}", &both(revoked(), good()))), "revoked");
    assert_eq!(code(judge(r#"{ "sources": ["ocsp"] }"#, &Fake::content())), "revocation-unknown");
}

#[test]
fn every_source_must_know_where_that_is_required() {
    let both =
        |crl, ocsp| Fake::default().with("client-1", "crl", crl).with("client-1", "ocsp", ocsp);
    assert_eq!(leaf_of(judge(REQUIRE, &both(good(), good()))), "crl+ocsp");
    for host in
        [both(good(), revoked()), both(revoked(), good()), both(answer("unknown"), revoked())]
    {
        assert_eq!(code(judge(REQUIRE, &host)), "revoked");
    }
    for host in [both(good(), answer("unknown")), both(answer("unknown"), good())] {
        assert_eq!(code(judge(REQUIRE, &host)), "revocation-unknown");
    }
}

#[test]
fn what_is_unknown_is_accepted_only_where_the_settings_allow_it_and_what_is_revoked_never() {
    assert_eq!(code(judge("{}", &Fake::default())), "revocation-unknown");
    let allowed = r#"{ "allow-unknown": true }"#;
    assert_eq!(leaf_of(judge(allowed, &Fake::default())), "unknown");
    let late = Fake::default().with("client-1", "ocsp", revoked());
    assert_eq!(code(judge(allowed, &late)), "revoked");
    let both = r#"{ "allow-unknown": true, "mode": "require" }"#;
    assert_eq!(leaf_of(judge(both, &Fake::content())), "crl");
    assert_eq!(code(judge(both, &late)), "revoked");
}

#[test]
fn a_status_that_is_not_known_here_is_unknown() {
    for status in ["", "Good", "fine"] {
        let host = Fake::default().with("client-1", "crl", answer(status));
        assert_eq!(code(judge("{}", &host)), "revocation-unknown", "{status}");
    }
}

#[test]
fn an_answer_holds_to_its_next_update_and_the_verdict_no_longer() {
    let root = root();
    let chain = [client(&root, |_| {})];
    let judge_at = |time| judge_at(time, "{}", &Fake::content(), &root, &chain);
    assert_eq!(judge_at(NOON).expect("accepted").valid_until, Some(NOON + HOUR + 1));
    judge_at(NOON + HOUR).expect("the last second");
    assert_eq!(code(judge_at(NOON + HOUR + 1)), "revocation-stale");
}

#[test]
fn an_answer_holds_for_as_long_as_the_settings_say() {
    let root = root();
    let chain = [client(&root, |_| {})];
    let settings = r#"{ "maximum-age-hours": 1 }"#;
    let said =
        |this_update, next_update| RevocationAnswer { this_update, next_update, ..answer("good") };
    let judge_at = |time, answer: RevocationAnswer| {
        let host = Fake::default().with("client-1", "crl", answer);
        judge_at(time, settings, &host, &root, &chain)
    };
    let unlimited = said(Some(NOON), None);
    let accepted = judge_at(NOON, unlimited.clone()).expect("accepted");
    assert_eq!(accepted.valid_until, Some(NOON + HOUR + 1));
    judge_at(NOON + HOUR, unlimited.clone()).expect("the last second");
    assert_eq!(code(judge_at(NOON + HOUR + 1, unlimited)), "revocation-stale");

    let both = judge_at(NOON, said(Some(NOON), Some(NOON + 60))).expect("accepted");
    assert_eq!(both.valid_until, Some(NOON + 61), "the earlier end holds");
    assert_eq!(code(judge_at(NOON, said(None, Some(NOON + 60)))), "revocation-stale");

    let old = RevocationAnswer { this_update: Some(0), next_update: Some(1), ..revoked() };
    assert_eq!(code(judge_at(NOON, old)), "revoked", "however long ago that was");
}

#[test]
fn a_stale_answer_gives_way_to_a_fresh_one() {
    let stale = RevocationAnswer { next_update: Some(NOON - 1), ..good() };
    let host = Fake::default().with("client-1", "crl", stale).with("client-1", "ocsp", good());
    assert_eq!(leaf_of(judge("{}", &host)), "ocsp");
    assert_eq!(code(judge(REQUIRE, &host)), "revocation-stale");
}

#[test]
fn the_verdict_holds_as_long_as_the_answer_that_ends_first_and_not_longer_than_the_path() {
    let root = root();
    let middle = below(&root, "Middle");
    let chain = [client(&middle, |_| {}), of(&middle)];
    let until = |end| RevocationAnswer { next_update: end, ..good() };
    for (leaf, ca, expected) in [
        (Some(NOON + 10), Some(NOON + 20), NOON + 11),
        (Some(NOON + 20), Some(NOON + 10), NOON + 11),
        (None, Some(NOON + 10), NOON + 11),
        (None, None, VALID.not_after + 1),
    ] {
        let host =
            Fake::default().with("client-1", "crl", until(leaf)).with("Middle", "crl", until(ca));
        let acceptance = judge_at(NOON, "{}", &host, &root, &chain).expect("accepted");
        assert_eq!(acceptance.valid_until, Some(expected));
    }
}

#[test]
fn a_short_lived_leaf_needs_no_check_where_the_settings_say_so_and_its_cas_do() {
    let root = root();
    let middle = below(&root, "Middle");
    let lasting = |seconds: i64| {
        let validity = Validity { not_before: NOON, not_after: NOON + seconds - 1 };
        [client(&middle, |profile| profile.validity = validity), of(&middle)]
    };
    let settings = r#"{ "exempt-validity-hours": 8 }"#;
    let judge =
        |settings, host: &Fake, seconds| judge_at(NOON, settings, host, &root, &lasting(seconds));

    let ca_only = Fake::default().with("Middle", "crl", good());
    assert_eq!(leaf_of(judge(settings, &ca_only, 8 * HOUR)), "exempt-validity");
    assert_eq!(code(judge(settings, &ca_only, 8 * HOUR + 1)), "revocation-unknown");
    assert_eq!(code(judge("{}", &ca_only, 1)), "revocation-unknown");
    let ca_revoked = Fake::default().with("Middle", "crl", revoked());
    assert_eq!(code(judge(settings, &ca_revoked, HOUR)), "revoked");
}

#[test]
fn no_rev_avail_is_honoured_where_the_settings_say_so_and_the_certificate_does_not_contradict_it() {
    let root = root();
    let extension = |oid: &str, value: &[u8]| Extension {
        oid: oid.to_owned(),
        critical: false,
        value: value.to_vec(),
    };
    let no_rev_avail = extension("2.5.29.56", &[5, 0]);
    let honour = r#"{ "honour-no-rev-avail": true }"#;
    let judge = |settings, extensions: &[Extension]| {
        let leaf = client(&root, |profile| profile.extensions = extensions.to_vec());
        judge_at(NOON, settings, &Fake::default(), &root, &[leaf])
    };
    assert_eq!(leaf_of(judge(honour, std::slice::from_ref(&no_rev_avail))), "no-rev-avail");
    assert_eq!(code(judge("{}", std::slice::from_ref(&no_rev_avail))), "revocation-unknown");
    assert_eq!(code(judge(honour, &[])), "revocation-unknown");
    assert_eq!(code(judge(honour, &[extension("2.5.29.56", &[])])), "revocation-unknown");

    let access = |method: u8| {
        let mut value = vec![0x30, 0x10, 0x30, 0x0e, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 0x30, method];
        value.extend([0x86, 0x02, b'u', b':']);
        extension("1.3.6.1.5.5.7.1.1", &value)
    };
    let ca_issuers = [no_rev_avail.clone(), access(2)];
    assert_eq!(leaf_of(judge(honour, &ca_issuers)), "no-rev-avail");
    let points = extension("2.5.29.31", &[0x30, 0]);
    let freshest = extension("2.5.29.46", &[0x30, 0]);
    for contradiction in [access(1), points, freshest] {
        let extensions = [no_rev_avail.clone(), contradiction];
        assert_eq!(code(judge(honour, &extensions)), "revocation-unknown");
    }
}
