//! Certificates from code, judged at a fixed time, as the host would present them.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part")]

use portcullis_ca_chain::anchors::Anchors;
use portcullis_ca_chain::facts::Facts;
use portcullis_ca_chain::rule::Rule;
use portcullis_ca_chain::settings::Settings;
use portcullis_guest::{
    Acceptance, NameAttribute, PublicKey, Rejection, SubjectAltName, Timestamp,
};
use portcullis_pki::{Authority, Issued, Profile, Validity};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;

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

/// A certificate, parsed anew for each question.
#[derive(Clone)]
pub(crate) struct Native {
    der: Vec<u8>,
    /// Another key than the certificate's, for sizes that nobody generates any more.
    key: Option<PublicKey>,
}

impl Native {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, String> {
        X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        Ok(Self { der: der.to_vec(), key: None })
    }

    pub(crate) fn of(issued: &Issued) -> Self {
        Self::parse(&issued.certificate_der).expect("a certificate")
    }

    pub(crate) fn of_authority(authority: &Authority) -> Self {
        Self::parse(authority.certificate_der()).expect("a certificate")
    }

    pub(crate) fn with_key(self, algorithm: &str, bits: u32) -> Self {
        let algorithm = algorithm.to_owned();
        Self { key: Some(PublicKey { algorithm, bits, spki_sha256: vec![0; 32] }), ..self }
    }

    fn parsed(&self) -> X509Certificate<'_> {
        X509Certificate::from_der(&self.der).expect("parsed before").1
    }
}

impl Facts for Native {
    fn der(&self) -> Vec<u8> {
        self.der.clone()
    }

    fn extended_key_usages(&self) -> Vec<String> {
        let certificate = self.parsed();
        let Ok(Some(extension)) = certificate.extended_key_usage() else { return Vec::new() };
        let usages = extension.value;
        let known = [
            (usages.client_auth, "1.3.6.1.5.5.7.3.2"),
            (usages.server_auth, "1.3.6.1.5.5.7.3.1"),
            (usages.any, "2.5.29.37.0"),
        ];
        let known = known.iter().filter(|(present, _)| *present).map(|(_, oid)| (*oid).to_owned());
        known.chain(usages.other.iter().map(ToString::to_string)).collect()
    }

    fn is_ca(&self) -> bool {
        self.parsed().is_ca()
    }

    fn key_usages(&self) -> Option<Vec<String>> {
        let certificate = self.parsed();
        let usages = certificate.key_usage().ok()??.value;
        let known = [
            (usages.digital_signature(), "digitalSignature"),
            (usages.key_encipherment(), "keyEncipherment"),
            (usages.key_cert_sign(), "keyCertSign"),
            (usages.crl_sign(), "cRLSign"),
        ];
        Some(known.iter().filter(|(present, _)| *present).map(|(_, one)| (*one).into()).collect())
    }

    fn not_after(&self) -> Timestamp {
        self.parsed().validity().not_after.timestamp()
    }

    fn not_before(&self) -> Timestamp {
        self.parsed().validity().not_before.timestamp()
    }

    fn public_key(&self) -> PublicKey {
        if let Some(key) = &self.key {
            return key.clone();
        }
        let certificate = self.parsed();
        let key = certificate.public_key();
        let bits = match key.parsed().map_or(0, |key| key.key_size()) {
            528 => 521, // the parser counts whole bytes
            bits => bits,
        };
        let algorithm = match key.parsed() {
            Ok(ParsedKey::RSA(_)) => "rsa".to_owned(),
            Ok(ParsedKey::EC(_)) => format!("ecdsa-p{bits}"),
            _ if key.algorithm.algorithm.to_string() == "1.3.101.112" => "ed25519".to_owned(),
            _ => key.algorithm.algorithm.to_string(),
        };
        PublicKey { algorithm, bits: u32::try_from(bits).expect("bits"), spki_sha256: vec![0; 32] }
    }

    fn sha256(&self) -> Vec<u8> {
        vec![0xab; 32]
    }

    fn subject(&self) -> String {
        self.parsed().subject().to_string()
    }

    fn subject_alt_names(&self) -> Vec<SubjectAltName> {
        let certificate = self.parsed();
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
        let names = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(text) => Some(("dns", *text)),
            GeneralName::RFC822Name(text) => Some(("email", *text)),
            GeneralName::URI(text) => Some(("uri", *text)),
            _ => None,
        });
        names
            .map(|(kind, text)| SubjectAltName {
                kind: kind.to_owned(),
                text: text.to_owned(),
                value: Vec::new(),
            })
            .collect()
    }

    fn subject_names(&self) -> Vec<NameAttribute> {
        let certificate = self.parsed();
        let attributes = certificate.subject().iter_attributes();
        attributes
            .map(|one| NameAttribute {
                oid: one.attr_type().to_string(),
                text: one.as_str().unwrap_or_default().to_owned(),
            })
            .collect()
    }
}

/// Judges a chain at noon, with these authorities as anchors.
pub(crate) fn judge(
    settings: &str,
    anchors: &[&Authority],
    chain: &[Native],
) -> Result<Acceptance, Rejection> {
    judge_at(NOON, settings, anchors, chain)
}

pub(crate) fn judge_at(
    time: Timestamp,
    settings: &str,
    anchors: &[&Authority],
    chain: &[Native],
) -> Result<Acceptance, Rejection> {
    let bundle: String = anchors.iter().map(|one| one.certificate_pem()).collect();
    let (anchors, skipped) = Anchors::parse(bundle.as_bytes(), Native::parse).expect("anchors");
    assert_eq!(skipped, Vec::<String>::new());
    let settings = Settings::parse(settings).expect("settings");
    Rule::new(settings, anchors).judge(chain, time, webpki::ALL_VERIFICATION_ALGS)
}

/// The code of a rejection, which must be one that the policy's description lists.
pub(crate) fn code(judgement: Result<Acceptance, Rejection>) -> String {
    let rejection = judgement.expect_err("a rejection");
    assert!(portcullis_ca_chain::codes::ALL.contains(&rejection.code.as_str()), "{rejection:?}");
    rejection.code
}
