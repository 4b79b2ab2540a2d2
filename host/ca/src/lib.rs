//! A private certification authority in a directory: it issues, renews, revokes, and says what it revoked.
//!
//! [`Ca::init`] makes one, [`Ca::open`] takes it up. What was issued and revoked is in an index (SQLite); any number of
//! processes may use it at once, and whatever of them is killed, nothing that was handed out is missing from it.
//! Certificates follow RFC 5280, CRLs too, OCSP answers RFC 6960, renewals over the network EST (RFC 7030).
//!
//! | in the directory | is |
//! |---|---|
//! | `ca.pem` | the certificate |
//! | `ca.key` | its private key, PKCS #8, for its owner alone |
//! | `chain.pem` | of an authority below another: its certificate and those above it, without the root |
//! | `anchor.pem` | the root: what peers trust |
//! | `ca.crl` | the CRL, PEM; always replaced whole |
//! | `index.sqlite` | what was issued and revoked, and the CRL in force |
#![deny(missing_docs)]

mod ask;
mod ca;
mod check;
mod crl;
mod error;
mod index;
mod init;
mod issue;
mod locations;
mod name;
mod ocsp;
mod reason;
mod reenroll;
mod request;
mod server;

pub use ask::{Ask, Usage};
pub use ca::Ca;
pub use error::Error;
pub use index::{Crl, Record, Revocation};
pub use init::Options;
pub use issue::Issued;
pub use name::{NameError, parse_dns, parse_email, parse_spiffe_id, parse_trust_domain};
pub use ocsp::internal_error;
pub use reason::{REASONS, Reason};
pub use reenroll::Refusal;
pub use request::{Request, RequestError};
pub use server::{Renewals, SharedCa, serve_status};
