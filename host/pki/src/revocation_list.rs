//! What is in a CRL.

pub use rcgen::RevocationReason;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use time::OffsetDateTime;

use crate::error::Error;

/// What a CRL says (RFC 5280, 5.1), apart from its issuer.
#[derive(Clone, Debug)]
pub struct RevocationList {
    /// Higher than that of every CRL before (RFC 5280, 5.2.3).
    pub number: u64,
    /// When it is made, in seconds since 1970.
    pub this_update: i64,
    /// By when there is another one, in seconds since 1970.
    pub next_update: i64,
    /// What it lists.
    pub revoked: Vec<Revoked>,
}

/// A revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Big-endian.
    pub serial_number: Vec<u8>,
    /// When it was revoked, in seconds since 1970.
    pub at: i64,
    /// Why. `Unspecified` is not written (RFC 5280, 5.3.1).
    pub reason: RevocationReason,
}

/// A CRL that was just made.
#[derive(Clone, Debug)]
pub struct SignedRevocationList {
    /// The CRL.
    pub der: Vec<u8>,
    /// The same in PEM.
    pub pem: String,
}

impl RevocationList {
    pub(crate) fn parameters(&self) -> Result<CertificateRevocationListParams, Error> {
        let (from, until) = (self.this_update, self.next_update);
        let invalid = || Error::Validity { not_before: from, not_after: until };
        let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| invalid());
        if from >= until {
            return Err(invalid());
        }
        let revoked_certs = self.revoked.iter().map(|revoked| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&revoked.serial_number),
                revocation_time: time(revoked.at)?,
                reason_code: Some(revoked.reason),
                invalidity_date: None,
            })
        });
        Ok(CertificateRevocationListParams {
            this_update: time(from)?,
            next_update: time(until)?,
            crl_number: SerialNumber::from(self.number),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect::<Result<_, _>>()?,
            // As the authority's own certificate has it.
            key_identifier_method: KeyIdMethod::Sha256,
        })
    }
}
