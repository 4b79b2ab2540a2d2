//! What the tests that cross crates share: a test CA, guests written in WAT, a gate that runs, peers that talk to it.
//!
//! `cargo xtask test` builds the binary and the components and fetches the peers; a test that misses one says so.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is how a test fails"
)]

pub mod agent;
pub mod bench;
pub mod client;
pub mod conformance;
pub mod connect;
pub mod crowd;
pub mod der;
pub mod gate;
pub mod guest;
pub mod judge;
pub mod ledger;
pub mod openssl_ca;
pub mod pki;
pub mod private_ca;
pub mod process;
pub mod raw;
pub mod released;
pub mod responder;
pub mod server;
pub mod short_answers;
pub mod strangers;
pub mod stunnel;
pub mod suite;
pub mod upstream;
