//! Renewing for who comes over the network with a certificate (EST simple re-enrollment; RFC 7030, 4.2.2).

use portcullis_core::{Certificate, Timestamp};
use portcullis_est::Names;

use crate::ca::Ca;
use crate::error::Error;
use crate::index::Record;
use crate::issue::{Issued, renewable};
use crate::request::{Request, RequestError};

/// How many certificates of a line may be valid at the same time: a client that asks on and on fills no disk.
const MAXIMUM_LIVING: u32 = 8;

/// Why somebody does not get a certificate renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The certificate has expired.
    #[error("the certificate expired at {0} seconds since 1970")]
    Expired(Timestamp),
    /// The authority cannot do it.
    #[error("the authority failed")]
    Failed(#[from] Error),
    /// The request asks for other names.
    #[error(
        "the request asks for another subject or other subject alternative names than the certificate has"
    )]
    Names,
    /// An authority's, or one that this version would not make.
    #[error("the certificate is an authority's, or of another make")]
    NotRenewable,
    /// The certificate is not valid yet.
    #[error("the certificate is not valid before {0} seconds since 1970")]
    NotYetValid(Timestamp),
    /// The request cannot be followed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The certificate was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// So many of the line are valid.
    #[error("{0} certificates renewed one from the other are valid already")]
    TooMany(u32),
    /// The certificate is not in the index.
    #[error("the certificate was not issued here")]
    UnknownIssuer,
}

impl Refusal {
    /// One word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired(_) => "expired",
            Self::Failed(_) => "failed",
            Self::Names => "names-differ",
            Self::NotRenewable => "not-renewable",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::Request(_) => "bad-request",
            Self::Revoked => "revoked",
            Self::TooMany(_) => "too-many",
            Self::UnknownIssuer => "unknown-issuer",
        }
    }
}

impl Ca {
    /// Finds whose certificate this is, if it is in force: in the index byte for byte, valid now, not revoked, and no
    /// authority's. Whoever presents it has still to prove that they have the key.
    ///
    /// # Errors
    /// Any [`Refusal`] that is about the certificate.
    pub fn authenticate(&self, der: &[u8]) -> Result<Record, Refusal> {
        let certificate =
            Certificate::from_der(der.to_vec()).map_err(|_| Refusal::UnknownIssuer)?;
        let record = self.record_of(&certificate)?;
        let record = record.filter(|record| record.der == der).ok_or(Refusal::UnknownIssuer)?;
        let now = self.clock.now();
        if record.revocation.is_some() {
            return Err(Refusal::Revoked);
        }
        if now < record.not_before {
            return Err(Refusal::NotYetValid(record.not_before));
        }
        if now > record.not_after {
            return Err(Refusal::Expired(record.not_after));
        }
        if certificate.is_ca() {
            return Err(Refusal::NotRenewable);
        }
        Ok(record)
    }

    /// Certifies the key of a request for who has proved to have the key of a certificate: with its names, for its use,
    /// and for as long, as far as the authority goes.
    ///
    /// # Errors
    /// Any [`Refusal`].
    pub fn reenroll(&self, certificate: &[u8], request: &[u8]) -> Result<Issued, Refusal> {
        let record = self.authenticate(certificate)?;
        let request = Request::parse(request)?;
        let names = Names::of_certificate(&record.der).map_err(|_| Refusal::NotRenewable)?;
        if *request.names() != names {
            return Err(Refusal::Names);
        }
        let mut ask = renewable(&record).map_err(refusal)?;
        ask.lifetime = ask.lifetime.min(self.longest_lifetime());
        let now = self.clock.now();
        let living = self.index.change(|change| change.living(&record.line, now))?;
        if living >= MAXIMUM_LIVING {
            return Err(Refusal::TooMany(living));
        }
        self.certify_key(&ask, request.key(), Some(&record)).map_err(refusal)
    }
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Revoked(_) => Refusal::Revoked,
        Error::NotRenewable(_) => Refusal::NotRenewable,
        error => Refusal::Failed(error),
    }
}
