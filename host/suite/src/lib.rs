//! Suites of cases that a chain of policies must pass, run offline.
#![deny(missing_docs)]
