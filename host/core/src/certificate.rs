//! A client's certificate, parsed once for all policies.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use x509_parser::asn1_rs::{Any, FromDer, Oid, Sequence, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{KeyUsage, ParsedExtension, X509Extension};
use x509_parser::oid_registry;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::clock::Timestamp;
use crate::name::{self, NameAttribute};

/// The largest certificate that is looked at, in bytes of DER.
pub const MAXIMUM_CERTIFICATE_BYTES: usize = 64 * 1024;

/// An X.509 certificate (RFC 5280), parsed and otherwise unchecked.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    sha256: [u8; 32],
    serial_number: String,
    subject: Vec<Vec<NameAttribute>>,
    issuer: Vec<Vec<NameAttribute>>,
    not_before: Timestamp,
    not_after: Timestamp,
    subject_alt_names: Vec<SubjectAltName>,
    public_key: PublicKey,
    signature_algorithm: String,
    key_usages: Option<Vec<&'static str>>,
    extended_key_usages: Vec<String>,
    is_ca: bool,
    extensions: Vec<(String, Range<usize>)>,
}

/// One subject alternative name (RFC 5280, 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectAltName {
    /// "dns", "uri", "email", "ip" or "other".
    pub kind: &'static str,
    /// The name as text; empty for "other".
    pub text: String,
    /// The bytes of the encoding; the whole general name for "other".
    pub value: Vec<u8>,
}

/// A subject public key, as far as policies ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// "rsa", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", or the dotted OID of another algorithm.
    pub algorithm: String,
    /// The size in bits; 0 when it is not known.
    pub bits: u32,
    /// SHA-256 of the DER of SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
}

/// Why bytes are not a certificate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// Two extensions have one OID (RFC 5280, 4.2).
    #[error("extension `{0}` stands twice")]
    DuplicateExtension(String),
    /// The extension's value does not decode.
    #[error("extension `{0}` is malformed")]
    Extension(String),
    /// Not DER, or not a certificate.
    #[error("not a DER certificate: {0}")]
    Malformed(String),
    /// More than [`MAXIMUM_CERTIFICATE_BYTES`].
    #[error("{0} bytes are more than the {MAXIMUM_CERTIFICATE_BYTES} that a certificate may have")]
    TooLarge(usize),
    /// Bytes follow the certificate.
    #[error("{0} bytes follow the certificate")]
    TrailingData(usize),
}

impl Certificate {
    /// Parses one DER certificate.
    ///
    /// # Errors
    ///
    /// When the bytes are anything but exactly one well-formed certificate of at most
    /// [`MAXIMUM_CERTIFICATE_BYTES`].
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        if der.len() > MAXIMUM_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let (rest, parsed) = X509Certificate::from_der(&der)
            .map_err(|e| CertificateError::Malformed(e.to_string()))?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingData(rest.len()));
        }
        let mut certificate = Self {
            sha256: sha256(&der),
            serial_number: HEXLOWER.encode(parsed.raw_serial()),
            subject: name::attributes(parsed.subject()),
            issuer: name::attributes(parsed.issuer()),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            subject_alt_names: Vec::new(),
            public_key: public_key(parsed.public_key()),
            signature_algorithm: parsed.signature_algorithm.algorithm.to_id_string(),
            key_usages: None,
            extended_key_usages: Vec::new(),
            is_ca: false,
            extensions: Vec::with_capacity(parsed.extensions().len()),
            der: Vec::new(),
        };
        for extension in parsed.extensions() {
            certificate.add_extension(&der, extension)?;
        }
        certificate.der = der;
        Ok(certificate)
    }

    fn add_extension(
        &mut self,
        der: &[u8],
        extension: &X509Extension<'_>,
    ) -> Result<(), CertificateError> {
        let oid = extension.oid.to_id_string();
        if self.extensions.iter().any(|(known, _)| *known == oid) {
            return Err(CertificateError::DuplicateExtension(oid));
        }
        match extension.parsed_extension() {
            ParsedExtension::ParseError { .. } => return Err(CertificateError::Extension(oid)),
            ParsedExtension::BasicConstraints(constraints) => self.is_ca = constraints.ca,
            ParsedExtension::KeyUsage(usage) => self.key_usages = Some(key_usages(*usage)),
            ParsedExtension::ExtendedKeyUsage(_) => {
                self.extended_key_usages = extended_key_usages(extension.value)
                    .ok_or_else(|| CertificateError::Extension(oid.clone()))?;
            }
            ParsedExtension::SubjectAlternativeName(_) => {
                self.subject_alt_names = subject_alt_names(extension.value)
                    .ok_or_else(|| CertificateError::Extension(oid.clone()))?;
            }
            _ => {}
        }
        // The value is a slice of the DER: keep where it stands, not a copy.
        let start = extension.value.as_ptr() as usize - der.as_ptr() as usize;
        self.extensions.push((oid, start..start + extension.value.len()));
        Ok(())
    }

    /// The DER encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER encoding.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Big-endian, in lower-case hexadecimal with two digits a byte.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// The subject as RFC 4514 text, for people and logs.
    #[must_use]
    pub fn subject(&self) -> String {
        name::to_rfc4514(&self.subject)
    }

    /// The issuer as RFC 4514 text, for people and logs.
    #[must_use]
    pub fn issuer(&self) -> String {
        name::to_rfc4514(&self.issuer)
    }

    /// The attributes of the subject, in the order of the encoding.
    pub fn subject_names(&self) -> impl Iterator<Item = &NameAttribute> {
        self.subject.iter().flatten()
    }

    /// The attributes of the issuer, in the order of the encoding.
    pub fn issuer_names(&self) -> impl Iterator<Item = &NameAttribute> {
        self.issuer.iter().flatten()
    }

    /// The first second of the validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second of the validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The subject alternative names, in the order of the encoding.
    #[must_use]
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.subject_alt_names
    }

    /// The SPIFFE ID that a URI name claims, for logs: nothing here has checked it.
    #[must_use]
    pub fn claimed_spiffe_id(&self) -> Option<&str> {
        self.subject_alt_names
            .iter()
            .find(|name| name.kind == "uri" && name.text.starts_with("spiffe://"))
            .map(|name| name.text.as_str())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The signature algorithm's dotted OID.
    #[must_use]
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// The key usages by their RFC 5280 names; none when the extension is absent.
    #[must_use]
    pub fn key_usages(&self) -> Option<&[&'static str]> {
        self.key_usages.as_deref()
    }

    /// Dotted OIDs of the extended key usages.
    #[must_use]
    pub fn extended_key_usages(&self) -> &[String] {
        &self.extended_key_usages
    }

    /// Whether basic constraints say that this is a CA certificate.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// The DER value of the extension with this dotted OID.
    #[must_use]
    pub fn extension(&self, oid: &str) -> Option<&[u8]> {
        let (_, range) = self.extensions.iter().find(|(known, _)| known == oid)?;
        self.der.get(range.clone())
    }
}

/// SHA-256, by the library that checks the signatures.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

fn public_key(spki: &SubjectPublicKeyInfo<'_>) -> PublicKey {
    let (algorithm, bits) = if spki.algorithm.algorithm == oid_registry::OID_PKCS1_RSAENCRYPTION {
        ("rsa".to_owned(), rsa_modulus_bits(&spki.subject_public_key.data).unwrap_or(0))
    } else if spki.algorithm.algorithm == oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        named_curve(spki)
    } else if spki.algorithm.algorithm == oid_registry::OID_SIG_ED25519 {
        ("ed25519".to_owned(), 256)
    } else {
        (spki.algorithm.algorithm.to_id_string(), 0)
    };
    PublicKey { algorithm, bits, spki_sha256: sha256(spki.raw) }
}

fn rsa_modulus_bits(key: &[u8]) -> Option<u32> {
    let (_, sequence) = Sequence::from_der(key).ok()?;
    let (_, modulus) = Any::from_der(&sequence.content).ok()?;
    let significant: &[u8] = match modulus.data.iter().position(|&byte| byte != 0) {
        Some(first) => &modulus.data[first..],
        None => return None,
    };
    let bits = significant.len() * 8 - significant.first()?.leading_zeros() as usize;
    (modulus.tag() == Tag::Integer).then(|| u32::try_from(bits).ok())?
}

fn named_curve(spki: &SubjectPublicKeyInfo<'_>) -> (String, u32) {
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| Oid::try_from(any).ok());
    match curve.map(|oid| oid.to_id_string()).as_deref() {
        Some("1.2.840.10045.3.1.7") => ("ecdsa-p256".to_owned(), 256),
        Some("1.3.132.0.34") => ("ecdsa-p384".to_owned(), 384),
        Some("1.3.132.0.35") => ("ecdsa-p521".to_owned(), 521),
        _ => (spki.algorithm.algorithm.to_id_string(), 0),
    }
}

fn key_usages(usage: KeyUsage) -> Vec<&'static str> {
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}

fn extended_key_usages(value: &[u8]) -> Option<Vec<String>> {
    elements(value)?
        .into_iter()
        .map(|(any, _)| Oid::try_from(&any).ok().map(|oid| oid.to_id_string()))
        .collect()
}

/// The parser's own general names drop the encoding of those that it does not know, and policies may ask for it.
fn subject_alt_names(value: &[u8]) -> Option<Vec<SubjectAltName>> {
    elements(value)?
        .into_iter()
        .map(|(any, raw)| {
            let text =
                || any.data.is_ascii().then(|| String::from_utf8_lossy(any.data).into_owned());
            let (kind, text) = match any.tag().0 {
                _ if any.header.class() != x509_parser::asn1_rs::Class::ContextSpecific => {
                    return None;
                }
                1 => ("email", text()?),
                2 => ("dns", text()?),
                6 => ("uri", text()?),
                7 => ("ip", ip_text(any.data)?),
                _ => {
                    return Some(SubjectAltName {
                        kind: "other",
                        text: String::new(),
                        value: raw.to_vec(),
                    });
                }
            };
            Some(SubjectAltName { kind, text, value: any.data.to_vec() })
        })
        .collect()
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_string())
}

/// The elements of a SEQUENCE that fills `value`, each with its whole encoding.
fn elements(value: &[u8]) -> Option<Vec<(Any<'_>, &[u8])>> {
    let (rest, sequence) = Any::from_der(value).ok()?;
    if sequence.tag() != Tag::Sequence || !rest.is_empty() {
        return None;
    }
    let mut left = sequence.data;
    let mut found = Vec::new();
    while !left.is_empty() {
        let (rest, any) = Any::from_der(left).ok()?;
        found.push((any, &left[..left.len() - rest.len()]));
        left = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests;
