//! Judged handshakes, recorded to rotating files and read back.
#![deny(missing_docs)]
