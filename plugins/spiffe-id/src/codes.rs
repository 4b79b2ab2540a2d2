//! The rejection codes: those of paths, and what is particular to SPIFFE.

use portcullis_guest::paths;

/// A certificate is no X509-SVID: it has not the one SPIFFE ID that it should have.
pub const NOT_AN_SVID: &str = "not-an-svid";
/// No pattern of the settings matches the ID.
pub const SPIFFE_ID_NOT_ALLOWED: &str = "spiffe-id-not-allowed";
/// There is no bundle of the ID's trust domain.
pub const UNKNOWN_TRUST_DOMAIN: &str = "unknown-trust-domain";

/// Every code that the policy gives.
pub fn all() -> impl Iterator<Item = &'static str> {
    let own = [NOT_AN_SVID, SPIFFE_ID_NOT_ALLOWED, UNKNOWN_TRUST_DOMAIN];
    paths::codes::ALL.iter().copied().chain(own)
}
