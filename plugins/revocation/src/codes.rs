//! The rejection codes.

pub use portcullis_guest::paths::codes::UNKNOWN_ISSUER;

/// Sources know whether a certificate was revoked, and what they say is too old.
pub const REVOCATION_STALE: &str = "revocation-stale";
/// Whether a certificate was revoked cannot be told.
pub const REVOCATION_UNKNOWN: &str = "revocation-unknown";
/// A certificate of the path was revoked.
pub const REVOKED: &str = "revoked";

/// Every code that the policy gives.
pub const ALL: &[&str] = &[REVOCATION_STALE, REVOCATION_UNKNOWN, REVOKED, UNKNOWN_ISSUER];
