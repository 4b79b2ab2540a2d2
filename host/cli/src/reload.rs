//! Loading everything again while clients are served: when something has changed, and on SIGHUP.

mod outcomes;
pub(crate) mod proof;
mod restart;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_alerts::Alerts;
use portcullis_config::{Document, Mistake};
use portcullis_engine::Chain;
use portcullis_gate::{IdentitySwap, JudgeSwap, LiveConnections};
use portcullis_mcp::McpService;
use portcullis_source::{Readings, Signal, Watch};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::outcomes::Outcomes;
use crate::config::{ConfigFile, ReloadSection};
use crate::load::{self, InForce, Loaded, Loader};
use crate::recording::{Keepers, KeptJudge};
use crate::revocation::{self, Current, Sources};
use crate::workload::{self, BackedJudge};
use crate::{expiry, systemd, wiring};

/// So long must nothing change before it is read.
const QUIET: Duration = Duration::from_millis(50);
/// The same before it is said that it cannot be loaded: a certificate and its key come one after the other.
const PATIENCE: Duration = Duration::from_millis(500);
/// Where something changes all the time, it is read after that.
const LONGEST_UNREST: Duration = Duration::from_secs(2);
/// When it is tried again, although no file has changed, after it has failed: there are other reasons.
const RETRY: Duration = Duration::from_secs(60);

/// Where what is loaded is put in force.
pub(crate) struct Swaps {
    pub(crate) judge: JudgeSwap,
    pub(crate) live: LiveConnections,
    pub(crate) identity: IdentitySwap,
    pub(crate) mcp: McpService,
    pub(crate) revocation: Current,
    pub(crate) alerts: Alerts,
    pub(crate) workload_api: workload::Current,
    pub(crate) keepers: Keepers,
}

/// Loads again, and puts in force what can be loaded as a whole.
pub(crate) struct Reloader {
    swaps: Swaps,
    loader: Arc<Mutex<Loader>>,
    outcomes: Outcomes,
    hangups: tokio::signal::unix::Signal,
    section: ReloadSection,
    /// The configuration that the run was started with.
    started: Document,
    file: Document,
    chain: Chain,
    /// What the last attempt has read.
    readings: Arc<Readings>,
    signal: Signal,
    watches: Vec<Watch>,
    /// When the last attempt was that failed; none if it did not.
    failed: Option<Instant>,
    is_watching: bool,
}

/// Why everything is loaded again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Asked,
    Changed,
}

impl Reloader {
    /// `loaded` is in force, `loader` has loaded it and read it by `readings`.
    pub(crate) fn new(
        swaps: Swaps,
        loader: Loader,
        loaded: InitiallyLoaded,
        outcomes: Outcomes,
        hangups: tokio::signal::unix::Signal,
    ) -> Self {
        let InitiallyLoaded { file, chain, readings } = loaded;
        Self {
            swaps,
            loader: Arc::new(Mutex::new(loader)),
            outcomes,
            hangups,
            section: file.config.reload.clone(),
            started: (*file).clone(),
            file: (*file).clone(),
            chain,
            readings,
            signal: Signal::default(),
            watches: Vec::new(),
            failed: None,
            is_watching: true,
        }
    }

    /// Loads again whenever there is a reason to, until `shutdown` is cancelled.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        self.watch().await;
        while let Some(reason) = self.reason(&shutdown).await {
            if reason == Reason::Asked {
                tracing::info!("asked to reload");
                systemd::reloading();
            }
            tokio::select! {
                () = self.reload(reason) => {}
                () = shutdown.cancelled() => return,
            }
            if reason == Reason::Asked {
                systemd::ready();
            }
            self.watch().await;
        }
    }

    /// Waits for the next reason; none once it is over.
    async fn reason(&mut self, shutdown: &CancellationToken) -> Option<Reason> {
        let automatic = self.section.automatic;
        loop {
            let poll = Duration::from_millis(self.section.poll_ms.get());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                Some(()) = self.hangups.recv() => return Some(Reason::Asked),
                () = self.signal.raised(), if automatic => {
                    settle(&self.signal, QUIET).await;
                    return Some(Reason::Changed);
                }
                () = tokio::time::sleep(poll), if automatic => {
                    let is_due = self.failed.is_some_and(|failed| failed.elapsed() >= RETRY);
                    if is_due || is_outdated(&self.readings).await {
                        settle(&self.signal, QUIET).await;
                        return Some(Reason::Changed);
                    }
                }
            }
        }
    }

    /// Watches what the last attempt has read. What has changed while it was read is signalled.
    async fn watch(&mut self) {
        if !self.section.automatic {
            self.watches.clear();
            return;
        }
        match self.readings.watch(&self.signal) {
            Ok(watches) => {
                self.watches = watches;
                self.is_watching = true;
            }
            Err(error) if self.is_watching => {
                self.is_watching = false;
                let poll_ms = self.section.poll_ms;
                tracing::warn!(%error, poll_ms, "changes are not signalled, and noticed later");
            }
            Err(_) => {}
        }
        if is_outdated(&self.readings).await {
            self.signal.raise();
        }
    }

    async fn reload(&mut self, reason: Reason) {
        let mut result = self.attempt(reason).await;
        if result.is_err() && reason == Reason::Changed {
            self.watch().await;
            settle(&self.signal, PATIENCE).await;
            result = self.attempt(reason).await;
        }
        self.failed = None;
        if let Err(mistake) = result {
            self.outcomes.failed(&mistake);
            self.failed = Some(Instant::now());
        }
    }

    async fn attempt(&mut self, reason: Reason) -> Result<(), Mistake> {
        self.readings = Arc::default();
        let (loader, readings) = (Arc::clone(&self.loader), Arc::clone(&self.readings));
        let in_force = InForce {
            chain: self.chain.clone(),
            certificate: *self.swaps.identity.current().certificate().sha256(),
        };
        let load = move || {
            let mut loader = loader.lock().unwrap_or_else(PoisonError::into_inner);
            loader.load(&readings, Some(&in_force))
        };
        match apart(load).await {
            Some(loaded) => self.put_in_force(loaded?, reason),
            // The panic hook has shown it.
            None => Err(Mistake::file(self.file.path(), "loading broke off")),
        }
    }

    /// Puts all of it in force, or nothing.
    fn put_in_force(&mut self, loaded: Loaded, reason: Reason) -> Result<(), Mistake> {
        let Loaded {
            file,
            workload_api,
            sources,
            chain,
            identity,
            options,
            servers,
            expiring,
            warnings,
        } = loaded;
        let replacement = self
            .swaps
            .mcp
            .prepare(options, servers)
            .map_err(|error| wiring::server_mistake(&file, &error))?;
        let mut changed = Vec::new();
        if let (Reason::Asked, Sources::Checker(checker)) = (reason, &sources) {
            checker.refresh();
        }
        let other_sources = self.swaps.revocation.replace(sources.clone());
        if other_sources {
            revocation::follow(&sources, self.swaps.live.clone());
            changed.push("revocation".to_owned());
        }
        let other_agent = self.swaps.workload_api.replace(workload_api.clone());
        if other_agent {
            workload::follow(workload_api.as_ref(), self.swaps.live.clone());
        }
        if other_sources || other_agent || !load::is_same(&self.chain, &chain) {
            changed.extend(changes(&self.chain, &chain));
            let keepers = self.swaps.keepers.clone();
            let judge = KeptJudge::new(chain.clone(), sources, keepers);
            self.swaps.judge.replace(Arc::new(BackedJudge::new(judge, workload_api)));
            self.chain = chain;
            self.loader().keep_those_of(&self.chain);
        }
        self.swaps.mcp.replace(replacement);
        self.swaps.alerts.replace(expiry::FILES, expiring);
        let old = self.swaps.identity.current();
        if old.certificate().sha256() != identity.certificate().sha256() {
            changed.push("the server's certificate".to_owned());
        }
        self.swaps.identity.replace(identity);
        self.swaps.alerts.check_soon();
        if self.file.text() != file.text() {
            changed.push("the configuration".to_owned());
        }
        let waiting = restart::keys(&self.started, &file);
        self.section = file.config.reload.clone();
        self.file = (*file).clone();
        self.outcomes.succeeded(&changed, waiting, warnings, reason == Reason::Asked);
        Ok(())
    }

    fn loader(&self) -> std::sync::MutexGuard<'_, Loader> {
        self.loader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What work gives that may take long, on a thread of its own, which nobody waits for when the run ends. None if it panics.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, result) = oneshot::channel();
    let work = move || {
        // Whoever asked may be gone.
        let _ = sender.send(work());
    };
    std::thread::Builder::new().name("reload".to_owned()).spawn(work).ok()?;
    result.await.ok()
}

/// Waits until nothing has changed for so long.
async fn settle(signal: &Signal, quiet: Duration) {
    let end = Instant::now() + LONGEST_UNREST;
    while Instant::now() < end && timeout(quiet, signal.raised()).await.is_ok() {}
}

async fn is_outdated(readings: &Arc<Readings>) -> bool {
    let readings = Arc::clone(readings);
    tokio::task::spawn_blocking(move || readings.is_outdated()).await.unwrap_or(true)
}

/// What the run was started with.
pub(crate) struct InitiallyLoaded {
    pub(crate) file: ConfigFile,
    pub(crate) chain: Chain,
    pub(crate) readings: Arc<Readings>,
}

/// The policies that come, go or are others now; "the chain" if only their places are.
fn changes(old: &Chain, new: &Chain) -> Vec<String> {
    let holds =
        |chain: &Chain, policy| chain.members().any(|member| Arc::ptr_eq(&member.policy, policy));
    let mut names: Vec<String> = Vec::new();
    for (chain, other) in [(new, old), (old, new)] {
        for member in chain.members().filter(|member| !holds(other, &member.policy)) {
            let name = format!("policy {}", member.policy.name());
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() && !load::is_same(old, new) {
        names.push("the chain".to_owned());
    }
    names
}
