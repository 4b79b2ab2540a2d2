//! Enrollment over Secure Transport (EST, RFC 7030): what goes over the wire, for both ends of it.
//!
//! A client that holds a certificate asks for its next one: [`request`] makes the PKCS #10 for it, [`encode`] the text
//! that is posted to [`SIMPLE_REENROLL`], and [`certificates`] reads the answer, which [`certs_only`] made.
#![deny(missing_docs)]

mod base64;
mod certs_only;
mod request;

pub use base64::{NotBase64, decode, encode};
pub use certs_only::{MAXIMUM_CERTIFICATES, NotCertsOnly, certificates, certs_only};
pub use request::{Names, RequestError, request};

/// Where an EST server answers (RFC 7030, 3.2.2). A label may follow.
pub const PATH: &str = "/.well-known/est";
/// The last segment of the path with the authority's certificates (4.1).
pub const CA_CERTS: &str = "cacerts";
/// The last segment of the path for who has no certificate yet (4.2.1).
pub const SIMPLE_ENROLL: &str = "simpleenroll";
/// The last segment of the path for who has one (4.2.2).
pub const SIMPLE_REENROLL: &str = "simplereenroll";
/// The content type of a request.
pub const REQUEST_TYPE: &str = "application/pkcs10";
/// The content type of certificates (4.1.3, 4.2.3).
pub const CERTS_ONLY_TYPE: &str = "application/pkcs7-mime; smime-type=certs-only";
/// The largest body in either direction, in bytes.
pub const MAXIMUM_BODY_BYTES: usize = 128 * 1024;
