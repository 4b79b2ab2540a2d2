//! An authority under a clock of the test's own: lifetimes, the CRL, and OCSP answers, malformed requests included.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use portcullis_ca::{
    Ask, Ca, Error, Issued, Options, REASONS, Reason, Usage, internal_error, parse_dns,
    parse_spiffe_id,
};
use portcullis_core::{Certificate, Clock};
use portcullis_pki::{KeyPair, KeyType, NameConstraint};
use proptest::prelude::*;
use tempfile::TempDir;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspRequest, OcspResponse, OcspResponseStatus, Request,
    TbsRequest, Version,
};

const START: i64 = 1_790_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

/// An authority, and the time there.
struct Here {
    folder: TempDir,
    now: Arc<AtomicI64>,
}

impl Here {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Arc::new(AtomicI64::new(START)) }
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::from_fn(move || now.load(Ordering::SeqCst))
    }

    fn at(&self, time: i64) {
        self.now.store(time, Ordering::SeqCst);
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ca")
    }

    fn init(&self, options: &Options) -> Ca {
        Ca::init(&self.path(), options, None, self.clock()).unwrap()
    }

    fn open(&self) -> Result<Ca, Error> {
        Ca::open(&self.path(), self.clock())
    }
}

fn options() -> Options {
    Options {
        name: "Test".to_owned(),
        key: KeyType::P256,
        lifetime: 10 * DAY,
        path_length: 0,
        permitted: Vec::new(),
        trust_domain: None,
        maximum_lifetime: 2 * DAY,
        crl_lifetime: DAY,
        crl_url: None,
        ocsp_url: None,
    }
}

fn ask(name: &str) -> Ask {
    Ask {
        name: name.to_owned(),
        alt_names: Vec::new(),
        usage: Usage::Client,
        lifetime: DAY,
        key: KeyType::P256,
    }
}

/// A serial number, and the reason if there is one.
type Entry = (Vec<u8>, Option<CrlReason>);

/// The number of the CRL in force, and what it lists.
fn listed(ca: &Ca) -> (u128, Vec<Entry>) {
    let pem = std::fs::read_to_string(ca.crl_path()).unwrap();
    let crl = ca.fresh_crl().unwrap();
    assert_eq!(pem, crl.pem, "the file has the CRL in force");
    let list = CertificateList::from_der(&crl.der).unwrap().tbs_cert_list;
    let number = list.crl_extensions.unwrap().iter().find_map(|extension| {
        let number = CrlNumber::from_der(extension.extn_value.as_bytes());
        (extension.extn_id.to_string() == "2.5.29.20").then(|| number.unwrap())
    });
    let number = number.unwrap().0;
    let number = number.as_bytes().iter().fold(0, |number, &byte| number << 8 | u128::from(byte));
    let entries = list.revoked_certificates.unwrap_or_default().into_iter().map(|entry| {
        let reason = entry
            .crl_entry_extensions
            .map(|extensions| CrlReason::from_der(extensions[0].extn_value.as_bytes()).unwrap());
        (entry.serial_number.as_bytes().to_vec(), reason)
    });
    (number, entries.collect())
}

#[test]
fn no_certificate_outlives_its_authority_or_the_longest_lifetime() {
    let here = Here::new();
    let ca = here.init(&options());
    let issue = |lifetime| ca.issue(&Ask { lifetime, ..ask("client") });
    assert!(issue(2 * DAY).is_ok());
    for lifetime in [2 * DAY + 1, 0, -1, i64::MIN, i64::MAX] {
        assert!(matches!(issue(lifetime), Err(Error::Lifetime { .. })), "{lifetime}");
    }
    here.at(START + 9 * DAY);
    assert!(issue(DAY).is_ok());
    assert!(matches!(issue(DAY + 1), Err(Error::Lifetime { allowed: DAY, .. })));
}

#[test]
fn an_authority_that_has_expired_or_is_not_yet_valid_signs_nothing() {
    let here = Here::new();
    let ca = here.init(&options());
    let issued = ca.issue(&ask("client")).unwrap();
    for time in [START + 10 * DAY + 1, START - 61] {
        here.at(time);
        let ca = here.open().unwrap();
        assert!(matches!(ca.issue(&ask("client")), Err(Error::Expired { .. })));
        assert!(matches!(ca.refresh_crl(), Err(Error::Expired { .. })));
        assert!(matches!(
            ca.revoke(&issued.record, Reason::Superseded),
            Err(Error::Expired { .. })
        ));
        assert!(matches!(ca.answer_ocsp(&request(&ca, &[1])), Err(Error::Expired { .. })));
        assert_eq!(ca.records().unwrap().len(), 1, "what it issued can still be seen");
    }
}

/// A request for the certificate after this one, with a new key.
fn next_request(before: &Issued) -> Vec<u8> {
    let certificate = Certificate::from_der(before.record.der.clone()).unwrap();
    portcullis_est::request(&certificate, &KeyPair::generate(KeyType::P256).unwrap()).unwrap()
}

#[test]
fn a_renewal_lasts_as_long_as_the_one_before_and_no_longer_than_the_authority() {
    let here = Here::new();
    let ca = here.init(&options());
    let first = ca.issue(&ask("client")).unwrap();
    let renew = |before: &Issued| {
        let renewed = ca.reenroll(&before.record.der, &next_request(before)).unwrap();
        (renewed.record.not_after, renewed)
    };
    here.at(START + 16 * HOUR);
    let (until, second) = renew(&first);
    assert_eq!(until, START + 16 * HOUR + DAY);
    assert_eq!((&second.record.line, second.key_pem.is_none()), (&first.record.serial, true));
    let last = {
        here.at(START + 9 * DAY);
        ca.issue(&Ask { lifetime: DAY, ..ask("client") }).unwrap()
    };
    here.at(START + 9 * DAY + 16 * HOUR);
    assert_eq!(renew(&last).0, START + 10 * DAY, "the authority's own end");
}

#[test]
fn only_a_certificate_that_is_in_force_is_renewed() {
    let here = Here::new();
    let ca = here.init(&Options { path_length: 1, ..options() });
    let client = ca.issue(&ask("client")).unwrap();
    let request = next_request(&client);
    let code = |der: &[u8]| ca.reenroll(der, &request).unwrap_err().code();
    here.at(START - 61);
    assert_eq!(code(&client.record.der), "not-yet-valid");
    here.at(START + DAY + 1);
    assert_eq!(code(&client.record.der), "expired");
    here.at(START + DAY);
    let mut changed = client.record.der.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(code(&changed), "unknown-issuer");
    assert_eq!(code(ca.certificate().der()), "unknown-issuer");
    assert_eq!(code(b"garbage"), "unknown-issuer");
    let below = here.folder.path().join("below");
    let options = Options { lifetime: DAY, ..options() };
    let below = Ca::init(&below, &options, Some(&ca), here.clock()).unwrap();
    assert_eq!(code(below.certificate().der()), "not-renewable");
    let other = ca.issue(&ask("other")).unwrap();
    assert_eq!(code(&other.record.der), "names-differ");
    ca.revoke(&client.record, Reason::Superseded).unwrap();
    assert_eq!(code(&client.record.der), "revoked");
    // One that was looked at before it was revoked.
    assert!(matches!(ca.renew(&client.record, None), Err(Error::Revoked(_))));
    assert_eq!(ca.records().unwrap().len(), 3);
}

#[test]
fn a_name_that_the_authority_may_not_certify_is_not_certified_and_not_recorded() {
    let here = Here::new();
    let ca = here.init(&Options {
        permitted: vec![NameConstraint::Dns("example.org".to_owned())],
        trust_domain: Some("example.org".to_owned()),
        ..options()
    });
    let with = |name| ca.issue(&Ask { alt_names: vec![name], ..ask("client") });
    assert!(with(parse_dns("a.example.org").unwrap()).is_ok());
    assert!(with(parse_spiffe_id("spiffe://example.org/a").unwrap()).is_ok());
    assert!(matches!(with(parse_dns("a.example.com").unwrap()), Err(Error::Check(_))));
    let other = parse_spiffe_id("spiffe://example.com/a").unwrap();
    assert!(matches!(with(other), Err(Error::Name(_))));
    let two = ["spiffe://example.org/a", "spiffe://example.org/b"];
    let two = two.map(|id| parse_spiffe_id(id).unwrap()).to_vec();
    assert!(matches!(ca.issue(&Ask { alt_names: two, ..ask("a") }), Err(Error::Name(_))));
    let server = Ask { usage: Usage::Server, ..ask("server") };
    assert!(matches!(ca.issue(&server), Err(Error::Name(_))));
    assert_eq!(ca.records().unwrap().len(), 2);
}

#[test]
fn an_entry_stays_until_a_crl_of_after_its_certificates_end_has_had_it() {
    let here = Here::new();
    let ca = here.init(&options());
    let issued = ca.issue(&ask("client")).unwrap();
    ca.revoke(&issued.record, Reason::KeyCompromise).unwrap();
    let entry = (issued.record.serial.clone(), Some(CrlReason::KeyCompromise));
    assert_eq!(listed(&ca).1, std::slice::from_ref(&entry));
    here.at(issued.record.not_after + 1);
    ca.refresh_crl().unwrap();
    assert_eq!(listed(&ca).1, [entry], "the first CRL after the end");
    ca.refresh_crl().unwrap();
    assert_eq!(listed(&ca).1, []);
}

#[test]
fn every_reason_is_in_the_crl_but_unspecified() {
    let here = Here::new();
    let ca = here.init(&options());
    for (name, reason) in REASONS {
        let issued = ca.issue(&ask(name)).unwrap();
        let record = ca.revoke(&issued.record, reason).unwrap();
        assert_eq!(record.revocation.unwrap().reason_name(), name);
        let (_, entries) = listed(&ca);
        let entry = entries.iter().find(|(serial, _)| *serial == record.serial).unwrap();
        let expected = (reason != Reason::Unspecified).then_some(reason as u32);
        assert_eq!(entry.1.map(|reason| reason as u32), expected, "{name}");
    }
}

#[test]
fn crl_numbers_rise_even_when_the_clock_is_set_back() {
    let here = Here::new();
    let ca = here.init(&options());
    let mut before = listed(&ca).0;
    for time in [START, START - 30, START + DAY, START] {
        here.at(time);
        let crl = ca.refresh_crl().unwrap();
        assert!(u128::from(crl.number) > before);
        before = crl.number.into();
    }
    assert_eq!(
        ca.fresh_crl().unwrap().this_update,
        START + DAY,
        "nor is a CRL older than the last"
    );
}

#[test]
fn a_crl_is_made_anew_when_half_of_its_time_is_up() {
    let here = Here::new();
    let ca = here.init(&options());
    let first = ca.fresh_crl().unwrap().number;
    here.at(START + DAY / 2 - 1);
    assert_eq!(ca.fresh_crl().unwrap().number, first);
    here.at(START + DAY / 2);
    assert!(ca.fresh_crl().unwrap().number > first);
}

#[test]
fn a_revocation_whose_crl_did_not_reach_its_file_reaches_it_with_the_next_command() {
    let here = Here::new();
    let ca = here.init(&options());
    let issued = ca.issue(&ask("client")).unwrap();
    // A directory in the place of the file, so that writing fails once the index has the revocation.
    std::fs::remove_file(ca.crl_path()).unwrap();
    std::fs::create_dir(ca.crl_path()).unwrap();
    assert!(matches!(ca.revoke(&issued.record, Reason::Superseded), Err(Error::Pki(_))));
    std::fs::remove_dir(ca.crl_path()).unwrap();
    let ca = here.open().unwrap();
    assert_eq!(listed(&ca).1.len(), 1);
}

#[test]
fn a_key_that_others_can_read_and_a_key_of_another_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let (here, other) = (Here::new(), Here::new());
    here.init(&options());
    other.init(&options());
    let key = here.path().join("ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(here.open(), Err(Error::KeyReadable { mode: 0o640, .. })));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(here.open(), Err(Error::NotACa { missing: "ca.key", .. })));
    std::fs::copy(other.path().join("ca.key"), &key).unwrap();
    let mismatch = portcullis_pki::Error::KeyMismatch;
    let error = here.open().unwrap_err();
    assert!(
        matches!(&error, Error::Authority { source, .. } if source.to_string() == mismatch.to_string()),
        "{error:?}"
    );
    std::fs::write(&key, "garbage").unwrap();
    assert!(matches!(here.open(), Err(Error::Authority { .. })));
}

#[test]
fn a_renewed_certificate_has_the_names_of_the_one_before_and_a_key_of_its_kind() {
    let here = Here::new();
    let ca = here.init(&options());
    let alt_names = vec![
        parse_spiffe_id("spiffe://example.org/a").unwrap(),
        parse_dns("a.example.org").unwrap(),
        portcullis_pki::AltName::Ip("fd00::1".parse().unwrap()),
    ];
    let asked = Ask { alt_names, usage: Usage::Server, key: KeyType::P384, ..ask("server") };
    let first = ca.issue(&asked).unwrap();
    here.at(START + HOUR);
    let second = ca.renew(&first.record, None).unwrap();
    let parse = |issued: &Issued| Certificate::from_der(issued.record.der.clone()).unwrap();
    let (before, after) = (parse(&first), parse(&second));
    assert_eq!(before.subject_alt_names(), after.subject_alt_names());
    assert_eq!(before.extended_key_usages(), after.extended_key_usages());
    assert_eq!(before.public_key().algorithm, after.public_key().algorithm);
    assert_ne!(before.public_key(), after.public_key());
    assert_ne!(before.serial_number(), after.serial_number());
    assert_eq!(after.not_after(), START + HOUR + DAY);
    ca.revoke(&second.record, Reason::Superseded).unwrap();
    let revoked = ca.find(after.serial_number()).unwrap();
    assert!(matches!(ca.renew(&revoked, None), Err(Error::Revoked(_))));
}

#[test]
fn nothing_stands_below_an_authority_without_room_for_it_and_nothing_is_renewed_that_is_one() {
    let here = Here::new();
    let narrow = here.init(&options());
    let below = here.folder.path().join("below");
    let make = |above: &Ca| Ca::init(&below, &options(), Some(above), here.clock());
    assert!(matches!(make(&narrow), Err(Error::PathLength(_))));
    assert!(!below.exists());
    let wide = Options { path_length: 1, lifetime: 20 * DAY, ..options() };
    let wide = Ca::init(&here.folder.path().join("wide"), &wide, None, here.clock()).unwrap();
    make(&wide).unwrap();
    let record = &wide.records().unwrap()[0];
    assert!(matches!(wide.renew(record, None), Err(Error::NotRenewable(_))));
}

fn cert_id(ca: &Ca, serial: &[u8]) -> CertId {
    let sha1 = |bytes: &[u8]| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
        OctetString::new(digest.as_ref()).unwrap()
    };
    let issuer = x509_cert::Certificate::from_der(ca.certificate().der()).unwrap().tbs_certificate;
    CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA_1, parameters: None },
        issuer_name_hash: sha1(&issuer.subject.to_der().unwrap()),
        issuer_key_hash: sha1(issuer.subject_public_key_info.subject_public_key.raw_bytes()),
        serial_number: SerialNumber::new(serial).unwrap(),
    }
}

fn encode(certificates: Vec<CertId>, extensions: Option<Vec<Extension>>) -> Vec<u8> {
    let request_list = certificates
        .into_iter()
        .map(|req_cert| Request { req_cert, single_request_extensions: None })
        .collect();
    let tbs_request = TbsRequest {
        version: Version::V1,
        requestor_name: None,
        request_list,
        request_extensions: extensions,
    };
    OcspRequest { tbs_request, optional_signature: None }.to_der().unwrap()
}

fn request(ca: &Ca, serial: &[u8]) -> Vec<u8> {
    encode(vec![cert_id(ca, serial)], None)
}

fn nonce(bytes: &[u8]) -> Vec<Extension> {
    let content = OctetString::new(bytes).unwrap().to_der().unwrap();
    vec![Extension {
        extn_id: NONCE,
        critical: false,
        extn_value: OctetString::new(content).unwrap(),
    }]
}

fn answer(ca: &Ca, request: &[u8]) -> Result<BasicOcspResponse, OcspResponseStatus> {
    let response = OcspResponse::from_der(&ca.answer_ocsp(request).unwrap()).unwrap();
    match response.response_bytes {
        Some(bytes) => Ok(BasicOcspResponse::from_der(bytes.response.as_bytes()).unwrap()),
        None => Err(response.response_status),
    }
}

#[test]
fn an_answer_has_a_status_for_each_certificate_and_gives_the_nonce_back() {
    let here = Here::new();
    let ca = here.init(&options());
    let (good, revoked) = (ca.issue(&ask("good")).unwrap(), ca.issue(&ask("revoked")).unwrap());
    ca.revoke(&revoked.record, Reason::KeyCompromise).unwrap();
    let mut stranger = cert_id(&ca, &good.record.serial);
    stranger.issuer_key_hash = OctetString::new([0; 20]).unwrap();
    let mut unknown_hash = cert_id(&ca, &good.record.serial);
    unknown_hash.hash_algorithm.oid = NONCE;
    let asked = vec![
        cert_id(&ca, &good.record.serial),
        cert_id(&ca, &revoked.record.serial),
        cert_id(&ca, &[7; 16]),
        stranger,
        unknown_hash,
    ];
    let response = answer(&ca, &encode(asked.clone(), Some(nonce(&[9; 32])))).unwrap();
    assert_eq!(response.nonce().unwrap().0.as_bytes(), [9; 32]);
    let responses = response.tbs_response_data.responses;
    let ids: Vec<_> = responses.iter().map(|response| response.cert_id.clone()).collect();
    assert_eq!(ids, asked);
    let statuses: Vec<_> = responses.iter().map(|response| response.cert_status).collect();
    assert_eq!(statuses[0], CertStatus::good());
    assert!(matches!(
        statuses[1],
        CertStatus::Revoked(info) if info.revocation_reason == Some(CrlReason::KeyCompromise)
    ));
    assert_eq!(statuses[2..], [CertStatus::unknown(); 3]);
    assert_eq!(OcspResponse::from_der(&internal_error()), Ok(OcspResponse::internal_error()));
}

#[test]
fn a_request_that_is_malformed_or_asks_for_too_much_gets_an_unsigned_refusal() {
    let here = Here::new();
    let ca = here.init(&options());
    let id = || cert_id(&ca, &[7; 16]);
    let malformed = Err(OcspResponseStatus::MalformedRequest);
    let status = |request: &[u8]| answer(&ca, request).map(drop);
    for length in [1, 128] {
        assert_eq!(status(&encode(vec![id()], Some(nonce(&vec![1; length])))), Ok(()));
    }
    for length in [0, 129] {
        assert_eq!(status(&encode(vec![id()], Some(nonce(&vec![1; length])))), malformed);
    }
    let mut critical = nonce(&[1]);
    critical[0].critical = true;
    critical[0].extn_id = SHA_1;
    assert_eq!(status(&encode(vec![id()], Some(critical))), malformed);
    assert_eq!(status(&encode(vec![id()], Some([nonce(&[1]), nonce(&[1])].concat()))), malformed);
    assert_eq!(status(&encode(vec![id(); 32], None)), Ok(()));
    for request in [
        encode(vec![id(); 33], None),
        encode(Vec::new(), None),
        vec![0x30; 17 * 1024],
        b"garbage".to_vec(),
        Vec::new(),
    ] {
        assert_eq!(status(&request), malformed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_changed_request_never_panics(at in 0usize..200, with in 1u8..) {
        let here = Here::new();
        let ca = here.init(&options());
        let mut request = request(&ca, &[7; 16]);
        let at = at % request.len();
        request[at] ^= with;
        prop_assert!(ca.answer_ocsp(&request).is_ok());
        prop_assert!(ca.answer_ocsp(&request[..at]).is_ok());
    }
}
