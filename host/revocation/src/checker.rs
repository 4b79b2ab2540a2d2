//! The whole: what the engine asks, and what keeps it up to date.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{
    Certificate, CertificateError, Clock, Revocation, RevocationAnswer, RevocationCheck, Timestamp,
};
use portcullis_source::{FileSystem, Signal, Source as _, Watch, WatchError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::certificate::Pair;
use crate::change::Change;
use crate::context::{Context, Patience};
use crate::crl::CrlStore;
use crate::fetch::Fetcher;
use crate::ocsp::{self, OcspStore};
use crate::options::RevocationOptions;
use crate::state::{StateDirectory, StateError};
use crate::status::Status;
use crate::url::{AllowedHosts, UrlError};

/// How many changes a subscriber may be behind before it is told that it has missed some.
const CHANGES: usize = 1024;

/// How long to wait after a file of a directory has changed before it is read: whoever writes it has mostly finished then.
const SETTLING: Duration = Duration::from_millis(50);

/// How often it is looked for what is due.
const TICK: Duration = Duration::from_secs(1);

/// Answers from CRLs and OCSP responders, and keeps the answers fresh in the background.
///
/// Has threads of its own for everything that is fetched; they end when it is dropped.
pub struct RevocationChecker {
    context: Arc<Context>,
    crls: Arc<CrlStore>,
    ocsp: Arc<OcspStore>,
    places: usize,
    runtime: Option<Runtime>,
}

/// Why revocation cannot be started: something in the options is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file that holds something other than certificates.
    #[error("`{}` holds a certificate that cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CertificateError,
    },
    /// A file without certificates, or one that cannot be read.
    #[error("`{}` is no PEM file with certificates", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// The threads cannot be started.
    #[error("the threads that fetch cannot be started")]
    Runtime(#[from] std::io::Error),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The roots for https.
    #[error("`tls-roots` cannot be used")]
    TlsRoots(#[from] rustls::Error),
    /// A URL, or a host of `allowed-hosts`.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl RevocationChecker {
    /// Reads what is on disk, checks it, and starts to fetch the rest.
    ///
    /// A CRL file that cannot be used is no error: [`Self::status`] tells of it, and its certificates are unknown. Blocks
    /// for as long as reading takes.
    ///
    /// # Errors
    ///
    /// When the options cannot be followed.
    pub fn start(options: RevocationOptions, clock: Clock) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("revocation")
            .enable_all()
            .build()?;
        let fetcher = Fetcher::new(tls_roots(&options)?, clock.clone())?;
        let context = Arc::new(Context {
            clock,
            skew: options.clock_skew_seconds.into(),
            allowed: AllowedHosts::new(&options.allowed_hosts)?,
            fetcher,
            state: options.state_directory.as_deref().map(StateDirectory::open).transpose()?,
            issuers: issuers(&options)?,
            runtime: runtime.handle().clone(),
            wake: Notify::new(),
            changes: broadcast::Sender::new(CHANGES),
            waiting: Semaphore::new(options.maximum_waiting.min(Semaphore::MAX_PERMITS)),
        });
        // Before they are read, so that no change is missed.
        let files = WatchedFiles::new(options.crl.files.clone());
        let crls = Arc::new(CrlStore::new(Arc::clone(&context), options.crl)?);
        let ocsp = Arc::new(OcspStore::new(Arc::clone(&context), options.ocsp, Arc::clone(&crls))?);
        runtime.spawn(keep_fresh(Arc::clone(&context), Arc::clone(&crls), Arc::clone(&ocsp)));
        runtime.spawn(files.follow(Arc::clone(&context), Arc::clone(&crls)));
        Ok(Self { context, crls, ocsp, places: options.maximum_waiting, runtime: Some(runtime) })
    }

    /// Tells of everything after which an answer may be another one. Who receives `Lagged` has missed some and asks
    /// again about everything.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.context.changes.subscribe()
    }

    /// Keeps the OCSP answer about `subject` fresh while the guard lives, once a policy has asked for it: for the
    /// certificates of live connections.
    pub fn watch(&self, subject: &Certificate, issuer: &Certificate) -> ocsp::Watch {
        self.ocsp.watch(subject, issuer)
    }

    /// Loads and asks everything again, without waiting for it.
    pub fn refresh(&self) {
        self.crls.refresh();
        self.ocsp.refresh();
        self.context.wake.notify_one();
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            crls: self.crls.status(),
            ocsp: self.ocsp.status(),
            waiting: self.context.waiting(self.places),
        }
    }
}

impl RevocationChecker {
    /// Answers from memory; where nothing was ever asked, it may wait for a first answer, within `wait-milliseconds` and
    /// for as many at a time as `maximum-waiting`.
    pub fn check_waiting(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        self.ask(subject, issuer, source, time, Patience::Bounded)
    }

    fn ask(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
        patience: Patience,
    ) -> RevocationAnswer {
        let pair = match Pair::new(subject, issuer) {
            Ok(pair) => pair,
            Err(error) => return RevocationAnswer::unknown(error.to_string()),
        };
        match source {
            "crl" => self.crls.check(&pair, time, patience),
            "ocsp" => self.ocsp.check(&pair, time, patience),
            _ => RevocationAnswer::unknown(format!(
                "source `{}` is not known: there are `crl` and `ocsp`",
                portcullis_core::printable(source, 64)
            )),
        }
    }
}

impl Revocation for RevocationChecker {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        self.ask(subject, issuer, source, time, Patience::None)
    }

    fn wait(&self, check: &RevocationCheck, time: Timestamp) {
        // What it has waited for is in memory then.
        let _ = self.check_waiting(&check.subject, &check.issuer, &check.source, time);
    }
}

impl Drop for RevocationChecker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where the gate may drop it: on a thread of its own runtime.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for RevocationChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationChecker").finish_non_exhaustive()
    }
}

/// Does what is due, every second and whenever it is woken.
async fn keep_fresh(context: Arc<Context>, crls: Arc<CrlStore>, ocsp: Arc<OcspStore>) {
    loop {
        let (crls, ocsp) = (Arc::clone(&crls), Arc::clone(&ocsp));
        let tick = move || {
            crls.tick();
            ocsp.tick();
        };
        if let Err(error) = tokio::task::spawn_blocking(tick).await {
            tracing::error!(%error, "revocation: a round failed");
        }
        // Woken or not, the next round looks at everything.
        let _ = tokio::time::timeout(TICK, context.wake.notified()).await;
    }
}

/// CRL files, of which it is told that they may have changed.
struct WatchedFiles {
    files: Vec<PathBuf>,
    signal: Signal,
    watch: Result<Watch, WatchError>,
}

impl WatchedFiles {
    fn new(files: Vec<PathBuf>) -> Self {
        let signal = Signal::default();
        let watch = FileSystem.watch(&files, &signal);
        Self { files, signal, watch }
    }

    /// Has them read as soon as they change. Where they cannot be watched, the time of the next look at them stays.
    async fn follow(mut self, context: Arc<Context>, crls: Arc<CrlStore>) {
        while self.watch.is_ok() {
            self.signal.raised().await;
            tokio::time::sleep(SETTLING).await;
            // Anew, since a directory may have been replaced; and before the files are read.
            self.watch = FileSystem.watch(&self.files, &self.signal);
            crls.refresh_files();
            context.wake.notify_one();
        }
        if let Err(error) = self.watch {
            tracing::warn!(%error, "CRL files are not watched, and looked at now and then only");
        }
    }
}

fn issuers(options: &RevocationOptions) -> Result<Vec<Arc<Certificate>>, StartError> {
    let mut issuers = Vec::new();
    for path in &options.issuers {
        for der in certificates(path)? {
            let certificate = Certificate::from_der(der.to_vec())
                .map_err(|source| StartError::Certificate { path: path.clone(), source })?;
            issuers.push(Arc::new(certificate));
        }
    }
    Ok(issuers)
}

fn tls_roots(options: &RevocationOptions) -> Result<Vec<CertificateDer<'static>>, StartError> {
    options.tls_roots.as_ref().map_or_else(|| Ok(Vec::new()), certificates)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, StartError> {
    use rustls_pki_types::pem::Error;
    let refuse = |source| StartError::Pem { path: path.clone(), source };
    let pem = fs::read(path).map_err(|error| refuse(Error::Io(error)))?;
    let found: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(refuse)?;
    if found.is_empty() { Err(refuse(Error::NoItemsFound)) } else { Ok(found) }
}
