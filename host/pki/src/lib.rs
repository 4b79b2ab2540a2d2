//! A private certification authority: certificates for fixtures, for the demo and for an operator's own clients.
//!
//! [`Authority::root`] makes the authority, [`Authority::intermediate`] one below it, and [`Authority::issue`]
//! certificates with a new key. [`Profile`] says what is in a certificate. Formats follow RFC 5280.
//!
//! ```
//! use portcullis_pki::{Authority, Profile, Validity};
//!
//! # fn main() -> Result<(), portcullis_pki::Error> {
//! let validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };
//! let authority = Authority::root(&Profile::authority("Example clients", validity))?;
//! let client = authority.issue(&Profile::client("billing-agent", validity))?;
//! assert!(client.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod authority;
mod error;
mod files;
mod flaw;
mod issued;
mod key;
pub mod oid;
mod profile;
mod revocation_list;
mod signature;
mod test_key;

pub use authority::Authority;
pub use error::Error;
pub use files::{replace_private, write_new_public, write_private, write_public};
pub use flaw::Flaw;
pub use issued::{Certified, Issued};
pub use key::{KeyPair, KeyType, PublicKey};
pub use profile::{AltName, Extension, KeyUsage, NameConstraint, PathLength, Profile, Validity};
pub use revocation_list::{RevocationList, RevocationReason, Revoked, SignedRevocationList};
pub use signature::Signature;
pub use test_key::{TestKey, TestKeyType};
