//! The rejection codes: those of paths, and one of its own.

use portcullis_guest::paths;

/// The leaf has not exactly one name of the kind that is to name the client.
pub const NO_PRINCIPAL: &str = "no-principal";

/// Every code that the policy gives.
pub fn all() -> impl Iterator<Item = &'static str> {
    paths::codes::ALL.iter().copied().chain([NO_PRINCIPAL])
}
