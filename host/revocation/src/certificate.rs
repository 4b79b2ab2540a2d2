//! What revocation needs of a certificate beyond what policies see: bytes as they are encoded.

use portcullis_core::Certificate;

use crate::der::{DerError, OID, Reader, SEQUENCE, constructed, context};
use crate::name::NameKey;
use crate::signed::PublicKey;

const AUTHORITY_INFORMATION_ACCESS: &str = "1.3.6.1.5.5.7.1.1";
/// id-ad-ocsp, 1.3.6.1.5.5.7.48.1.
const OCSP_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
const URI: u8 = context(6);

/// Parts of one certificate's encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    /// The content of the serial number's INTEGER.
    pub(crate) serial: &'a [u8],
    /// The issuer's Name, whole.
    pub(crate) issuer: &'a [u8],
    /// The subject's Name, whole.
    pub(crate) subject: &'a [u8],
    /// The subject's key.
    pub(crate) key: PublicKey<'a>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(certificate: &'a Certificate) -> Result<Self, DerError> {
        let mut reader = Reader::new(certificate.der());
        let mut fields = reader.inside(SEQUENCE)?.inside(SEQUENCE)?;
        fields.optional(constructed(0))?;
        let serial = fields.integer()?;
        fields.element(SEQUENCE)?;
        let issuer = fields.element(SEQUENCE)?.whole;
        fields.element(SEQUENCE)?;
        let subject = fields.element(SEQUENCE)?.whole;
        let key = PublicKey::read(fields.inside(SEQUENCE)?)?;
        Ok(Self { serial, issuer, subject, key })
    }
}

/// A certificate and the one that issued it, their names compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) subject: &'a Certificate,
    pub(crate) issuer: &'a Certificate,
    pub(crate) subject_parts: Parts<'a>,
    pub(crate) issuer_parts: Parts<'a>,
    /// The issuer's name.
    pub(crate) issuer_name: NameKey,
}

/// Why two certificates are no pair.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairError {
    #[error(transparent)]
    Der(#[from] DerError),
    #[error("`{issuer}` is not the issuer `{named}` that the certificate names")]
    OtherIssuer { issuer: String, named: String },
}

impl<'a> Pair<'a> {
    pub(crate) fn new(
        subject: &'a Certificate,
        issuer: &'a Certificate,
    ) -> Result<Self, PairError> {
        let (subject_parts, issuer_parts) = (Parts::of(subject)?, Parts::of(issuer)?);
        let issuer_name = NameKey::of(issuer_parts.subject)?;
        // Equal bytes are equal names, and the usual case.
        if subject_parts.issuer != issuer_parts.subject
            && NameKey::of(subject_parts.issuer)? != issuer_name
        {
            return Err(PairError::OtherIssuer {
                issuer: issuer.subject(),
                named: subject.issuer(),
            });
        }
        Ok(Self { subject, issuer, subject_parts, issuer_parts, issuer_name })
    }
}

/// The OCSP responders that a certificate names (RFC 5280, 4.2.2.1), in its order.
pub(crate) fn ocsp_uris(certificate: &Certificate) -> Result<Vec<&str>, DerError> {
    let Some(value) = certificate.extension(AUTHORITY_INFORMATION_ACCESS) else {
        return Ok(Vec::new());
    };
    let mut descriptions = Reader::new(value).inside(SEQUENCE)?;
    let mut uris = Vec::new();
    while !descriptions.is_empty() {
        let mut description = descriptions.inside(SEQUENCE)?;
        let method = description.value(OID)?;
        let location = description.any()?;
        if method == OCSP_ACCESS && location.tag == URI {
            uris.extend(std::str::from_utf8(location.value).ok());
        }
    }
    Ok(uris)
}
