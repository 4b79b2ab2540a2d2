//! What can be wrong with a recording, and with making one.

use std::io;
use std::path::PathBuf;

use crate::frame::VERSION;
use crate::wire::MAXIMUM_RECORD_BYTES;

/// Why a file cannot be read, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A record is damaged.
    #[error("the record at byte {offset} {damage}")]
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The head is damaged, and what it says of the policies unknown.
    #[error("the head of the file {0}")]
    Head(Damage),
    /// The system refused.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It does not begin as a recording does.
    #[error("it is not a recording of handshakes")]
    NotARecording,
    /// It is of a version that this program does not know.
    #[error("it has version {0} of the format, and this program reads version {VERSION}")]
    Version(u32),
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Its content is not what was written. What follows can be read.
    #[error("has a wrong checksum")]
    Checksum,
    /// Its length is not what was written, so that nothing behind it can be found.
    #[error("has a damaged length: nothing behind it can be read")]
    Length,
    /// Whole, and yet no record.
    #[error("is malformed: {0}")]
    Malformed(String),
    /// More than [`MAXIMUM_RECORD_BYTES`], which nothing writes: nothing behind it is read.
    #[error(
        "has {0} bytes, more than the {MAXIMUM_RECORD_BYTES} of a record: nothing behind it is read"
    )]
    TooLarge(u32),
    /// The file ends in it, as after a crash.
    #[error("is cut off by the end of the file")]
    Torn,
}

/// Why a recording cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// A value has no encoding.
    #[error("the record cannot be encoded: {0}")]
    Encoding(String),
    /// The system refused.
    #[error("cannot use the directory `{}` for recordings", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner may enter the directory.
    #[error("the directory `{}` has mode {mode:o}; make it private: chmod 700", path.display())]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The limits contradict each other.
    #[error("{0}")]
    Options(String),
    /// The thread that writes did not start.
    #[error("cannot start the thread that writes")]
    Thread(#[source] io::Error),
    /// A record has more than [`MAXIMUM_RECORD_BYTES`].
    #[error("a record of {0} bytes is larger than {MAXIMUM_RECORD_BYTES}")]
    TooLarge(usize),
}
