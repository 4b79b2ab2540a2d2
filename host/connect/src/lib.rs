//! The client's side of the gate: MCP for clients that cannot present a certificate.
#![deny(missing_docs)]
