//! How revocation is doing, for logs and metrics.

use portcullis_core::Timestamp;

use crate::crl::Source;

/// A snapshot of how revocation is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Each place that a CRL comes from.
    pub crls: Vec<CrlStatus>,
    /// The answers of OCSP responders.
    pub ocsp: OcspStatus,
    /// How many handshakes are waiting for a first answer.
    pub waiting: usize,
}

/// How one source of CRLs is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrlStatus {
    /// The path or the URL.
    pub source: String,
    /// The issuer that signed the CRL in force, as RFC 4514 text; none while the signature is not checked.
    pub issuer: Option<String>,
    /// How many certificates it lists.
    pub entries: usize,
    /// The memory that it takes, in bytes.
    pub memory_bytes: usize,
    /// When it was issued, in seconds since 1970; now less this is its age. None when nothing is loaded.
    pub this_update: Option<Timestamp>,
    /// When it expires, in seconds since 1970.
    pub next_update: Option<Timestamp>,
    /// When the source last gave a CRL to use, the same as before or a new one.
    pub last_success: Option<Timestamp>,
    /// Failures since then.
    pub failures: u32,
    /// The last failure since then, for people.
    pub last_error: Option<String>,
}

/// How OCSP is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OcspStatus {
    /// Certificates that an answer is at hand about, or was asked for.
    pub certificates: usize,
    /// Certificates whose answer is kept fresh.
    pub watched: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// The responders that failed when they were last asked.
    pub failing: Vec<ResponderStatus>,
}

/// A responder that failed when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponderStatus {
    /// Its URL.
    pub url: String,
    /// Failures in a row.
    pub failures: u32,
    /// The last one, for people.
    pub last_error: String,
    /// When it is asked again, in seconds since 1970.
    pub retry_at: Timestamp,
}

impl CrlStatus {
    pub(crate) fn of(source: &Source) -> Self {
        let progress = source.progress();
        let current = progress.current.as_deref();
        Self {
            source: source.name.to_string(),
            issuer: current.and_then(|current| Some(current.signer()?.subject())),
            entries: current.map_or(0, |current| current.crl.entries()),
            memory_bytes: current.map_or(0, |current| current.memory_bytes()),
            this_update: current.map(|current| current.crl.this_update),
            next_update: current.and_then(|current| current.crl.next_update),
            last_success: progress.last_success,
            failures: progress.failures,
            last_error: progress.last_error.clone(),
        }
    }
}
