//! The directory of recordings: which file is written, when the next one begins, and which old ones go.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::{Clock, Timestamp};
use time::OffsetDateTime;

use crate::error::RecordingError;
use crate::frame;
use crate::recorder::Options;
use crate::wire::{self, FileHeader, PolicyIdentity};

/// How the names of recordings end, without the dot.
pub const EXTENSION: &str = "recording";

/// What they begin with, before the time in UTC: their order is that of time.
const PREFIX: &str = "handshakes-";
/// Files that one second may begin.
const MAXIMUM_SEQUENCE: u32 = 9999;

/// A record that waits to be written, encoded.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) policies: Arc<[PolicyIdentity]>,
    pub(crate) content: Vec<u8>,
}

/// The directory, and the file that is written now.
#[derive(Debug)]
pub(crate) struct Store {
    options: Options,
    clock: Clock,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// All of it whole frames.
    bytes: u64,
    maximum_bytes: u64,
    /// When it is old enough for the next one.
    ends: Timestamp,
    policies: Arc<[PolicyIdentity]>,
}

impl Current {
    /// Whether a record belongs in this file, behind `pending` bytes more.
    fn takes(&self, job: &Job, pending: usize, now: Timestamp) -> bool {
        let bytes = (pending + frame::PREFIX_BYTES + job.content.len()) as u64;
        self.policies == job.policies
            && self.bytes.saturating_add(bytes) <= self.maximum_bytes
            && now < self.ends
    }
}

/// How many records of a batch were written, and why not the others.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) records: usize,
    pub(crate) error: Option<io::Error>,
}

impl Store {
    /// Makes the directory if there is none.
    pub(crate) fn open(options: Options, clock: Clock) -> Result<Self, RecordingError> {
        let path = options.directory.clone();
        let io = |source| RecordingError::Directory { path: path.clone(), source };
        make_private(&path).map_err(io)?;
        check_private(&path)?;
        let store = Self { options, clock, current: None };
        store.remove_old().map_err(io)?;
        Ok(store)
    }

    /// Writes records, each whole or not at all as far as the system allows.
    pub(crate) fn append(&mut self, jobs: &[Job]) -> Written {
        let mut written = 0;
        let mut left = jobs;
        while !left.is_empty() {
            match self.append_to_one_file(left) {
                Ok(count) => {
                    written += count;
                    left = &left[count..];
                }
                Err(error) => {
                    self.abandon();
                    return Written { records: written, error: Some(error) };
                }
            }
        }
        Written { records: written, error: None }
    }

    /// As many of the records as belong in one file, at least one, in one write.
    fn append_to_one_file(&mut self, jobs: &[Job]) -> io::Result<usize> {
        let now = self.clock.now();
        let Some(first) = jobs.first() else { return Ok(0) };
        let current = match self.current.take_if(|current| current.takes(first, 0, now)) {
            Some(current) => self.current.insert(current),
            None => {
                self.close()?;
                let begun = self.begin(&first.policies, now)?;
                self.current.insert(begun)
            }
        };
        let mut bytes = Vec::new();
        let mut count = 0;
        for job in jobs {
            if count > 0 && !current.takes(job, bytes.len(), now) {
                break;
            }
            frame::append(&mut bytes, &job.content);
            count += 1;
        }
        current.file.write_all(&bytes)?;
        current.bytes += bytes.len() as u64;
        Ok(count)
    }

    /// Closes a file that has been written to for long enough, and removes those that are too old.
    pub(crate) fn tidy(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        if self.current.as_ref().is_some_and(|current| now >= current.ends) {
            self.close()?;
        }
        if self.current.is_none() { self.remove_old() } else { Ok(()) }
    }

    /// Ends the current file: from here on it survives the machine's crash too.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.current.take().map_or(Ok(()), |current| current.file.sync_data())
    }

    /// Gives up a file in which a write failed. What is half-written is cut off, or else found by whoever reads.
    fn abandon(&mut self) {
        if let Some(current) = self.current.take() {
            // The write has failed already: that is the error to report.
            let _ = current.file.set_len(current.bytes);
        }
    }

    fn begin(&self, policies: &Arc<[PolicyIdentity]>, now: Timestamp) -> io::Result<Current> {
        make_private(&self.options.directory)?;
        self.remove_old()?;
        let header = FileHeader {
            created: now,
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            policies: policies.to_vec(),
        };
        let head = frame::head(&wire::encode(&header).map_err(io::Error::other)?);
        let (mut file, path) = self.create(now)?;
        if let Err(error) = file.write_all(&head) {
            // Nothing is in it.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Current {
            file,
            bytes: head.len() as u64,
            maximum_bytes: self.options.maximum_file_bytes,
            ends: now.saturating_add(self.options.maximum_file_age_seconds),
            policies: Arc::clone(policies),
        })
    }

    /// A new file: what an earlier run has left, whole or torn, is never written to again.
    fn create(&self, now: Timestamp) -> io::Result<(File, PathBuf)> {
        for sequence in 0..=MAXIMUM_SEQUENCE {
            let name = format!("{PREFIX}{}-{sequence:04}.{EXTENSION}", stamp(now));
            let path = self.options.directory.join(name);
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|file| (file, path)),
            }
        }
        Err(io::Error::other("too many files were begun in this second"))
    }

    /// Removes the files that are too old, and the oldest until one more of the largest size would fit.
    fn remove_old(&self) -> io::Result<()> {
        let oldest_kept = self.clock.now().saturating_sub(self.options.maximum_age_seconds);
        let oldest_kept = format!("{PREFIX}{}", stamp(oldest_kept));
        let mut files = self.files()?;
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let room = self.options.maximum_total_bytes.saturating_sub(self.options.maximum_file_bytes);
        for (name, bytes) in files {
            if name < oldest_kept || total > room {
                match fs::remove_file(self.options.directory.join(name)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
                total -= bytes;
            }
        }
        Ok(())
    }

    /// The recordings by name, with their sizes. Nothing else in the directory is ours.
    fn files(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.options.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(PREFIX) && name.ends_with(&format!(".{EXTENSION}")) {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }
}

/// Whether nobody else may enter the directory.
pub(crate) fn check_private(directory: &Path) -> Result<(), RecordingError> {
    let path = directory.to_owned();
    match fs::metadata(directory) {
        Err(source) => Err(RecordingError::Directory { path, source }),
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            Err(RecordingError::Mode { path, mode: metadata.mode() & 0o7777 })
        }
        Ok(_) => Ok(()),
    }
}

fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// A time as names have it, "20261124T120000Z"; a time that has no such text is that of a broken clock.
fn stamp(time: Timestamp) -> String {
    let time =
        OffsetDateTime::from_unix_timestamp(time.max(0)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    let (year, month, day) = date.to_calendar_date();
    let month = u8::from(month);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    const NOW: Timestamp = 1_795_521_600;

    /// A store with limits that a test can reach, and its clock.
    fn store(directory: &Path) -> (Store, Arc<AtomicI64>) {
        let time = Arc::new(AtomicI64::new(NOW));
        let clock = Arc::clone(&time);
        let options = Options {
            maximum_file_bytes: 1000,
            maximum_file_age_seconds: 60,
            maximum_total_bytes: 3000,
            maximum_age_seconds: 3600,
            ..Options::new(directory.to_owned())
        };
        let clock = Clock::from_fn(move || clock.load(Ordering::Relaxed));
        (Store::open(options, clock).expect("it opens"), time)
    }

    fn jobs(policies: &Arc<[PolicyIdentity]>, number: usize) -> Vec<Job> {
        (0..number)
            .map(|_| Job { policies: Arc::clone(policies), content: vec![0x55; 200] })
            .collect()
    }

    fn write(store: &mut Store, policies: &Arc<[PolicyIdentity]>, number: usize) {
        let written = store.append(&jobs(policies, number));
        assert!(written.error.is_none() && written.records == number, "{written:?}");
    }

    #[test]
    fn a_file_that_is_full_is_followed_by_another_and_the_oldest_go() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("recordings");
        let (mut store, time) = store(&directory);
        let policies: Arc<[PolicyIdentity]> = Arc::new([]);
        write(&mut store, &policies, 4);
        assert_eq!(store.files().expect("listed").len(), 1);
        let first = store.files().expect("listed")[0].0.clone();
        for _ in 0..20 {
            time.fetch_add(1, Ordering::Relaxed);
            write(&mut store, &policies, 5);
            let files = store.files().expect("listed");
            assert!(files.iter().all(|(_, bytes)| *bytes <= 1000), "{files:?}");
            assert!(files.iter().map(|(_, bytes)| bytes).sum::<u64>() <= 3000, "{files:?}");
        }
        assert!(store.files().expect("listed").iter().all(|(name, _)| *name != first));
    }

    #[test]
    fn a_file_ends_with_its_age_and_goes_with_the_greatest_age() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("recordings");
        let (mut store, time) = store(&directory);
        fs::write(directory.join("notes.txt"), "not a recording").expect("written");
        let policies: Arc<[PolicyIdentity]> = Arc::new([]);
        write(&mut store, &policies, 1);
        time.fetch_add(59, Ordering::Relaxed);
        write(&mut store, &policies, 1);
        assert_eq!(store.files().expect("listed").len(), 1);
        time.fetch_add(1, Ordering::Relaxed);
        write(&mut store, &policies, 1);
        assert_eq!(store.files().expect("listed").len(), 2);
        time.fetch_add(3600, Ordering::Relaxed);
        store.tidy().expect("tidied");
        assert_eq!(store.files().expect("listed").len(), 1);
        time.fetch_add(1, Ordering::Relaxed);
        store.tidy().expect("tidied");
        assert_eq!(store.files().expect("listed").len(), 0);
        assert!(directory.join("notes.txt").exists());
    }
}
