//! The trust anchors, from a PEM bundle.

use std::collections::BTreeSet;
use std::ptr;

use data_encoding::{BASE64, HEXLOWER};
use portcullis_guest::{PublicKey, Timestamp};
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::facts::Facts;

/// The longest subject that is kept for the log, in bytes: attributes have a limit.
const MAXIMUM_SUBJECT_BYTES: usize = 1024;

/// The anchors of a bundle.
#[derive(Debug)]
pub struct Anchors {
    /// As webpki has them.
    pub trusted: Vec<TrustAnchor<'static>>,
    /// What webpki does not keep of them, in the same order.
    facts: Vec<Anchor>,
}

/// What the rule needs to know of an anchor beside its name and key.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
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
    /// Reads a bundle, with `parse` for the facts of a certificate. Gives the anchors, and a line for each entry that
    /// was skipped: one bad entry must not lock out the clients of the others.
    ///
    /// # Errors
    /// No anchor is left.
    pub fn parse<C: Facts>(
        bundle: &[u8],
        parse: impl Fn(&[u8]) -> Result<C, String>,
    ) -> Result<(Self, Vec<String>), AnchorsError> {
        let text = String::from_utf8_lossy(bundle);
        let mut anchors = Self { trusted: Vec::new(), facts: Vec::new() };
        let mut skipped = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in entries(&text) {
            let place = format!("the entry of line {}", entry.line);
            match entry.certificate().and_then(|der| {
                let anchor = anchor(&der, &parse)?;
                Ok((der, anchor))
            }) {
                Err(problem) => skipped.push(format!("{place} is skipped: {problem}")),
                // Bundles repeat themselves, and every copy would cost a signature when it does not fit.
                Ok((der, _)) if !seen.insert(der.clone()) => {}
                Ok((_, (trusted, facts))) => {
                    anchors.trusted.push(trusted);
                    anchors.facts.push(facts);
                }
            }
        }
        match (anchors.trusted.is_empty(), skipped.is_empty()) {
            (false, _) => Ok((anchors, skipped)),
            (true, true) => Err(AnchorsError::NotPem),
            (true, false) => Err(AnchorsError::NothingLeft(skipped)),
        }
    }

    /// The facts of one of [`trusted`](Self::trusted), which is found by its address.
    pub fn facts_of(&self, trusted: &TrustAnchor<'_>) -> Option<&Anchor> {
        let wanted = ptr::from_ref(trusted).cast::<()>();
        let same = |one: &TrustAnchor<'_>| ptr::from_ref(one).cast::<()>() == wanted;
        self.facts.get(self.trusted.iter().position(same)?)
    }

    /// The anchors of this subject, its DER without the outer header.
    pub fn of_subject<'a>(&'a self, subject: &'a [u8]) -> impl Iterator<Item = &'a Anchor> {
        let pairs = self.trusted.iter().zip(&self.facts);
        pairs.filter(move |(one, _)| one.subject.as_ref() == subject).map(|(_, facts)| facts)
    }
}

fn anchor<C: Facts>(
    der: &[u8],
    parse: impl Fn(&[u8]) -> Result<C, String>,
) -> Result<(TrustAnchor<'static>, Anchor), String> {
    let facts = parse(der)?;
    if !facts.is_ca() {
        return Err("basic constraints do not say that it is a CA".to_owned());
    }
    if facts.key_usages().is_some_and(|usages| !usages.iter().any(|one| one == "keyCertSign")) {
        return Err("its key usage does not include keyCertSign".to_owned());
    }
    let certificate = CertificateDer::from(der);
    let trusted =
        webpki::anchor_from_trusted_cert(&certificate).map_err(|error| error.to_string())?;

    let mut subject = facts.subject();
    subject.truncate(subject.floor_char_boundary(MAXIMUM_SUBJECT_BYTES));
    let facts = Anchor {
        subject,
        sha256: HEXLOWER.encode(&facts.sha256()),
        not_before: facts.not_before(),
        not_after: facts.not_after(),
        key: facts.public_key(),
    };
    Ok((trusted.to_owned(), facts))
}

/// One `BEGIN` of a bundle, with what follows it up to the next.
struct Entry<'a> {
    line: usize,
    label: &'a str,
    rest: &'a str,
}

/// A bundle is cut at its `BEGIN`s, so that an entry that lost its end does not take the next one with it.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut line = 1;
    text.split("-----BEGIN ").enumerate().filter_map(move |(index, piece)| {
        let begin = line;
        line += piece.matches('\n').count();
        let (label, rest) = piece.split_once("-----").unwrap_or((piece, ""));
        (index > 0).then_some(Entry { line: begin, label, rest })
    })
}

impl Entry<'_> {
    fn certificate(&self) -> Result<Vec<u8>, String> {
        if self.label != "CERTIFICATE" {
            let label: String = self.label.chars().take(40).collect();
            return Err(format!("it is `{label}`, not `CERTIFICATE`"));
        }
        let end = "-----END CERTIFICATE-----";
        let (body, _) = self.rest.split_once(end).ok_or_else(|| format!("it has no `{end}`"))?;
        let body: String = body.split_ascii_whitespace().collect();
        BASE64.decode(body.as_bytes()).map_err(|error| format!("it is not base64: {error}"))
    }
}
