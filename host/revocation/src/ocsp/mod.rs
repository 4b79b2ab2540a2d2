//! The Online Certificate Status Protocol (RFC 6960).

mod entry;
mod error;
mod keep;
mod request;
mod responders;
mod response;
mod signer;
mod statement;
mod store;

pub use error::OcspError;
pub use response::{OcspResponse, parse_ocsp_response};
pub(crate) use store::OcspStore;
pub use store::Watch;
