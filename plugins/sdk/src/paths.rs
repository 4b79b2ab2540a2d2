//! Certification paths (RFC 5280, 6) for policies that need one: built by webpki, signatures verified by the host.
//!
//! webpki checks names, signatures, validity, basic constraints, path lengths, name constraints, critical extensions
//! and extended key usages. [`verify`] adds what it leaves out: the validity of the anchor, the key usage of the CAs,
//! and the size of keys. What a policy asks beyond that of a path, it says in a check of its own.

pub mod anchors;
pub mod codes;
mod facts;
pub mod pem;
mod rules;

use std::cell::RefCell;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, VerifiedPath};

use crate::{Rejection, Timestamp};
use anchors::{Anchor, Anchors};

pub use facts::Facts;
pub use rules::{check_key, check_lifetime, has};

/// What a path is held to.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The time to judge at.
    pub time: Timestamp,
    /// Who verifies signatures: [`signatures::ALL`](crate::signatures::ALL) in a component.
    pub algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    /// The smallest RSA modulus of a CA.
    pub minimum_rsa_bits: u32,
}

/// A path from a leaf to an anchor.
#[derive(Debug)]
pub struct Path<'a, C> {
    /// The CA certificates between the leaf and the anchor, the leaf's issuer first.
    pub authorities: Vec<&'a C>,
    /// Where the path ends.
    pub anchor: &'a Anchor,
}

impl<C: Facts> Path<'_, C> {
    /// The earliest last second of a certificate on the path, the anchor included and the leaf not.
    pub fn not_after(&self) -> Timestamp {
        let ends = self.authorities.iter().map(|authority| authority.not_after());
        ends.fold(self.anchor.not_after, Timestamp::min)
    }
}

/// Finds a path from the leaf to an anchor, over `authorities` in any order, that also passes `check`.
///
/// The work is bounded by webpki's budget. It grows with the orders in which the certificates fit each other by name, so
/// a caller limits how many it hands over.
///
/// # Errors
/// Why there is no such path, by one of [`codes`]; of several paths that fail, that of the failure that tells most.
pub fn verify<'a, C: Facts>(
    leaf: &C,
    authorities: &'a [C],
    anchors: &'a Anchors,
    terms: Terms<'_>,
    purpose: impl ExtendedKeyUsageValidator,
    check: impl Fn(&Path<'a, C>) -> Result<(), Rejection>,
) -> Result<Path<'a, C>, Rejection> {
    let leaf_der = CertificateDer::from(leaf.der());
    let ders: Vec<CertificateDer<'_>> =
        authorities.iter().map(|one| CertificateDer::from(one.der())).collect();
    let leaf = EndEntityCert::try_from(&leaf_der).map_err(|error| codes::rejection(&error))?;

    // webpki goes on looking when a path is not taken, and its own errors cannot carry ours.
    let checked = RefCell::new(None);
    let check = |verified: &VerifiedPath<'_>| {
        let result = path(verified, authorities, &ders, anchors).and_then(|path| {
            rules::check_path(&path, terms)?;
            check(&path)?;
            Ok(path)
        });
        let taken = result.is_ok();
        checked.replace(Some(result));
        if taken { Ok(()) } else { Err(Error::CertDistrusted) }
    };
    let seconds = u64::try_from(terms.time).unwrap_or(0);
    let verified = leaf.verify_for_usage(
        terms.algorithms,
        &anchors.trusted,
        &ders,
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        purpose,
        None,
        Some(&check),
    );
    match (verified.map(|_| ()), checked.into_inner()) {
        (Ok(()), Some(Ok(path))) => Ok(path),
        (Ok(()) | Err(Error::CertDistrusted), Some(Err(rejection))) => Err(rejection),
        (Err(Error::InvalidSignatureForPublicKey), _) => {
            Err(rules::explain_bad_signature(&leaf, authorities, &ders, anchors, terms))
        }
        (Err(error), _) => Err(codes::rejection(&error)),
        (Ok(()), None) => Err(codes::rejection(&Error::UnknownIssuer)),
    }
}

/// webpki's path in terms of what it was made from, which is found by its address.
fn path<'a, C>(
    verified: &VerifiedPath<'_>,
    authorities: &'a [C],
    ders: &[CertificateDer<'_>],
    anchors: &'a Anchors,
) -> Result<Path<'a, C>, Rejection> {
    let unknown = || codes::rejection(&Error::UnknownIssuer);
    let anchor = anchors.facts_of(verified.anchor()).ok_or_else(unknown)?;
    let mut path = Path { authorities: Vec::new(), anchor };
    for certificate in verified.intermediate_certificates() {
        let address = certificate.der().as_ptr();
        let index = ders.iter().position(|der| der.as_ptr() == address).ok_or_else(unknown)?;
        path.authorities.push(authorities.get(index).ok_or_else(unknown)?);
    }
    Ok(path)
}
