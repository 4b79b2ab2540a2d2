//! Certificates from code, judged at a fixed time, as the host would present them.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part")]

use portcullis_guest::testing::ParsedCertificate;
use portcullis_guest::{Acceptance, Rejection, Timestamp};
use portcullis_pki::{AltName, Authority, Issued, Profile, Validity};
use portcullis_spiffe_id::bundles::{Bundles, BundlesError};
use portcullis_spiffe_id::codes;
use portcullis_spiffe_id::rule::Rule;
use portcullis_spiffe_id::settings::Settings;

/// 2026-11-24T12:00:00Z: when every case is judged that names no other time.
pub(crate) const NOON: Timestamp = 1_795_521_600;

pub(crate) const DAY: i64 = 86_400;

/// Valid for a day before noon and a day after.
pub(crate) const VALID: Validity = Validity { not_before: NOON - DAY, not_after: NOON + DAY };

pub(crate) const BILLING: &str = "spiffe://example.org/agent/billing";

pub(crate) fn uris(uris: &[&str]) -> Vec<AltName> {
    uris.iter().map(|&uri| AltName::Uri(uri.to_owned())).collect()
}

/// The root of a trust domain, with its ID.
pub(crate) fn root(trust_domain: &str, change: impl FnOnce(&mut Profile)) -> Authority {
    let mut profile = Profile::authority(trust_domain, VALID);
    profile.alt_names = uris(&[&format!("spiffe://{trust_domain}")]);
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

pub(crate) fn client(
    authority: &Authority,
    id: &str,
    change: impl FnOnce(&mut Profile),
) -> ParsedCertificate {
    let mut profile = Profile::client("client-1", VALID);
    profile.alt_names = uris(&[id]);
    change(&mut profile);
    of(&authority.issue(&profile).expect("a client"))
}

pub(crate) fn of(issued: &Issued) -> ParsedCertificate {
    ParsedCertificate::parse(&issued.certificate_der).expect("a certificate")
}

pub(crate) fn of_authority(authority: &Authority) -> ParsedCertificate {
    ParsedCertificate::parse(authority.certificate_der()).expect("a certificate")
}

/// A PEM asset with a bundle for each trust domain.
pub(crate) fn asset(bundles: &[(&str, &Authority)]) -> String {
    let sections = bundles.iter().map(|(trust_domain, authority)| {
        format!("spiffe://{trust_domain}\n{}", authority.certificate_pem())
    });
    sections.collect()
}

pub(crate) fn bundles(asset: &str) -> Result<(Bundles, Vec<String>), BundlesError> {
    Bundles::parse(asset.as_bytes(), None, ParsedCertificate::parse)
}

/// Judges a chain at noon, with this root as the bundle of `example.org`.
pub(crate) fn judge(
    settings: &str,
    root: &Authority,
    chain: &[ParsedCertificate],
) -> Result<Acceptance, Rejection> {
    judge_with(settings, &asset(&[("example.org", root)]), NOON, chain)
}

pub(crate) fn judge_with(
    settings: &str,
    asset: &str,
    time: Timestamp,
    chain: &[ParsedCertificate],
) -> Result<Acceptance, Rejection> {
    let (bundles, warnings) = bundles(asset).expect("bundles");
    assert_eq!(warnings, Vec::<String>::new());
    let settings = Settings::parse(settings).expect("settings");
    Rule::new(settings, bundles).judge(chain, time, webpki::ALL_VERIFICATION_ALGS)
}

/// The code of a rejection, which must be one that the policy's description lists.
pub(crate) fn code(judgement: Result<Acceptance, Rejection>) -> String {
    let rejection = judgement.expect_err("a rejection");
    assert!(codes::all().any(|code| code == rejection.code), "{rejection:?}");
    rejection.code
}
