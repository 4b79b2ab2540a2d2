//! The mTLS side: handshakes, the connections that come of them, and the record of both.
//!
//! A [`Gate`] listens. Each client must present a certificate and prove that it has the key; a
//! [`Judge`] says whether the client may come in, and a [`Service`] gets the connection. One
//! [`AuditRecord`] tells how each attempt ended. When something changes that verdicts rest on, the clients that are inside
//! are judged again ([`LiveConnections`]), and those who are rejected now are closed at once. Knows no policies and no MCP.
#![deny(missing_docs)]

mod attempt;
mod audit;
mod connection;
mod error;
mod gate;
mod judge;
mod live;
mod options;
mod tls;
mod workers;

pub use audit::{
    AuditRecord, AuditVerdict, Auditor, CertificateSummary, ClosedRecord, PolicyPart,
    TracingAuditor,
};
pub use connection::{Connection, Service, Standing};
pub use error::{GateError, IdentityError};
pub use gate::{Ended, Gate, IdentitySwap};
pub use judge::{Judge, JudgeSwap};
pub use live::{Cause, Concern, LiveConnections, Rejudged};
pub use options::{GateOptions, Resumption};
pub use tls::{ClientStream, ServerIdentity, TlsVersion, alert_for};
pub use workers::{OnWorkers, Workers};
