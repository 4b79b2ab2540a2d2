//! What a chain of policies says of a handshake.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::certificate::Certificate;
use crate::clock::Timestamp;
use crate::revocation::RevocationAnswer;

/// A verdict and how it came about.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// Whether the client may come in.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What each policy that was asked said, in the order of asking.
    pub policies: Vec<PolicyReport>,
    /// From when the chain was asked until it had decided, with all that it waited for.
    #[serde(rename = "elapsed_us", serialize_with = "as_micros")]
    pub elapsed: Duration,
}

/// Whether the client may come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict")]
pub enum Verdict {
    /// Every policy of the chain accepts.
    #[serde(rename = "accepted")]
    Accept(Identity),
    /// One policy rejects, or could not judge.
    #[serde(rename = "rejected")]
    Reject(Rejection),
}

/// Who the client is, merged from what the accepting policies established.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The name that a policy gave the client.
    pub principal: Option<String>,
    /// In the order in which the policies established them.
    pub attributes: Vec<Attribute>,
    /// The earliest time at which a policy wants to be asked again.
    pub valid_until: Option<Timestamp>,
}

/// Something that a policy established about the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Why the client may not come in. For the operator, never for the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Selects the TLS alert: "expired", "unknown-issuer", "policy-failed", ...
    pub code: String,
    /// For people.
    pub detail: String,
    /// The policy that decided; none when the host decided before or between policies.
    pub policy: Option<String>,
}

/// One policy's part in a decision.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    /// The policy's name in the configuration.
    pub policy: String,
    /// SHA-256 of the component, in lower-case hexadecimal.
    pub digest: String,
    /// Whether it ran in shadow mode: recorded, and without a say.
    pub shadow: bool,
    /// What it said.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it was told about revocation, in the order of asking; the first 64 answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revocation: Vec<RevocationCheck>,
    /// What it wrote to the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// From before its instance was made until after it was gone.
    #[serde(rename = "elapsed_us", serialize_with = "as_micros")]
    pub elapsed: Duration,
    /// Its linear memory at its largest.
    pub memory_bytes: u64,
}

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It accepts.
    Accepted {
        /// Who the client is, if this policy says so.
        principal: Option<String>,
        /// What it established.
        attributes: Vec<Attribute>,
        /// When it wants to be asked again.
        valid_until: Option<Timestamp>,
    },
    /// It could not judge, which counts as a rejection.
    Failed {
        /// "policy-failed", "policy-timeout", "policy-memory" or "policy-trapped".
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// It rejects.
    Rejected {
        /// Its code.
        code: String,
        /// For people.
        detail: String,
    },
}

/// What a policy asked about one certificate, and was told.
#[derive(Clone, Debug, Serialize)]
pub struct RevocationCheck {
    /// The certificate that it asked about.
    #[serde(serialize_with = "as_subject")]
    pub subject: Arc<Certificate>,
    /// The certificate of whoever issued it.
    #[serde(serialize_with = "as_subject")]
    pub issuer: Arc<Certificate>,
    /// The source that it asked.
    pub source: String,
    /// What it was told.
    pub answer: RevocationAnswer,
}

/// One line that a policy wrote to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// "error", "warn", "info" or "debug".
    pub level: &'static str,
    /// Control characters escaped.
    pub text: String,
}

impl Decision {
    /// Whether the client may come in.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.verdict, Verdict::Accept(_))
    }
}

fn as_micros<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
}

fn as_subject<S: Serializer>(
    certificate: &Arc<Certificate>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&certificate.subject())
}
