//! Trust anchors.

use std::ptr;

use data_encoding::HEXLOWER;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::rules::has;
use super::{Facts, pem};
use crate::{Assets, Certificate, PublicKey, Timestamp, log};

/// The longest subject that is kept for the log, in bytes: attributes have a limit.
const MAXIMUM_SUBJECT_BYTES: usize = 1024;

/// CAs that end a path.
#[derive(Debug, Default)]
pub struct Anchors {
    /// As webpki has them.
    pub(super) trusted: Vec<TrustAnchor<'static>>,
    /// What webpki does not keep of them, in the same order.
    facts: Vec<Anchor>,
}

/// What is to be known of an anchor beside its name and key.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// The certificate.
    pub der: Vec<u8>,
    /// The subject as RFC 4514 text, for people.
    pub subject: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// The first second of the validity.
    pub not_before: Timestamp,
    /// The last second of the validity.
    pub not_after: Timestamp,
    /// The public key.
    pub key: PublicKey,
}

/// Why a bundle cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorsError {
    /// Every entry was skipped.
    #[error("none of its entries is the certificate of a CA: {}", .0.join("; "))]
    NothingLeft(Vec<String>),
    /// There is no entry.
    #[error("no `-----BEGIN CERTIFICATE-----` in it: expected a PEM bundle of CA certificates")]
    NotPem,
}

impl Anchors {
    /// Reads a PEM bundle, with `parse` for the facts of a certificate. Gives the anchors, and a line for each entry
    /// that was skipped: one bad entry must not lock out the clients of the others.
    ///
    /// # Errors
    /// No anchor is left.
    pub fn parse<C: Facts>(
        bundle: &[u8],
        parse: impl Fn(&[u8]) -> Result<C, String>,
    ) -> Result<(Self, Vec<String>), AnchorsError> {
        let text = String::from_utf8_lossy(bundle);
        let mut anchors = Self::default();
        let mut skipped = Vec::new();
        for entry in pem::entries(&text) {
            let added = entry.certificate().and_then(|der| anchors.add(&der, &parse(&der)?));
            if let Err(problem) = added {
                skipped.push(format!("the entry of line {} is skipped: {problem}", entry.line));
            }
        }
        match (anchors.is_empty(), skipped.is_empty()) {
            (false, _) => Ok((anchors, skipped)),
            (true, true) => Err(AnchorsError::NotPem),
            (true, false) => Err(AnchorsError::NothingLeft(skipped)),
        }
    }

    /// Reads the PEM bundle of an asset, and warns in the log of each entry that is skipped.
    ///
    /// # Errors
    /// The asset is missing, or no anchor is left.
    pub fn from_asset(assets: &Assets, name: &str) -> Result<Self, String> {
        let bundle = assets.require(name).map_err(|error| error.to_string())?;
        let (anchors, skipped) = Self::parse(bundle, Certificate::parse)
            .map_err(|error| format!("asset `{name}`: {error}"))?;
        for entry in skipped {
            log::warn(&format!("asset `{name}`: {entry}"));
        }
        Ok(anchors)
    }

    /// Adds the certificate of a CA, with the facts of it.
    ///
    /// # Errors
    /// It is none, for people.
    pub fn add<C: Facts>(&mut self, der: &[u8], facts: &C) -> Result<(), String> {
        // Bundles repeat themselves, and every copy would cost a signature when it does not fit.
        if self.facts.iter().any(|one| one.der == der) {
            return Ok(());
        }
        if !facts.is_ca() {
            return Err("basic constraints do not say that it is a CA".to_owned());
        }
        if facts.key_usages().is_some_and(|usages| !has(&usages, "keyCertSign")) {
            return Err("its key usage does not include keyCertSign".to_owned());
        }
        let certificate = CertificateDer::from(der);
        let trusted =
            webpki::anchor_from_trusted_cert(&certificate).map_err(|error| error.to_string())?;

        let mut subject = facts.subject();
        subject.truncate(subject.floor_char_boundary(MAXIMUM_SUBJECT_BYTES));
        self.facts.push(Anchor {
            der: der.to_vec(),
            subject,
            sha256: HEXLOWER.encode(&facts.sha256()),
            not_before: facts.not_before(),
            not_after: facts.not_after(),
            key: facts.public_key(),
        });
        self.trusted.push(trusted.to_owned());
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// The facts of one of `trusted`, which is found by its address.
    pub(super) fn facts_of(&self, trusted: &TrustAnchor<'_>) -> Option<&Anchor> {
        let wanted = ptr::from_ref(trusted).cast::<()>();
        let same = |one: &TrustAnchor<'_>| ptr::from_ref(one).cast::<()>() == wanted;
        self.facts.get(self.trusted.iter().position(same)?)
    }

    /// The anchors of this subject, its DER without the outer header.
    pub(super) fn of_subject<'a>(&'a self, subject: &'a [u8]) -> impl Iterator<Item = &'a Anchor> {
        let pairs = self.trusted.iter().zip(&self.facts);
        pairs.filter(move |(one, _)| one.subject.as_ref() == subject).map(|(_, facts)| facts)
    }
}
