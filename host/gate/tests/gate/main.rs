//! A running gate on the loopback interface, and clients of every kind.
#![allow(clippy::expect_used, reason = "a test's helpers may fail the test")]

mod alerts;
mod audit;
mod failures;
mod identity;
mod limits;
mod rejudged;
mod resumption;
mod shutdown;
mod support;
mod workers;
