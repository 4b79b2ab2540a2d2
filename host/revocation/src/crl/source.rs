//! A place that CRLs come from, and how it has done.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use portcullis_core::Timestamp;

use super::loaded::Loaded;
use super::read::LoadError;
use crate::context::{Due, Waiters};
use crate::url::Url;

/// Where a CRL comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A URL that a certificate names.
    Discovered(Url),
    File(PathBuf),
    Url(Url),
}

/// A place that one CRL after the other comes from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    progress: Mutex<Progress>,
}

/// How a source has done so far.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) current: Option<Arc<Loaded>>,
    /// Whether `current` was in force when it was last looked at.
    pub(crate) was_fresh: bool,
    pub(crate) due: Due,
    /// Whether a load is under way.
    pub(crate) loading: bool,
    /// Whether another one is wanted after it: it may have begun before there was something new.
    pub(crate) again: bool,
    /// Those who wait for the next load to end.
    pub(crate) waiters: Waiters,
    /// In a row.
    pub(crate) failures: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) last_success: Option<Timestamp>,
    stamp: Option<Stamp>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Source {
    pub(crate) fn new(origin: Origin, now: Timestamp) -> Self {
        let name = match &origin {
            Origin::Discovered(url) | Origin::Url(url) => url.to_string(),
            Origin::File(path) => path.display().to_string(),
        };
        let progress = Progress {
            current: None,
            was_fresh: false,
            due: Due::after(now, 0),
            loading: false,
            again: false,
            waiters: Waiters::default(),
            failures: 0,
            last_error: None,
            last_success: None,
            stamp: None,
        };
        Self { name: name.into(), origin, progress: Mutex::new(progress) }
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that keeps its last good CRL over a restart.
    pub(crate) fn state_name(&self) -> String {
        let sha256 = digest::digest(&digest::SHA256, self.name.as_bytes());
        format!("{}.crl", HEXLOWER.encode(sha256.as_ref()))
    }

    /// The file's bytes, unless it is the one that was read with success before.
    pub(crate) fn read_file(
        &self,
        path: &Path,
        maximum: u64,
    ) -> Result<Option<Vec<u8>>, LoadError> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        {
            let mut progress = self.progress();
            if progress.stamp == Some(stamp) && progress.failures == 0 {
                return Ok(None);
            }
            progress.stamp = Some(stamp);
        }
        if stamp.length > maximum {
            return Err(LoadError::TooLarge(maximum));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.length).unwrap_or(0));
        file.take(maximum.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if bytes.len() as u64 > maximum {
            return Err(LoadError::TooLarge(maximum));
        }
        Ok(Some(bytes))
    }
}

impl Progress {
    /// Whether nothing is lost when a discovered source is forgotten.
    pub(crate) fn is_idle(&self) -> bool {
        let in_force = |current: &Arc<Loaded>| self.was_fresh && current.signer().is_some();
        !self.loading && !self.current.as_ref().is_some_and(in_force)
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
