//! The rejection codes of paths, and what webpki's errors are among them.

use rustls_pki_types::UnixTime;
use webpki::Error;

use crate::{Rejection, timestamp_text};

/// A certificate is malformed, or not X.509 version 3.
pub const BAD_CERTIFICATE: &str = "bad-certificate";
/// A signature on the path does not verify.
pub const BAD_SIGNATURE: &str = "bad-signature";
/// The leaf is a CA certificate.
pub const CA_AS_LEAF: &str = "ca-as-leaf";
/// A certificate of the path is past its validity.
pub const EXPIRED: &str = "expired";
/// The leaf is valid for longer than is allowed.
pub const LIFETIME_TOO_LONG: &str = "lifetime-too-long";
/// A name violates the name constraints of a CA above it.
pub const NAME_NOT_PERMITTED: &str = "name-not-permitted";
/// The validity of a certificate of the path has not begun.
pub const NOT_YET_VALID: &str = "not-yet-valid";
/// The client sent more certificates, or ones more entangled, than are looked at.
pub const PATH_TOO_COMPLEX: &str = "path-too-complex";
/// There are more CAs on the path than a path length constraint or the verifier allows.
pub const PATH_TOO_LONG: &str = "path-too-long";
/// A certificate has a critical extension that is not understood.
pub const UNKNOWN_CRITICAL_EXTENSION: &str = "unknown-critical-extension";
/// No path leads to an anchor.
pub const UNKNOWN_ISSUER: &str = "unknown-issuer";
/// A certificate of the path is signed in a way that is not supported.
pub const UNSUPPORTED_SIGNATURE_ALGORITHM: &str = "unsupported-signature-algorithm";
/// A key of the path is too small, or of an algorithm that is not accepted.
pub const WEAK_KEY: &str = "weak-key";
/// A certificate of the path is not meant for what it is used for.
pub const WRONG_USAGE: &str = "wrong-usage";

/// Every code that this module gives.
pub const ALL: &[&str] = &[
    BAD_CERTIFICATE,
    BAD_SIGNATURE,
    CA_AS_LEAF,
    EXPIRED,
    LIFETIME_TOO_LONG,
    NAME_NOT_PERMITTED,
    NOT_YET_VALID,
    PATH_TOO_COMPLEX,
    PATH_TOO_LONG,
    UNKNOWN_CRITICAL_EXTENSION,
    UNKNOWN_ISSUER,
    UNSUPPORTED_SIGNATURE_ALGORITHM,
    WEAK_KEY,
    WRONG_USAGE,
];

/// The rejection for an error of webpki, which of several failed paths reports the most telling error.
pub(super) fn rejection(error: &Error) -> Rejection {
    let (code, detail) = match error {
        Error::CertExpired { not_after, .. } => {
            (EXPIRED, format!("a certificate of the path expired at {}", text(*not_after)))
        }
        Error::CertNotValidYet { not_before, .. } => (
            NOT_YET_VALID,
            format!("a certificate of the path is valid from {} on", text(*not_before)),
        ),
        Error::CaUsedAsEndEntity => {
            (CA_AS_LEAF, "the client's own certificate is that of a CA".to_owned())
        }
        Error::EndEntityUsedAsCa => {
            (WRONG_USAGE, "a certificate that is not a CA's has issued another".to_owned())
        }
        Error::EmptyEkuExtension | Error::RequiredEkuNotFoundContext(_) => {
            (WRONG_USAGE, "a certificate of the path lacks an extended key usage".to_owned())
        }
        Error::InvalidSignatureForPublicKey => {
            (BAD_SIGNATURE, "a signature on the path does not verify".to_owned())
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            (UNSUPPORTED_SIGNATURE_ALGORITHM, "a signature on the path is not supported".to_owned())
        }
        Error::NameConstraintViolation => (
            NAME_NOT_PERMITTED,
            "a name on the path violates the name constraints of a CA above it".to_owned(),
        ),
        Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => {
            (PATH_TOO_LONG, "there are more CAs on the path than is allowed".to_owned())
        }
        Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded => {
            (PATH_TOO_COMPLEX, format!("the certificates are too entangled: {error}"))
        }
        Error::UnsupportedCriticalExtension => (
            UNKNOWN_CRITICAL_EXTENSION,
            "a certificate has a critical extension that is not understood".to_owned(),
        ),
        Error::UnknownIssuer => {
            (UNKNOWN_ISSUER, "no path leads from the client's certificate to an anchor".to_owned())
        }
        Error::CertDistrusted => (UNKNOWN_ISSUER, "a key of the path is distrusted".to_owned()),
        other => (BAD_CERTIFICATE, format!("a certificate is malformed: {other}")),
    };
    Rejection::new(code, detail)
}

fn text(time: UnixTime) -> String {
    i64::try_from(time.as_secs()).map_or_else(|_| time.as_secs().to_string(), timestamp_text)
}
