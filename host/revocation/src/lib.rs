//! Revocation: CRLs (RFC 5280) and OCSP (RFC 6960) fetched, checked, kept fresh and asked.
//!
//! [`RevocationChecker`] answers the engine during handshakes, from memory. Whatever is not known for sure is unknown,
//! with the reason; what that means for a client is up to a policy. Knows no policy.
//!
//! | answer | when |
//! |---|---|
//! | revoked | a CRL in force lists the certificate, for whatever reason, certificateHold included; or an OCSP answer in force says so |
//! | good | a CRL in force covers the certificate and no CRL of its issuer lists it; or an OCSP answer in force says so |
//! | unknown | everything else: nothing at hand, expired, signed by somebody else, of another scope |
#![deny(missing_docs)]

mod certificate;
mod change;
mod checker;
mod context;
mod crl;
mod der;
mod fetch;
mod name;
mod ocsp;
mod options;
mod signed;
mod state;
mod status;
mod time;
mod url;

pub use change::Change;
pub use checker::{RevocationChecker, StartError};
pub use crl::{Crl, CrlError, ReplaceError, Revoked, parse_crl};
pub use der::DerError;
pub use fetch::FetchError;
pub use ocsp::{OcspError, OcspResponse, Watch, parse_ocsp_response};
pub use options::{CrlOptions, Nonce, OcspOptions, RevocationOptions};
pub use state::StateError;
pub use status::{CrlStatus, OcspStatus, ResponderStatus, Status};
pub use url::UrlError;
