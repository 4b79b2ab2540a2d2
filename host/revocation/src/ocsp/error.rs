//! Why an OCSP answer is not used.

use portcullis_core::Timestamp;

use crate::der::DerError;
use crate::fetch::FetchError;
use crate::time::Utc;

/// Why an OCSP answer is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OcspError {
    /// The answer is about other certificates.
    #[error("the answer is not about the certificate asked about")]
    Certificate,
    /// An extension that must not be ignored (RFC 6960, 4.4).
    #[error("critical extension `{0}` of the answer is not known")]
    CriticalExtension(String),
    /// Not DER.
    #[error(transparent)]
    Der(#[from] DerError),
    /// It expired before it came.
    #[error("the answer's next update was due at {}", Utc(*.0))]
    Expired(Timestamp),
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is of a time to come.
    #[error("the answer was made at {}, in the future", Utc(*.0))]
    Future(Timestamp),
    /// Not an OCSP response.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// Its nonce is not the one sent, or is missing (RFC 9654).
    #[error("the answer's nonce is {0}")]
    Nonce(&'static str),
    /// It is older than the one at hand.
    #[error("the answer was made at {}, before the one at hand", Utc(*.0))]
    Older(Timestamp),
    /// The responder would not say (RFC 6960, 4.2.1): its status in the RFC's words.
    #[error("the responder answered `{0}`")]
    Refused(&'static str),
    /// Nobody entitled has signed it (RFC 6960, 4.2.2.2).
    #[error("the answer's signer is not accepted: {0}")]
    Signer(String),
    /// No random bytes for a nonce.
    #[error("no random bytes for a nonce")]
    Random,
    /// It names no next update, and is too old to be used without.
    #[error("the answer names no next update and is older than the {0} s allowed")]
    TooOld(u32),
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    Unknown,
}

impl OcspError {
    /// Whether it tells something of the responder, and not only of one certificate.
    pub(crate) fn is_responders(&self) -> bool {
        match self {
            Self::Fetch(FetchError::Status { status, .. }) => *status >= 500 || *status == 429,
            Self::Fetch(_) => true,
            Self::Refused(status) => matches!(*status, "internalError" | "tryLater"),
            _ => false,
        }
    }
}
