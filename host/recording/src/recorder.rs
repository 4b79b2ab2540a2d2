//! Recording beside the handshakes: they hand their records over, and a thread writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_core::Clock;

use crate::error::RecordingError;
use crate::store::{Job, Store, check_private};
use crate::wire::{self, MAXIMUM_RECORD_BYTES, PolicyIdentity, Record};

/// What may wait to be written: records, and bytes of them.
const MAXIMUM_QUEUED_RECORDS: usize = 8192;
const MAXIMUM_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// What is handed to the system in one write.
const MAXIMUM_BATCH_BYTES: usize = 1024 * 1024;
/// How often the age of files is looked at when nothing is recorded.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);
/// How long nothing is written after a write has failed, and how often the log says that something does.
const RETRY: Duration = Duration::from_secs(10);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(600);

/// Where and how much is recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// A directory of mode 0700 for these recordings alone. One for each gate.
    pub directory: PathBuf,
    /// Of one file: the next record begins another. Default: 64 MiB.
    pub maximum_file_bytes: u64,
    /// From a file's beginning to its end. Default: a day.
    pub maximum_file_age_seconds: i64,
    /// Of all files together: the oldest go. Default: 1 GiB.
    pub maximum_total_bytes: u64,
    /// From a file's beginning to its removal. Default: 30 days.
    pub maximum_age_seconds: i64,
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written.
    pub records: u64,
    /// Not written, since too many were waiting.
    pub dropped: u64,
    /// Not written, since writing failed.
    pub failures: u64,
}

/// Writes records to files. Dropping it writes what is waiting.
#[derive(Debug)]
pub struct Recorder {
    /// None once it is being dropped.
    queue: Option<SyncSender<Job>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    records: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl Options {
    /// The defaults for this directory.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        Self {
            directory,
            maximum_file_bytes: 64 * 1024 * 1024,
            maximum_file_age_seconds: DAY,
            maximum_total_bytes: 1024 * 1024 * 1024,
            maximum_age_seconds: 30 * DAY,
        }
    }

    /// Whether the limits can be kept together, and the directory, if it is there, is private. Makes nothing.
    ///
    /// # Errors
    ///
    /// When that is not so.
    pub fn check(&self) -> Result<(), RecordingError> {
        let wrong = |problem: String| Err(RecordingError::Options(problem));
        let smallest = 2 * MAXIMUM_RECORD_BYTES as u64;
        if self.maximum_file_bytes < smallest {
            return wrong(format!(
                "`maximum-file-bytes` is {}, and at least {smallest} are needed for the head and the largest record",
                self.maximum_file_bytes
            ));
        }
        if self.maximum_total_bytes < self.maximum_file_bytes {
            return wrong(format!(
                "`maximum-total-bytes` is {}, less than one file of {} bytes",
                self.maximum_total_bytes, self.maximum_file_bytes
            ));
        }
        if self.maximum_file_age_seconds < 1 || self.maximum_age_seconds < 1 {
            return wrong("an age is less than a second".to_owned());
        }
        if self.directory.exists() { check_private(&self.directory) } else { Ok(()) }
    }
}

impl Recorder {
    /// Makes the directory and starts the thread that writes. A file is begun with the first record.
    ///
    /// # Errors
    ///
    /// When the options contradict each other, or the directory cannot be used or is not private.
    pub fn start(options: Options, clock: Clock) -> Result<Self, RecordingError> {
        options.check()?;
        let store = Store::open(options, clock)?;
        let (queue, jobs) = sync_channel(MAXIMUM_QUEUED_RECORDS);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            store,
            shared: Arc::clone(&shared),
            resume: None,
            reported_dropped: 0,
            last_complaint: None,
        };
        let thread = std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(RecordingError::Thread)?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    /// Hands a record over, judged by these policies. Never waits: where too much is waiting already, the record is
    /// dropped and counted.
    pub fn record(&self, policies: &Arc<[PolicyIdentity]>, record: &Record) {
        let Ok(content) = wire::encode(record) else {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let bytes = content.len();
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let job = Job { policies: Arc::clone(policies), content };
        let room = queued.saturating_add(bytes) <= MAXIMUM_QUEUED_BYTES;
        let taken = |queue: &SyncSender<Job>| queue.try_send(job).is_ok();
        if !(room && self.queue.as_ref().is_some_and(taken)) {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of the records so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            records: self.shared.records.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Writer {
    store: Store,
    shared: Arc<Shared>,
    /// After a failure: when to try again.
    resume: Option<Instant>,
    reported_dropped: u64,
    last_complaint: Option<Instant>,
}

impl Writer {
    /// Until the recorder is dropped and its queue empty.
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(TIDY_INTERVAL) {
                Ok(first) => self.write(&batch(first, jobs)),
                Err(RecvTimeoutError::Timeout) => {
                    let result = self.store.tidy();
                    self.report(result.err());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let result = self.store.close();
                    self.report(result.err());
                    return;
                }
            }
        }
    }

    fn write(&mut self, batch: &[Job]) {
        let bytes = batch.iter().map(|job| job.content.len()).sum();
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if self.resume.is_some_and(|resume| Instant::now() < resume) {
            self.shared.failures.fetch_add(batch.len() as u64, Ordering::Relaxed);
            return;
        }
        let written = self.store.append(batch);
        let failed = batch.len() - written.records;
        self.shared.records.fetch_add(written.records as u64, Ordering::Relaxed);
        self.shared.failures.fetch_add(failed as u64, Ordering::Relaxed);
        if written.error.is_none() && self.resume.take().is_some() {
            tracing::info!("handshakes are recorded again");
        }
        self.report(written.error);
    }

    /// Says what is wrong, seldom: handshakes go on, and the counts tell the rest.
    fn report(&mut self, error: Option<std::io::Error>) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let more_dropped = dropped > self.reported_dropped;
        if error.is_some() {
            self.resume = Some(Instant::now() + RETRY);
        }
        let again = self.last_complaint.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL);
        if !again || (error.is_none() && !more_dropped) {
            return;
        }
        self.last_complaint = Some(Instant::now());
        match error {
            Some(error) => tracing::warn!(%error, "handshakes are judged and not recorded"),
            None => {
                self.reported_dropped = dropped;
                tracing::warn!(dropped, "handshakes come faster than they can be recorded");
            }
        }
    }
}

/// What is waiting, up to what one write should take.
fn batch(first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.content.len();
    let mut batch = vec![first];
    while bytes < MAXIMUM_BATCH_BYTES {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.content.len();
        batch.push(job);
    }
    batch
}
