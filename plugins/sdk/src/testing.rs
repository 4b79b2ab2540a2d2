//! Certificates for the tests of a rule, on the machine at hand, where there is no host. Feature `testing`.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;

use crate::paths::Facts;
use crate::{NameAttribute, PublicKey, SubjectAltName, Timestamp};

/// A certificate, parsed anew for each question. Says what the host would say of it, but for digests, which are fixed.
#[derive(Clone, Debug)]
pub struct ParsedCertificate {
    der: Vec<u8>,
    key: Option<PublicKey>,
}

impl ParsedCertificate {
    /// Takes a certificate.
    ///
    /// # Errors
    /// It does not parse.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        Ok(Self { der: der.to_vec(), key: None })
    }

    /// Says another key than the certificate's, for sizes that nobody generates any more.
    #[must_use]
    pub fn with_key(self, algorithm: &str, bits: u32) -> Self {
        let algorithm = algorithm.to_owned();
        Self { key: Some(PublicKey { algorithm, bits, spki_sha256: vec![0; 32] }), ..self }
    }

    #[expect(clippy::expect_used, reason = "in a test, a panic is the report")]
    fn parsed(&self) -> X509Certificate<'_> {
        X509Certificate::from_der(&self.der).expect("parsed before").1
    }
}

impl Facts for ParsedCertificate {
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

    fn extension(&self, oid: &str) -> Option<Vec<u8>> {
        let certificate = self.parsed();
        let mut extensions = certificate.extensions().iter();
        extensions.find(|one| one.oid.to_string() == oid).map(|one| one.value.to_vec())
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
            (usages.key_agreement(), "keyAgreement"),
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
        let bits = u32::try_from(bits).unwrap_or(u32::MAX);
        PublicKey { algorithm, bits, spki_sha256: vec![0; 32] }
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
        let names = extension.value.general_names.iter().map(|name| match name {
            GeneralName::DNSName(text) => ("dns", *text),
            GeneralName::RFC822Name(text) => ("email", *text),
            GeneralName::URI(text) => ("uri", *text),
            _ => ("other", ""),
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
