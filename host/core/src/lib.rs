//! What everything under `host/` speaks of: certificates, handshakes, decisions, revocation, and the clock.
//!
//! Small on purpose: whoever needs these words, a parser under a fuzzer for instance, does not build a WebAssembly
//! runtime for them. `portcullis-engine` passes all of them on.
#![deny(missing_docs)]

mod certificate;
mod clock;
mod decision;
mod expiry;
mod handshake;
mod name;
mod pem;
mod recorded;
mod revocation;
mod text;

pub use certificate::{
    Certificate, CertificateError, MAXIMUM_CERTIFICATE_BYTES, PublicKey, SubjectAltName, sha256,
};
pub use clock::{Clock, Timestamp, rfc_3339};
pub use decision::{
    Attribute, Decision, Identity, LogLine, Outcome, PolicyReport, Rejection, RevocationCheck,
    Verdict,
};
pub use expiry::{Urgency, WarnBefore};
pub use handshake::{Handshake, MAXIMUM_CERTIFICATES};
pub use name::NameAttribute;
pub use pem::pem;
pub use recorded::RecordedAnswers;
pub use revocation::{NotConfigured, Revocation, RevocationAnswer, RevocationStatus};
pub use text::{printable, with_causes};
