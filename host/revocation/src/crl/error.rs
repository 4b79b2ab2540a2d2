//! Why a CRL is not used.

use portcullis_core::Timestamp;

use crate::der::DerError;
use crate::time::Utc;

/// Why bytes are not a CRL that can be used. All of it is refused: no part of it is ever taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// An extension of the CRL or of an entry that must not be ignored (RFC 5280, 5.2 and 5.3).
    #[error("critical extension `{0}` is not known")]
    CriticalExtension(String),
    /// Only changes to another CRL (RFC 5280, 5.2.4).
    #[error("it is a delta CRL; give the complete one")]
    Delta,
    /// Not DER, or not a CRL.
    #[error(transparent)]
    Der(#[from] DerError),
    /// It speaks for other issuers than its own (RFC 5280, 5.2.5 and 5.3.3).
    #[error("it is an indirect CRL; give the one that the certificates' own issuer signs")]
    Indirect,
    /// A file with several.
    #[error("the file holds {0} CRLs; give each a file of its own")]
    Several(usize),
    /// It says what RFC 5280 does not allow.
    #[error("{0}")]
    Invalid(&'static str),
    /// It covers some reasons of revocation only (RFC 5280, 5.2.5).
    #[error("it covers only some reasons of revocation; give one that covers all")]
    Reasons,
}

/// Why a CRL does not replace the one in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// Its number went back (RFC 5280, 5.2.3).
    #[error("CRL number `{new}` is lower than `{current}` of the one in force")]
    Number {
        /// In hexadecimal.
        new: String,
        /// In hexadecimal.
        current: String,
    },
    /// It was issued before the one in force.
    #[error("it was issued at {}, before the one in force, issued at {}", Utc(*new), Utc(*current))]
    Older {
        /// In seconds since 1970.
        new: Timestamp,
        /// In seconds since 1970.
        current: Timestamp,
    },
    /// It is out of date already, and the one in force is not.
    #[error("it expired at {}, and the one in force has not", Utc(*.0))]
    Expired(Timestamp),
    /// It is another issuer's.
    #[error("it was issued by another CA than the one in force")]
    Issuer,
    /// Nobody known has signed it.
    #[error(
        "the key that signed the one in force has not signed it; when the CA has a new key, name \
         the CA's new certificate in `issuers`"
    )]
    Signature,
}

/// Why a CRL says nothing about a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UseError {
    #[error("the CRL's next update was due at {}", Utc(*.0))]
    Expired(Timestamp),
    #[error("the CRL names no next update and is older than the {0} s allowed")]
    TooOld(u64),
    #[error("the CRL was issued at {}, in the future", Utc(*.0))]
    Future(Timestamp),
    #[error("the issuer's key usage does not include cRLSign")]
    KeyUsage,
    #[error("the CRL does not cover this certificate: {0}")]
    Scope(&'static str),
    #[error("the CRL was not signed by the issuer's key")]
    Signature,
    #[error("no CRL of this issuer is loaded")]
    None,
    #[error("the serial number has more than 20 bytes")]
    Serial,
}
