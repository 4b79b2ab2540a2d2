//! Why a certificate is not renewed, in plain words.

use portcullis_core::{Timestamp, rfc_3339};

use crate::failure::Failure;
use crate::upstream::UpstreamError;

/// Why options name no authority that renews.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewalSetUpError {
    /// As with a gate.
    #[error(transparent)]
    Upstream(UpstreamError),
    /// The URL is not one of an EST server.
    #[error(
        "`{0}` is not the URL of an authority that renews: expected `https://HOST:PORT`, or a path below `/.well-known/est`"
    )]
    Url(String),
}

/// Why a certificate was not renewed. The one that there was stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewalError {
    /// The authority's answer is not the certificate that was asked for.
    #[error("the authority's answer is of no use: {0}")]
    Answer(String),
    /// The connection broke.
    #[error("the connection to the authority broke before it answered: {0}")]
    Broken(String),
    /// The authority refused the certificate in the handshake.
    #[error("the authority refused the certificate: {meaning} (TLS alert {alert})")]
    Certificate {
        /// The alert's name (RFC 8446, 6).
        alert: &'static str,
        /// What it means.
        meaning: &'static str,
    },
    /// No new key, or no request for it.
    #[error("no request could be made: {0}")]
    Request(String),
    /// The authority refused the request.
    #[error("the authority refused to renew, with status {status}: {reason}")]
    Status {
        /// Of HTTP.
        status: u16,
        /// What the authority says.
        reason: String,
    },
    /// No answer in time.
    #[error("the authority did not answer in {0} s")]
    Timeout(u64),
    /// The authority cannot be reached.
    #[error("the authority cannot be reached: {0}")]
    Unreachable(String),
    /// Whoever answers is not the authority that is trusted.
    #[error("the authority's own certificate is not trusted: {0}")]
    Untrusted(String),
    /// The files cannot be replaced.
    #[error("the files cannot be replaced: {0}")]
    Write(String),
}

impl RenewalError {
    pub(super) fn not_valid(not_before: Timestamp, not_after: Timestamp) -> Self {
        Self::Answer(format!(
            "the new certificate is not valid now, but from {} to {}; check the clocks",
            rfc_3339(not_before),
            rfc_3339(not_after)
        ))
    }
}

impl From<Failure> for RenewalError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(text) => Self::Broken(text),
            Failure::Refused(refusal) => {
                let alert = refusal.alert();
                let meaning = match alert {
                    "access_denied" => "it renews no such certificate; have another one issued",
                    "certificate_expired" => {
                        "it has expired, or a clock is wrong; have another one issued"
                    }
                    "certificate_revoked" => "it was revoked; have another one issued",
                    "unknown_ca" => "another authority has issued it; ask that one",
                    "internal_error" => "it failed itself; its log has the reason",
                    _ => "its log has the reason",
                };
                Self::Certificate { alert, meaning }
            }
            Failure::NoIdentity(text) => Self::Request(text),
            Failure::Unreachable(text) => Self::Unreachable(text),
            Failure::Untrusted(text) => Self::Untrusted(text),
        }
    }
}
