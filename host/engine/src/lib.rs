//! Policies in, verdicts out: certificates are judged by sandboxed WebAssembly components.
//!
//! Knows wasmtime and certificates; no sockets, no TLS configuration, no MCP.
#![deny(missing_docs)]

mod bindings;
mod certificate;
mod chain;
mod clock;
mod crypto;
mod decision;
mod engine;
mod handshake;
mod host;
mod limits;
mod load;
mod name;
mod policy;
mod revocation;
mod settings;
mod text;

pub use certificate::{
    Certificate, CertificateError, MAXIMUM_CERTIFICATE_BYTES, PublicKey, SubjectAltName,
};
pub use chain::{Chain, ChainError, Member, Step};
pub use clock::{Clock, Timestamp};
pub use decision::{
    Attribute, Decision, Identity, LogLine, Outcome, PolicyReport, Rejection, RevocationCheck,
    Verdict,
};
pub use engine::{Engine, EngineError, EngineOptions, PagemapScan};
pub use handshake::Handshake;
pub use limits::PolicyLimits;
pub use load::{Asset, CONTRACT_VERSION, Description, LoadError, PolicySource, Preparation};
pub use name::NameAttribute;
pub use policy::Policy;
pub use revocation::{NotConfigured, Revocation, RevocationAnswer, RevocationStatus};
pub use text::printable;
