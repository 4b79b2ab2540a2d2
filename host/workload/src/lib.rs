//! The SPIFFE Workload API as a source: of this process's own certificate and key (its X509-SVID), and of the CAs that
//! SVIDs of other trust domains are believed from.
//!
//! A [`WorkloadApi`] keeps one `FetchX509SVID` stream to the agent open and gives what came last. The protocol, the
//! header, and the forms of SVIDs, IDs and bundles are the crate `spiffe`'s. Here is what a gate wants on top: one message
//! that is of no use never displaces a good one, what the agent took back or let expire is not used any longer, and each
//! change is said once.
#![deny(missing_docs)]

mod address;
mod api;
mod backoff;
mod choice;
mod conversation;
mod material;
mod source;
mod state;
mod svid;
mod verifier;

pub use address::{Address, AddressError, ENDPOINT_SOCKET};
pub use api::{NotReady, WorkloadApi};
pub use choice::{Choice, parse_id};
pub use material::Material;
pub use state::{Connection, State};
pub use svid::Svid;
pub use verifier::SvidVerifier;
