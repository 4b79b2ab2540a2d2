//! The recordings: which files, what their heads say, and what of them cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use portcullis_recording::{EXTENSION, FileHeader, PolicyIdentity, RawRecord, ReadError, Reader};

use portcullis_config::Mistake;

/// What one worker is handed at a time: so many records, or so many bytes.
const MAXIMUM_BATCH_RECORDS: usize = 64;
const MAXIMUM_BATCH_BYTES: u64 = 1024 * 1024;
/// Damaged records that are named; the others are counted.
const MAXIMUM_NAMED: usize = 1000;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// The files, in the order of their names, which is that of time.
pub(super) struct Recordings {
    files: Vec<PathBuf>,
    bytes: u64,
}

/// Some records of one file.
pub(super) struct Batch {
    pub(super) file: usize,
    pub(super) records: Vec<RawRecord>,
}

/// What cannot be read.
#[derive(Default)]
pub(super) struct Damaged {
    pub(super) named: Vec<Damage>,
    pub(super) count: u64,
}

/// A place that cannot be read.
pub(super) struct Damage {
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) problem: String,
}

/// What the reading thread has learned.
pub(super) struct Input {
    now: Arc<[PolicyIdentity]>,
    pub(super) damaged: Damaged,
    /// How each policy of today, or of then, compares.
    pub(super) policies: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Recordings {
    /// The files, and those in the folders.
    pub(super) fn find(paths: &[PathBuf]) -> Result<Self, Mistake> {
        let mut files = Vec::new();
        for path in paths {
            let failed = |error: std::io::Error| Mistake::file(path, &error.to_string());
            if !fs::metadata(path).map_err(failed)?.is_dir() {
                files.push(path.clone());
                continue;
            }
            let entries = fs::read_dir(path).map_err(failed)?;
            let found: Result<Vec<_>, _> =
                entries.map(|entry| entry.map(|entry| entry.path())).collect();
            let mut found = found.map_err(failed)?;
            found.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
            if found.is_empty() {
                return Err(Mistake::file(path, "there is no recording in this folder")
                    .hint(&format!("recordings are files that end with `.{EXTENSION}`")));
            }
            found.sort();
            files.append(&mut found);
        }
        let bytes = files.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
        Ok(Self { files, bytes })
    }

    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    pub(super) fn name(&self, file: usize) -> String {
        self.files.get(file).map_or_else(String::new, |path| path.display().to_string())
    }
}

impl Damaged {
    pub(super) fn add(&mut self, file: usize, offset: u64, problem: String) {
        self.count += 1;
        if self.named.len() < MAXIMUM_NAMED {
            self.named.push(Damage { file, offset, problem });
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = MAXIMUM_NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(room));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Input {
    /// `now` is the chain that judges.
    pub(super) fn new(now: Arc<[PolicyIdentity]>) -> Self {
        Self { now, damaged: Damaged::default(), policies: BTreeMap::new() }
    }

    /// Hands all that can be read to whoever judges.
    pub(super) fn read(
        &mut self,
        recordings: &Recordings,
        queue: &SyncSender<Batch>,
        progress: &mut Progress,
    ) {
        for (file, path) in recordings.files.iter().enumerate() {
            if let Err(error) = self.read_file(file, path, queue, progress) {
                self.damaged.add(file, 0, error.to_string());
            }
        }
    }

    fn read_file(
        &mut self,
        file: usize,
        path: &Path,
        queue: &SyncSender<Batch>,
        progress: &mut Progress,
    ) -> Result<(), ReadError> {
        let mut reader = Reader::new(BufReader::new(File::open(path)?))?;
        if let Some(header) = reader.header() {
            self.compare(header);
        }
        let (mut records, mut start) = (Vec::new(), reader.bytes_read());
        while let Some(item) = reader.next() {
            match item {
                Ok(record) => records.push(record),
                Err(ReadError::Damaged { offset, damage }) => {
                    self.damaged.add(file, offset, format!("the record {damage}"));
                }
                Err(error) => self.damaged.add(file, 0, error.to_string()),
            }
            let bytes = reader.bytes_read() - start;
            if records.len() >= MAXIMUM_BATCH_RECORDS || bytes >= MAXIMUM_BATCH_BYTES {
                progress.advance(bytes, records.len());
                start = reader.bytes_read();
                // Nobody receives any more only if every worker has panicked, which ends the command.
                let _ = queue.send(Batch { file, records: std::mem::take(&mut records) });
            }
        }
        progress.advance(reader.bytes_read() - start, records.len());
        let _ = queue.send(Batch { file, records });
        Ok(())
    }

    /// How the policies of a file are related to those that judge now.
    fn compare(&mut self, header: &FileHeader) {
        for now in self.now.iter() {
            let then = header.policies.iter().find(|then| then.name == now.name);
            let differences = then.map_or_else(|| vec!["new"], |then| differences(then, now));
            self.policies.entry(now.name.clone()).or_default().extend(differences);
        }
        for then in &header.policies {
            if !self.now.iter().any(|now| now.name == then.name) {
                self.policies.entry(then.name.clone()).or_default().insert("no longer asked");
            }
        }
    }
}

fn differences(then: &PolicyIdentity, now: &PolicyIdentity) -> Vec<&'static str> {
    let found = [
        (then.component_sha256 != now.component_sha256, "other component"),
        (then.settings_sha256 != now.settings_sha256, "other settings"),
        (then.assets != now.assets, "other assets"),
        (then.shadow != now.shadow, "other mode"),
    ];
    let mut found: Vec<_> = found.iter().filter_map(|(is, what)| is.then_some(*what)).collect();
    if found.is_empty() {
        found.push("same");
    }
    found
}

/// How far it is, on a terminal.
pub(super) struct Progress {
    shown: bool,
    total_bytes: u64,
    bytes: u64,
    records: usize,
    last: Instant,
}

impl Progress {
    pub(super) fn new(recordings: &Recordings) -> Self {
        let shown = stderr().is_terminal();
        let last = Instant::now();
        Self { shown, total_bytes: recordings.bytes.max(1), bytes: 0, records: 0, last }
    }

    fn advance(&mut self, bytes: u64, records: usize) {
        self.bytes += bytes;
        self.records += records;
        if self.shown && self.last.elapsed() >= PROGRESS_INTERVAL {
            self.last = Instant::now();
            let percent = (self.bytes.saturating_mul(100) / self.total_bytes).min(100);
            eprint!("\r{} handshakes, {percent} %", self.records);
        }
    }

    /// Takes the line away again.
    pub(super) fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
