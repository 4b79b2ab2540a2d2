//! From bytes that came in to a CRL that may replace the one in force.

use std::io;
use std::sync::Arc;

use aws_lc_rs::digest;
use portcullis_core::{Certificate, Timestamp};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;

use super::error::{CrlError, ReplaceError};
use super::loaded::{Loaded, Terms};
use super::parse::parse_crl;
use crate::certificate::Parts;
use crate::fetch::FetchError;
use crate::name::NameKey;
use crate::time::Utc;

/// Why a source gave no CRL to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoadError {
    #[error("not a CRL to use: {0}")]
    Crl(#[from] CrlError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    #[error("it was issued at {}, in the future", Utc(*.0))]
    Future(Timestamp),
    #[error("reading it failed: {0}")]
    Panic(String),
    #[error("the one in force stays: {0}")]
    Replace(#[from] ReplaceError),
    #[error("it has more than the {0} bytes allowed")]
    TooLarge(u64),
}

/// What bytes are judged by.
pub(crate) struct Circumstances<'a> {
    /// Where they came from.
    pub(crate) source: &'a Arc<str>,
    /// The one in force.
    pub(crate) current: Option<&'a Arc<Loaded>>,
    /// CAs that may have signed it.
    pub(crate) issuers: &'a [Arc<Certificate>],
    pub(crate) now: Timestamp,
    pub(crate) terms: Terms,
}

/// The CRL in these bytes, checked as far as its issuer is known; none when it is the one in force.
pub(crate) fn read(
    bytes: Vec<u8>,
    circumstances: &Circumstances<'_>,
) -> Result<Option<Loaded>, LoadError> {
    let Circumstances { source, current, issuers, now, terms } = circumstances;
    let der = to_der(bytes)?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, &der).as_ref());
    if current.is_some_and(|current| current.digest == sha256) {
        return Ok(None);
    }
    let crl = parse_crl(&der)?;
    if crl.this_update > now.saturating_add(terms.skew) {
        return Err(LoadError::Future(crl.this_update));
    }
    let loaded = Loaded::new(crl, der, sha256, Arc::clone(source));
    let current = current.filter(|current| current.signer().is_some());
    for issuer in issuers.iter().chain(current.and_then(|current| current.signer())) {
        if let Ok(parts) = Parts::of(issuer)
            && NameKey::of(parts.subject) == Ok(loaded.crl.issuer_name)
            && loaded.verify(issuer, &parts).is_ok()
        {
            break;
        }
    }
    match current {
        Some(current) if current.fresh(*now, *terms).is_ok() => {
            may_replace(&loaded, current, *now, *terms)?;
        }
        _ => {}
    }
    Ok(Some(loaded))
}

/// While one is in force, only a newer one that is known to be the same CA's takes its place: whoever can serve
/// bytes could otherwise bring an old CRL back, or take the CRL away.
fn may_replace(
    new: &Loaded,
    current: &Loaded,
    now: Timestamp,
    terms: Terms,
) -> Result<(), ReplaceError> {
    if new.crl.issuer_name != current.crl.issuer_name {
        return Err(ReplaceError::Issuer);
    }
    if new.signer().is_none() {
        return Err(ReplaceError::Signature);
    }
    if new.crl.this_update < current.crl.this_update {
        return Err(ReplaceError::Older {
            new: new.crl.this_update,
            current: current.crl.this_update,
        });
    }
    if let (Some(number), Some(in_force)) = (&new.crl.number, &current.crl.number)
        && (number.len(), number) < (in_force.len(), in_force)
    {
        let text = |number: &[u8]| data_encoding::HEXLOWER.encode(number);
        return Err(ReplaceError::Number { new: text(number), current: text(in_force) });
    }
    match new.fresh(now, terms) {
        Ok(()) => Ok(()),
        Err(_) => Err(ReplaceError::Expired(new.crl.next_update.unwrap_or(new.crl.this_update))),
    }
}

/// DER as it is, PEM decoded.
fn to_der(bytes: Vec<u8>) -> Result<Vec<u8>, CrlError> {
    if bytes.first() == Some(&crate::der::SEQUENCE) {
        return Ok(bytes);
    }
    let mut found: Vec<CertificateRevocationListDer<'_>> =
        CertificateRevocationListDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| CrlError::Invalid("it is neither DER nor PEM"))?;
    match (found.pop(), found.len()) {
        (Some(crl), 0) => Ok(crl.as_ref().to_vec()),
        (None, _) => Err(CrlError::Invalid("it is neither DER nor PEM")),
        (Some(_), others) => Err(CrlError::Several(others + 1)),
    }
}
