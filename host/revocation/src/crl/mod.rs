//! Certificate revocation lists (RFC 5280, 5 and 6.3).

mod error;
mod index;
mod keep;
mod loaded;
mod parse;
mod read;
mod scope;
mod source;
mod store;

pub use error::{CrlError, ReplaceError};
pub use parse::{Crl, Revoked, parse_crl};
pub(crate) use source::Source;
pub(crate) use store::CrlStore;
