//! Judged handshakes, recorded to rotating files and read back.
//!
//! A recording holds what a verdict rests on: the client's certificates, time, addresses and the answers about
//! revocation, and the decision itself with every policy's part. It holds no keys and nothing of what a client says
//! once it is in. What a decision needs besides, the policies with their settings and assets, is named by digests in the
//! head of each file.
//!
//! [`Recorder`] writes, and never makes a handshake wait; [`Reader`] reads, whatever has become of the file.
#![deny(missing_docs)]

mod answers;
mod convert;
mod error;
mod frame;
mod reader;
mod recorder;
mod store;
mod wire;

pub use answers::{AnsweredOnce, Answers};
pub use error::{Damage, ReadError, RecordingError};
pub use reader::{RawRecord, Reader};
pub use recorder::{Counts, Options, Recorder};
pub use store::EXTENSION;
pub use wire::{
    AssetIdentity, FileHeader, MAXIMUM_RECORD_BYTES, PeerAddress, PolicyIdentity, Record,
    RecordedAnswer, RecordedAttribute, RecordedDecision, RecordedLine, RecordedOutcome,
    RecordedPart, RecordedStatus, RecordedVerdict,
};

/// A file of one record, as [`Reader`] reads it: for handing a handshake over.
///
/// # Errors
///
/// When the record has more than [`MAXIMUM_RECORD_BYTES`].
pub fn file_of_one(header: &FileHeader, record: &Record) -> Result<Vec<u8>, RecordingError> {
    let mut bytes = frame::head(&wire::encode(header)?);
    frame::append(&mut bytes, &wire::encode(record)?);
    Ok(bytes)
}
