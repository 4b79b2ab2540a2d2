//! Where configurations, certificates, keys, assets and components come from, and that they have changed.
//!
//! A [`Source`] gives bytes and their version by name, and signals that something may have another version now.
//! [`FileSystem`] is the one for files. [`Readings`] reads for one load of a configuration and remembers what was read, so
//! that whoever keeps the result can tell when to load again. Nothing above a source knows which it is.
#![deny(missing_docs)]

mod entries;
mod file_system;
mod readings;
mod signal;

use std::fmt;
use std::path::{Path, PathBuf};

pub use file_system::FileSystem;
pub use readings::Readings;
pub use signal::Signal;

/// A place that something is read from by name.
///
/// Reading may block: call it where that is allowed.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// The bytes of this name, at most `maximum` of them, and their version.
    ///
    /// # Errors
    /// When there are none, or more.
    fn read(&self, name: &Path, maximum: u64) -> Result<Content, ReadError>;

    /// The version that reading would give now. Cheap: it is asked every few seconds. What cannot be read has a version,
    /// too.
    fn version(&self, name: &Path) -> Version;

    /// Raises `signal` whenever one of the names may have another version, until the watch is dropped. What is signalled
    /// may be nothing, and once in a while something is missed: compare versions, and do so at times without a signal.
    /// After a signal, watch anew: what was watched may have been moved away.
    ///
    /// # Errors
    /// When nothing will be signalled.
    fn watch(&self, names: &[PathBuf], signal: &Signal) -> Result<Watch, WatchError>;
}

/// What was read. Maybe a key: it shows its length only.
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// As they were when reading began, or older: another version may have come meanwhile, never an unnoticed one.
    pub version: Version,
}

/// Tells one state of something from another. The same version means the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

/// Signals changes until it is dropped.
pub struct Watch(#[expect(dead_code, reason = "dropping it is what matters")] Box<dyn Send>);

/// Why something was not read. Without its name, which whoever reads knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There is more of it than was asked for.
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// The source has nothing of this name, or not now.
    #[error("{0}")]
    Unavailable(String),
}

/// Why changes are not signalled.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WatchError(String);

impl Version {
    /// A version by a text that no other version of the same thing has: a digest, a number.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Watch {
    /// A watch that lasts as long as this is not dropped.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl WatchError {
    /// For people.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("bytes", &self.bytes.len())
            .field("version", &self.version)
            .finish()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
