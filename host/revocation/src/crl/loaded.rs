//! A CRL in force: whose it is, and what it says of a certificate.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_core::{Certificate, Timestamp};

use super::error::UseError;
use super::parse::{Crl, Revoked, outer};
use crate::certificate::{Pair, Parts};

/// How many keys are remembered that have not signed a CRL.
const MAXIMUM_REFUSED: usize = 16;

/// A CRL that was read, and the key that signed it as soon as that is known.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) crl: Crl,
    /// SHA-256 of its encoding.
    pub(crate) digest: [u8; 32],
    /// Where it came from.
    pub(crate) source: Arc<str>,
    signer: OnceLock<Arc<Certificate>>,
    unsettled: Mutex<Unsettled>,
}

/// What is needed until the signature is checked, and the CRL saved.
#[derive(Debug)]
struct Unsettled {
    der: Option<Vec<u8>>,
    /// SHA-256 of the SubjectPublicKeyInfos that have not signed it.
    refused: Vec<[u8; 32]>,
}

/// How old a CRL may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// In seconds.
    pub(crate) skew: Timestamp,
    /// In seconds, of a CRL that names no next update; 0 for none.
    pub(crate) maximum_age: u32,
}

/// Why a CRL does not decide, and whether it lists the certificate all the same.
pub(crate) struct Undecided {
    pub(crate) why: UseError,
    pub(crate) listed: bool,
}

impl Loaded {
    pub(crate) fn new(crl: Crl, der: Vec<u8>, digest: [u8; 32], source: Arc<str>) -> Self {
        let unsettled = Unsettled { der: Some(der), refused: Vec::new() };
        Self { crl, digest, source, signer: OnceLock::new(), unsettled: Mutex::new(unsettled) }
    }

    /// Who signed it, as far as that is known.
    pub(crate) fn signer(&self) -> Option<&Arc<Certificate>> {
        self.signer.get()
    }

    /// Whether the certificate is listed, by a CRL that may be believed.
    pub(crate) fn ask(
        &self,
        pair: &Pair<'_>,
        time: Timestamp,
        terms: Terms,
    ) -> Result<Option<Revoked>, Undecided> {
        let undecided = |why| Undecided { why, listed: false };
        self.crl.scope.covers(pair.subject, pair.issuer_parts.subject).map_err(undecided)?;
        self.verify(pair.issuer, &pair.issuer_parts).map_err(undecided)?;
        let found = self.crl.find(pair.subject_parts.serial);
        match self.fresh(time, terms) {
            Ok(()) => Ok(found),
            Err(why) => Err(Undecided { why, listed: found.is_some() }),
        }
    }

    /// Whether `issuer` has signed it, as it may (RFC 5280, 6.3.3 (f) and (g)).
    pub(crate) fn verify(&self, issuer: &Certificate, parts: &Parts<'_>) -> Result<(), UseError> {
        if issuer.key_usages().is_some_and(|usages| !usages.contains(&"cRLSign")) {
            return Err(UseError::KeyUsage);
        }
        let key = issuer.public_key().spki_sha256;
        let is_signer = |signer: &Arc<Certificate>| signer.public_key().spki_sha256 == key;
        if let Some(signer) = self.signer.get() {
            return if is_signer(signer) { Ok(()) } else { Err(UseError::Signature) };
        }
        // Held while the signature is checked: a second handshake waits for the result rather than do it again.
        let mut unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        if self.signer.get().is_some_and(is_signer) {
            return Ok(());
        }
        let signed = unsettled.der.as_deref().map(outer);
        let Some(Ok(signed)) = signed else { return Err(UseError::Signature) };
        if unsettled.refused.contains(&key) || !signed.verifies_with(parts.key) {
            if unsettled.refused.len() == MAXIMUM_REFUSED {
                unsettled.refused.remove(0);
            }
            if !unsettled.refused.contains(&key) {
                unsettled.refused.push(key);
            }
            return Err(UseError::Signature);
        }
        // No second key can have signed the same bytes, so the first one found settles it.
        let _ = self.signer.set(Arc::new(issuer.clone()));
        Ok(())
    }

    /// Whether it is in force at `time`.
    pub(crate) fn fresh(&self, time: Timestamp, terms: Terms) -> Result<(), UseError> {
        let issued = self.crl.this_update;
        if issued > time.saturating_add(terms.skew) {
            return Err(UseError::Future(issued));
        }
        match self.crl.next_update {
            Some(next) if next < time => Err(UseError::Expired(next)),
            Some(_) => Ok(()),
            None if time.saturating_sub(issued) < i64::from(terms.maximum_age) => Ok(()),
            None => Err(UseError::TooOld(terms.maximum_age.into())),
        }
    }

    /// The encoding, once, after the signature was checked: from then on the index is enough.
    pub(crate) fn take_der(&self) -> Option<Vec<u8>> {
        self.signer.get()?;
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).der.take()
    }

    /// In bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        self.crl.memory_bytes() + unsettled.der.as_ref().map_or(0, Vec::capacity)
    }
}
