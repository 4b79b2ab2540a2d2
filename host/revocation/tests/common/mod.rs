//! A small CA, CRLs and OCSP answers that can be wrong in one way each, and HTTP servers that misbehave.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what fails here fails the test")]

pub mod crl;
pub mod der;
pub mod ocsp;
pub mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use portcullis_core::{Certificate, Clock, Revocation as _, RevocationAnswer, RevocationStatus};
use portcullis_revocation::{RevocationChecker, RevocationOptions, Status};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber, SigningKey as _,
};
use time::OffsetDateTime;

/// 2026-11-24T12:00:00Z.
pub const NOW: i64 = 1_795_521_600;
pub const HOUR: i64 = 3_600;

/// A clock that tests set.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW)))
    }

    pub fn set(&self, now: i64) {
        self.0.store(now, Ordering::SeqCst);
    }

    pub fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::from_fn(move || now.load(Ordering::SeqCst))
    }
}

/// A CA with one key, or a certificate with its key.
pub struct Party {
    pub key: KeyPair,
    pub certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Party {
    pub fn root(name: &str) -> Self {
        Self::root_with(name, vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign])
    }

    pub fn root_with(name: &str, key_usages: Vec<KeyUsagePurpose>) -> Self {
        let mut params = params(name, &[1]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = key_usages;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self::assemble(params, key, certificate)
    }

    /// A certificate with these extensions; `adjust` makes it wrong where it should be.
    pub fn issue(&self, serial: &[u8], adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params("client", serial);
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self::assemble(params, key, certificate)
    }

    pub fn client(&self, serial: &[u8]) -> Certificate {
        self.issue(serial, |_| {}).certificate
    }

    /// A client whose certificate names a responder.
    pub fn client_with_responder(&self, serial: &[u8], url: &str) -> Certificate {
        let access = der::sequence(&[&der::sequence(&[
            &der::oid("1.3.6.1.5.5.7.48.1"),
            &der::tlv(0x86, &[url.as_bytes()]),
        ])]);
        self.issue(serial, |params| {
            params.custom_extensions.push(extension("1.3.6.1.5.5.7.1.1", access))
        })
        .certificate
    }

    /// A client whose certificate has these distribution points, each the content of a DistributionPoint.
    pub fn client_with_points(&self, serial: &[u8], points: &[Vec<u8>]) -> Certificate {
        let points: Vec<Vec<u8>> = points.iter().map(|point| der::sequence(&[point])).collect();
        let points: Vec<&[u8]> = points.iter().map(Vec::as_slice).collect();
        let list = der::sequence(&points);
        self.issue(serial, |params| params.custom_extensions.push(extension("2.5.29.31", list)))
            .certificate
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).unwrap()
    }

    /// The whole encoding of the subject.
    pub fn name(&self) -> Vec<u8> {
        der::subject(self.certificate.der()).to_vec()
    }

    pub fn pem(&self) -> String {
        pem("CERTIFICATE", self.certificate.der())
    }

    fn assemble(params: CertificateParams, key: KeyPair, certificate: Vec<u8>) -> Self {
        let copy = KeyPair::try_from(key.serialize_der()).unwrap();
        Self {
            certificate: Certificate::from_der(certificate).unwrap(),
            key,
            issuer: Issuer::new(params, copy),
        }
    }
}

fn params(name: &str, serial: &[u8]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - 1000 * HOUR).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + 1000 * HOUR).unwrap();
    params
}

pub fn extension(oid: &str, value: Vec<u8>) -> CustomExtension {
    let arcs: Vec<u64> = oid.split('.').map(|arc| arc.parse().unwrap()).collect();
    CustomExtension::from_oid_content(&arcs, value)
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

/// A checker with a directory of its own.
pub struct Fixture {
    pub home: tempfile::TempDir,
    pub clock: TestClock,
    pub options: RevocationOptions,
}

impl Fixture {
    pub fn new() -> Self {
        let options = RevocationOptions::default();
        Self { home: tempfile::tempdir().unwrap(), clock: TestClock::new(), options }
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        // As a careful operator does: written aside and moved into place.
        let aside = self.home.path().join("aside");
        std::fs::write(&aside, bytes).unwrap();
        std::fs::rename(aside, &path).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn start(&self) -> RevocationChecker {
        RevocationChecker::start(self.options.clone(), self.clock.clock()).unwrap()
    }

    /// Starts with one CRL in a file.
    pub fn start_with_crl(&mut self, crl: &[u8]) -> RevocationChecker {
        let path = self.write("clients.crl", crl);
        self.options.crl.files = vec![path];
        self.start()
    }
}

/// What the only CRL says.
pub fn crl_answer(crl: &[u8], client: &Certificate, issuer: &Party) -> RevocationAnswer {
    let mut fixture = Fixture::new();
    fixture.start_with_crl(crl).check(client, &issuer.certificate, "crl", NOW)
}

/// Why the only CRL is not used.
pub fn load_error(crl: &[u8]) -> String {
    let checker = Fixture::new().start_with_crl(crl);
    checker.status().crls[0].last_error.clone().expect("the CRL is refused")
}

#[track_caller]
pub fn assert_unknown(answer: &RevocationAnswer, detail: &str) {
    assert_eq!(answer.status, RevocationStatus::Unknown, "{answer:?}");
    assert!(answer.detail.contains(detail), "`{}` does not say `{detail}`", answer.detail);
    assert_eq!(answer.source, "");
}

/// Waits until the status is as wanted. Polls, as no change is announced for every figure; gives up after a minute.
#[track_caller]
pub fn wait_until(checker: &RevocationChecker, wanted: impl Fn(&Status) -> bool) {
    let start = std::time::Instant::now();
    while !wanted(&checker.status()) {
        assert!(start.elapsed().as_secs() < 60, "{:#?}", checker.status());
        std::thread::yield_now();
    }
}
