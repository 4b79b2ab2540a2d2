//! Certificates from code, judged at a fixed time, as the host would present them.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part")]

use portcullis_ca_chain::rule::Rule;
use portcullis_ca_chain::settings::Settings;
use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::testing::ParsedCertificate;
use portcullis_guest::{Acceptance, Rejection, Timestamp};
use portcullis_pki::{Authority, Issued, Profile, Validity};

/// 2026-11-24T12:00:00Z: when every case is judged that names no other time.
pub(crate) const NOON: Timestamp = 1_795_521_600;

pub(crate) const DAY: i64 = 86_400;

/// Valid for a day before noon and a day after.
pub(crate) const VALID: Validity = Validity { not_before: NOON - DAY, not_after: NOON + DAY };

pub(crate) fn root(change: impl FnOnce(&mut Profile)) -> Authority {
    let mut profile = Profile::authority("Root", VALID);
    change(&mut profile);
    Authority::root(&profile).expect("a root")
}

pub(crate) fn below(
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut Profile),
) -> Authority {
    let mut profile = Profile::authority(name, VALID);
    change(&mut profile);
    authority.intermediate(&profile).expect("an intermediate")
}

pub(crate) fn client(authority: &Authority, change: impl FnOnce(&mut Profile)) -> Issued {
    let mut profile = Profile::client("client-1", VALID);
    change(&mut profile);
    authority.issue(&profile).expect("a client")
}

pub(crate) fn of(issued: &Issued) -> ParsedCertificate {
    ParsedCertificate::parse(&issued.certificate_der).expect("a certificate")
}

pub(crate) fn of_authority(authority: &Authority) -> ParsedCertificate {
    ParsedCertificate::parse(authority.certificate_der()).expect("a certificate")
}

/// Judges a chain at noon, with these authorities as anchors.
pub(crate) fn judge(
    settings: &str,
    anchors: &[&Authority],
    chain: &[ParsedCertificate],
) -> Result<Acceptance, Rejection> {
    judge_at(NOON, settings, anchors, chain)
}

pub(crate) fn judge_at(
    time: Timestamp,
    settings: &str,
    anchors: &[&Authority],
    chain: &[ParsedCertificate],
) -> Result<Acceptance, Rejection> {
    let bundle: String = anchors.iter().map(|one| one.certificate_pem()).collect();
    let (anchors, skipped) =
        Anchors::parse(bundle.as_bytes(), ParsedCertificate::parse).expect("anchors");
    assert_eq!(skipped, Vec::<String>::new());
    let settings = Settings::parse(settings).expect("settings");
    Rule::new(settings, anchors).judge(chain, time, webpki::ALL_VERIFICATION_ALGS)
}

/// The code of a rejection, which must be one that the policy's description lists.
pub(crate) fn code(judgement: Result<Acceptance, Rejection>) -> String {
    let rejection = judgement.expect_err("a rejection");
    assert!(portcullis_ca_chain::codes::all().any(|code| code == rejection.code), "{rejection:?}");
    rejection.code
}
