//! What webpki leaves out of a path's validation.

use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, Error};

use super::anchors::{Anchor, Anchors};
use super::{Facts, Path, Terms, codes};
use crate::{PublicKey, Rejection, Timestamp, timestamp_text};

/// The anchor's validity, the key usage of the CAs, and the size of their keys.
pub(super) fn check_path<C: Facts>(path: &Path<'_, C>, terms: Terms<'_>) -> Result<(), Rejection> {
    let (anchor, minimum) = (path.anchor, terms.minimum_rsa_bits);
    check_validity(anchor, terms.time)?;
    check_key(&anchor.key, minimum, || format!("the anchor `{}`", anchor.subject))?;
    for authority in &path.authorities {
        if authority.key_usages().is_some_and(|usages| !has(&usages, "keyCertSign")) {
            let detail = format!("the CA `{}` may not issue certificates", authority.subject());
            return Err(Rejection::new(codes::WRONG_USAGE, detail));
        }
        check_key(&authority.public_key(), minimum, || ca(*authority))?;
    }
    Ok(())
}

fn check_validity(anchor: &Anchor, time: Timestamp) -> Result<(), Rejection> {
    let subject = &anchor.subject;
    if time < anchor.not_before {
        let begin = timestamp_text(anchor.not_before);
        let detail = format!("the validity of the anchor `{subject}` begins at {begin}");
        return Err(Rejection::new(codes::NOT_YET_VALID, detail));
    }
    if time > anchor.not_after {
        let end = timestamp_text(anchor.not_after);
        let detail = format!("the validity of the anchor `{subject}` ended at {end}");
        return Err(Rejection::new(codes::EXPIRED, detail));
    }
    Ok(())
}

/// Whether a key is of an algorithm that is accepted, and large enough. `whose` is for the detail.
///
/// # Errors
/// It is not: [`codes::WEAK_KEY`].
pub fn check_key(
    key: &PublicKey,
    minimum_rsa_bits: u32,
    whose: impl Fn() -> String,
) -> Result<(), Rejection> {
    let weakness = match key.algorithm.as_str() {
        "rsa" if key.bits < minimum_rsa_bits => {
            format!("an RSA key of {} bits: at least {minimum_rsa_bits}", key.bits)
        }
        "rsa" | "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "ed25519" => return Ok(()),
        // ML-DSA-44, -65 and -87.
        "2.16.840.1.101.3.4.3.17" | "2.16.840.1.101.3.4.3.18" | "2.16.840.1.101.3.4.3.19" => {
            return Ok(());
        }
        other => format!("a key of algorithm `{other}`, which is not accepted"),
    };
    Err(Rejection::new(codes::WEAK_KEY, format!("{} has {weakness}", whose())))
}

/// Whether the leaf is valid for no longer than so many hours, where there is a limit.
///
/// # Errors
/// It is: [`codes::LIFETIME_TOO_LONG`].
pub fn check_lifetime<C: Facts>(leaf: &C, maximum_hours: Option<u32>) -> Result<(), Rejection> {
    let Some(hours) = maximum_hours else { return Ok(()) };
    // Both ends belong to the validity (RFC 5280, 4.1.2.5).
    let seconds = leaf.not_after().saturating_sub(leaf.not_before()).saturating_add(1);
    if seconds <= i64::from(hours) * 3600 {
        return Ok(());
    }
    let detail = format!("the client's certificate is valid for {seconds} s: at most {hours} h");
    Err(Rejection::new(codes::LIFETIME_TOO_LONG, detail))
}

/// Whether a key usage is among these.
pub fn has(usages: &[String], wanted: &str) -> bool {
    usages.iter().any(|usage| usage == wanted)
}

/// The host verifies no signature of a key that is too small, which looks like a wrong signature from here.
pub(super) fn explain_bad_signature<C: Facts>(
    leaf: &EndEntityCert<'_>,
    authorities: &[C],
    ders: &[CertificateDer<'_>],
    anchors: &Anchors,
    terms: Terms<'_>,
) -> Rejection {
    let minimum = terms.minimum_rsa_bits;
    let parsed: Vec<_> = ders.iter().filter_map(|der| EndEntityCert::try_from(der).ok()).collect();
    let names = [leaf.issuer()].into_iter().chain(parsed.iter().map(|one| one.issuer()));
    let of_authorities =
        authorities.iter().map(|one| check_key(&one.public_key(), minimum, || ca(one)));
    let of_anchors = names
        .flat_map(|name| anchors.of_subject(name))
        .map(|one| check_key(&one.key, minimum, || format!("the anchor `{}`", one.subject)));
    of_authorities
        .chain(of_anchors)
        .find_map(Result::err)
        .unwrap_or_else(|| codes::rejection(&Error::InvalidSignatureForPublicKey))
}

fn ca<C: Facts>(authority: &C) -> String {
    format!("the CA `{}`", authority.subject())
}
