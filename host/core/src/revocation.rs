//! What the engine asks of whoever knows about revocation.

use serde::Serialize;

use crate::certificate::Certificate;
use crate::clock::Timestamp;
use crate::decision::RevocationCheck;

/// Answers policies that ask whether a certificate is revoked.
///
/// Called while a policy runs, on its deadline and in one of the places for decisions: an implementation answers from
/// what it has. Where an answer is on its way, it says so, and the engine may wait for it between two decisions.
pub trait Revocation: Send + Sync + 'static {
    /// What `source` ("crl" or "ocsp") says at `time` of `subject`, which `issuer` has issued.
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer;

    /// Waits for an answer that was pending, within the implementation's own bounds of time and number. Nothing else waits
    /// meanwhile. The default waits for nothing.
    fn wait(&self, check: &RevocationCheck, time: Timestamp) {
        let _ = (check, time);
    }
}

/// What a source says of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevocationAnswer {
    /// Good, revoked or unknown.
    pub status: RevocationStatus,
    /// "crl" or "ocsp"; empty when unknown.
    pub source: String,
    /// Why it is unknown, for people.
    pub detail: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When the source made its statement.
    pub this_update: Option<Timestamp>,
    /// When the source will have made the next one.
    pub next_update: Option<Timestamp>,
    /// Unknown as yet: an answer is on its way, and may be waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

impl RevocationAnswer {
    /// The answer of who does not know, and why.
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self {
            status: RevocationStatus::Unknown,
            source: String::new(),
            detail: detail.into(),
            revoked_at: None,
            this_update: None,
            next_update: None,
            pending: false,
        }
    }
}

/// A certificate's status (RFC 6960, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationStatus {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked,
    /// Nobody knows.
    Unknown,
}

impl RevocationStatus {
    /// As the contract spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// Knows nothing, and says so: what a host without revocation sources has.
#[derive(Clone, Copy, Debug)]
pub struct NotConfigured;

impl Revocation for NotConfigured {
    fn check(&self, _: &Certificate, _: &Certificate, _: &str, _: Timestamp) -> RevocationAnswer {
        RevocationAnswer::unknown("not configured")
    }
}
