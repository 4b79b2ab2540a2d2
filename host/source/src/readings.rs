//! What one load has read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{FileSystem, ReadError, Signal, Source, Version, Watch, WatchError};

/// Reads, and remembers what and which version of it.
#[derive(Debug)]
pub struct Readings {
    files: Arc<dyn Source>,
    all: Mutex<Vec<Reading>>,
}

#[derive(Debug)]
struct Reading {
    source: Arc<dyn Source>,
    name: PathBuf,
    version: Version,
}

impl Default for Readings {
    fn default() -> Self {
        Self { files: Arc::new(FileSystem), all: Mutex::default() }
    }
}

impl Readings {
    /// Reads from a source. That something could not be read is remembered as well.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read(
        &self,
        source: &Arc<dyn Source>,
        name: &Path,
        maximum: u64,
    ) -> Result<Vec<u8>, ReadError> {
        // If reading fails, what comes between the two counts as a change.
        let before = source.version(name);
        let result = source.read(name, maximum);
        let version = result.as_ref().map_or(before, |content| content.version.clone());
        self.remember(source, name, version);
        result.map(|content| content.bytes)
    }

    /// As [`Readings::read`], of a file.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_file(&self, path: &Path, maximum: u64) -> Result<Vec<u8>, ReadError> {
        self.read(&self.files, path, maximum)
    }

    /// Remembers a file that somebody else is about to read.
    pub fn note_file(&self, path: &Path) {
        let version = self.files.version(path);
        self.remember(&self.files, path, version);
    }

    /// Whether something that was read has another version now.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.all().iter().any(|reading| reading.source.version(&reading.name) != reading.version)
    }

    /// Raises `signal` whenever something that was read may have another version, until the watches are dropped.
    ///
    /// # Errors
    /// When one of the sources will signal nothing; the others are not watched either.
    pub fn watch(&self, signal: &Signal) -> Result<Vec<Watch>, WatchError> {
        let mut by_source: HashMap<*const (), (Arc<dyn Source>, Vec<PathBuf>)> = HashMap::new();
        for reading in self.all().iter() {
            let key = Arc::as_ptr(&reading.source).cast();
            let (_, names) =
                by_source.entry(key).or_insert_with(|| (Arc::clone(&reading.source), Vec::new()));
            names.push(reading.name.clone());
        }
        by_source.into_values().map(|(source, names)| source.watch(&names, signal)).collect()
    }

    fn remember(&self, source: &Arc<dyn Source>, name: &Path, version: Version) {
        let (source, name) = (Arc::clone(source), name.to_owned());
        self.all().push(Reading { source, name, version });
    }

    fn all(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_or_could_not_be_is_outdated_once_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let [there, missing, noted] =
            ["there", "missing", "noted"].map(|name| folder.path().join(name));
        std::fs::write(&there, "one").unwrap();
        let read = || {
            let readings = Readings::default();
            let _ = readings.read_file(&there, 9);
            let _ = readings.read_file(&missing, 9);
            readings.note_file(&noted);
            assert!(!readings.is_outdated());
            readings
        };
        let mut readings = read();
        for (path, text) in [(&there, "other"), (&missing, "there now"), (&noted, "as well")] {
            std::fs::write(path, text).unwrap();
            assert!(readings.is_outdated(), "{path:?}");
            readings = read();
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "secret").unwrap();
        let content = FileSystem.read(&path, 9).unwrap();
        assert!(!format!("{content:?}").contains("secret"));
    }
}
