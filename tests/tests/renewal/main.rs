//! Renewal over the network: EST for openssl and curl, `portcullis renew`, `portcullis connect --renew`, and many
//! generations of certificates under a clock of the test's own.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is how a test fails"
)]

mod days;
mod est;
mod programs;
