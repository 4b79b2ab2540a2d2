//! The client's side of the gate: MCP for clients that cannot present a certificate.
//!
//! [`stdio::serve`] is an MCP server on standard input and output, [`local::Listener`] an HTTP endpoint on loopback. Both
//! speak to the gate through an [`Upstream`], which presents what an [`IdentitySource`] gives: files that are renewed
//! in place, or anything else that has a certificate and its key. [`Renewal`] has them renewed by their authority.
#![deny(missing_docs)]

mod connector;
mod events;
mod expiry;
mod failure;
mod file;
mod headers;
mod identity;
pub mod local;
mod message;
mod pair;
mod pem_files;
mod plain_words;
mod problem;
mod renewal;
mod roots;
pub mod stdio;
mod trust;
mod upstream;

pub use expiry::watch as watch_expiry;
pub use failure::{Failure, Refusal};
pub use file::{FileError, FileProblem};
pub use identity::{ClientIdentity, IdentityError, IdentitySource, NoIdentity};
pub use pem_files::PemFiles;
pub use renewal::{Renewal, RenewalError, RenewalSetUpError, Step};
pub use roots::{NoSystemRoots, Roots};
pub use trust::Trust;
pub use upstream::{Upstream, UpstreamError, UpstreamOptions};
