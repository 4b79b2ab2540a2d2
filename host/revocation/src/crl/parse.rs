//! One CRL, read in one pass over its encoding (RFC 5280, 5).

use portcullis_core::Timestamp;

use super::error::CrlError;
use super::index::{Entry, Index, Serial, TooMany};
use super::scope::Scope;
use crate::der::{self, DerError, ENUMERATED, Extension, Reader, SEQUENCE, constructed};
use crate::name::NameKey;
use crate::signed::Signed;

const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];

/// removeFromCRL, which only a delta CRL may say.
const REMOVE_FROM_CRL: u8 = 8;

/// A CRL number (RFC 5280, 5.2.3), big-endian and without a sign byte.
type Number = Box<[u8]>;

/// A complete CRL whose signature is still to be checked.
#[derive(Debug)]
pub struct Crl {
    pub(crate) issuer: Box<[u8]>,
    pub(crate) issuer_name: NameKey,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Option<Timestamp>,
    pub(crate) number: Option<Number>,
    pub(crate) scope: Scope,
    pub(crate) revoked: Index,
}

/// A certificate that a CRL lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// When it was revoked, in seconds since 1970.
    pub at: Timestamp,
    /// The CRLReason (RFC 5280, 5.3.1); 0, unspecified, when the CRL gives none.
    pub reason: u8,
}

/// Reads a CRL's DER and indexes it. The signature is not checked.
///
/// Takes the complete CRLs that one CA issues for its own certificates. A listed certificate is revoked whatever the
/// reason; certificateHold counts as any other.
///
/// # Errors
///
/// When it is malformed, says something critical that is not known here, or is a delta, an indirect or a
/// reason-partitioned CRL.
pub fn parse_crl(der: &[u8]) -> Result<Crl, CrlError> {
    let signed = outer(der)?;
    let mut fields = Reader::new(signed.message).inside(SEQUENCE)?;
    let version_2 = match fields.peek() {
        Some(der::INTEGER) if fields.integer()? == [1] => true,
        Some(der::INTEGER) => {
            return Err(CrlError::Invalid("it is of a version that is not known"));
        }
        _ => false,
    };
    if fields.value(SEQUENCE)? != signed.algorithm {
        return Err(CrlError::Invalid("it names two different signature algorithms"));
    }
    let issuer = fields.element(SEQUENCE)?;
    let this_update = fields.time()?;
    let next_update = match fields.peek() {
        Some(der::UTC_TIME | der::GENERALIZED_TIME) => Some(fields.time()?),
        _ => None,
    };
    let list = fields.optional(SEQUENCE)?.unwrap_or_default();
    let extensions = fields.optional(constructed(0))?;
    fields.end()?;
    if extensions.is_some() && !version_2 {
        return Err(CrlError::Invalid("it is of version 1 and has extensions"));
    }
    // The extensions come last and decide whether to look at the entries at all.
    let (number, scope) = read_extensions(extensions, issuer.value)?;
    Ok(Crl {
        issuer: issuer.whole.into(),
        issuer_name: NameKey::of(issuer.whole)?,
        this_update,
        next_update,
        number,
        scope,
        revoked: Index::new(read_entries(list, version_2)?).map_err(|TooMany| {
            CrlError::Invalid("it lists more than 4,294,967,295 certificates")
        })?,
    })
}

/// What is signed in a CRL, and the signature.
pub(crate) fn outer(der: &[u8]) -> Result<Signed<'_>, DerError> {
    let mut file = Reader::new(der);
    let mut parts = file.inside(SEQUENCE)?;
    file.end()?;
    let signed = Signed::read(&mut parts)?;
    parts.end()?;
    Ok(signed)
}

fn read_extensions(
    value: Option<&[u8]>,
    issuer: &[u8],
) -> Result<(Option<Number>, Scope), CrlError> {
    let (mut number, mut scope) = (None, Scope::default());
    let Some(value) = value else { return Ok((number, scope)) };
    let mut outer = Reader::new(value);
    let list = outer.inside(SEQUENCE)?;
    outer.end()?;
    der::extensions(list, |extension| {
        match extension.oid {
            CRL_NUMBER => number = Some(read_number(extension.value)?),
            DELTA_CRL_INDICATOR => return Err(CrlError::Delta),
            ISSUING_DISTRIBUTION_POINT => scope = Scope::read(extension.value, issuer)?,
            AUTHORITY_KEY_IDENTIFIER => {}
            _ => refuse_critical(extension)?,
        }
        Ok(())
    })?;
    Ok((number, scope))
}

/// So written, numbers compare by length and then by bytes.
fn read_number(value: &[u8]) -> Result<Number, CrlError> {
    let mut reader = Reader::new(value);
    let number = reader.integer()?;
    reader.end()?;
    match number {
        [0x80..=0xff, ..] => Err(CrlError::Invalid("its number is negative")),
        [0, rest @ ..] if !rest.is_empty() => Ok(rest.into()),
        _ => Ok(number.into()),
    }
}

fn refuse_critical(extension: &Extension<'_>) -> Result<(), CrlError> {
    if extension.critical {
        return Err(CrlError::CriticalExtension(der::dotted(extension.oid)));
    }
    Ok(())
}

fn read_entries(list: &[u8], version_2: bool) -> Result<Vec<Entry>, CrlError> {
    // Counted first, so that the index has no byte too many: counting only hops from header to header.
    let mut count = 0;
    let mut counting = Reader::new(list);
    while !counting.is_empty() {
        counting.element(SEQUENCE)?;
        count += 1;
    }
    let mut entries = Vec::with_capacity(count);
    let mut reader = Reader::new(list);
    while !reader.is_empty() {
        entries.push(read_entry(reader.inside(SEQUENCE)?, version_2)?);
    }
    Ok(entries)
}

fn read_entry(mut fields: Reader<'_>, version_2: bool) -> Result<Entry, CrlError> {
    let serial = Serial::new(fields.integer()?)
        .ok_or(CrlError::Invalid("it lists a serial number of more than 20 bytes"))?;
    let revoked_at = fields.time()?;
    let mut reason = 0;
    if let Some(list) = fields.optional(SEQUENCE)? {
        if !version_2 {
            return Err(CrlError::Invalid("it is of version 1 and has extensions"));
        }
        der::extensions(Reader::new(list), |extension| {
            match extension.oid {
                REASON_CODE => reason = read_reason(extension.value)?,
                INVALIDITY_DATE => {}
                CERTIFICATE_ISSUER => return Err(CrlError::Indirect),
                _ => refuse_critical(extension)?,
            }
            Ok(())
        })?;
    }
    fields.end()?;
    Ok(Entry { serial, reason, revoked_at })
}

fn read_reason(value: &[u8]) -> Result<u8, CrlError> {
    let mut reader = Reader::new(value);
    let reason = reader.value(ENUMERATED)?;
    reader.end()?;
    match *reason {
        [REMOVE_FROM_CRL] => {
            Err(CrlError::Invalid("it lists a certificate to remove, as only a delta CRL may"))
        }
        [reason @ (0..=6 | 9 | 10)] => Ok(reason),
        _ => Err(CrlError::Invalid("it gives a reason of revocation that is not known")),
    }
}

impl Crl {
    /// Whether the certificate with this serial number, the content of its INTEGER, is listed.
    #[must_use]
    pub fn find(&self, serial: &[u8]) -> Option<Revoked> {
        let entry = self.revoked.get(Serial::new(serial)?)?;
        Some(Revoked { at: entry.revoked_at, reason: entry.reason })
    }

    /// How many certificates it lists.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.revoked.len()
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.issuer.len() + self.revoked.memory_bytes()
    }

    /// When it was issued, in seconds since 1970.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// When the next one will have been issued, in seconds since 1970.
    #[must_use]
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }
}
