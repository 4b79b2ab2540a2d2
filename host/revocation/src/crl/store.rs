//! All CRLs: which answer for a certificate, when they are loaded again, and which are kept over a restart.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_core::{RevocationAnswer, RevocationStatus, Timestamp};

use super::error::UseError;
use super::index::Serial;
use super::loaded::{Loaded, Terms};
use super::read::{self, Circumstances, LoadError};
use super::scope::distribution_uris;
use super::source::{Origin, Source};
use crate::certificate::Pair;
use crate::change::What;
use crate::context::{Context, Due, Patience, Waiters, back_off, pending};
use crate::fetch::Query;
use crate::name::NameKey;
use crate::options::CrlOptions;
use crate::status::CrlStatus;
use crate::url::{Url, UrlError};

/// How many of a certificate's URLs are looked at.
const MAXIMUM_URLS_OF_A_CERTIFICATE: usize = 4;
/// How long, in seconds, a file that could not be used is left alone at most.
const MAXIMUM_FILE_RETRY: u32 = 60;

/// All CRLs.
pub(crate) struct CrlStore {
    pub(super) context: Arc<Context>,
    pub(super) options: CrlOptions,
    sources: Mutex<Vec<Arc<Source>>>,
    /// What handshakes read.
    by_issuer: ArcSwap<HashMap<NameKey, Vec<Arc<Loaded>>>>,
}

impl CrlStore {
    /// Takes what is on disk: files, and the last good ones from before. URLs are fetched later.
    pub(crate) fn new(context: Arc<Context>, options: CrlOptions) -> Result<Self, UrlError> {
        let now = context.clock.now();
        let files = options.files.iter().cloned().map(|path| Ok(Origin::File(path)));
        let urls = options.urls.iter().map(|url| Url::parse(url).map(Origin::Url));
        let sources = files
            .chain(urls)
            .map(|origin| Ok(Arc::new(Source::new(origin?, now))))
            .collect::<Result<Vec<_>, _>>()?;
        let store =
            Self { context, options, sources: Mutex::new(sources), by_issuer: ArcSwap::default() };
        store.restore(now);
        let sources = store.sources().clone();
        for source in sources {
            if matches!(source.origin, Origin::File(_)) {
                let result = store.read(&source, Ok(None));
                store.finish(&source, result);
            }
        }
        Ok(store)
    }

    pub(super) fn sources(&self) -> MutexGuard<'_, Vec<Arc<Source>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn terms(&self) -> Terms {
        let maximum_age = self.options.maximum_age_without_next_update_seconds;
        Terms { skew: self.context.skew, maximum_age }
    }

    /// What the CRLs say of a certificate at `time`; pending where it is worth waiting and `patience` has none.
    pub(crate) fn check(
        &self,
        pair: &Pair<'_>,
        time: Timestamp,
        patience: Patience,
    ) -> RevocationAnswer {
        let mut answer = self.look_up(pair, time);
        if answer.status != RevocationStatus::Unknown || self.context.allowed.is_empty() {
            return answer;
        }
        let mut found = self.discover(pair);
        let limit = Duration::from_millis(self.options.wait_milliseconds.into());
        let waits = found.news.is_some() && !limit.is_zero();
        if waits && patience == Patience::None {
            return pending();
        }
        if let Some(news) = found.news.take().filter(|_| waits) {
            self.context.wait(&news, limit);
        }
        // Even who has not waited looks again: a load may have ended since.
        answer = self.look_up(pair, time);
        if answer.status != RevocationStatus::Unknown {
            return answer;
        }
        if waits {
            found = self.discover(pair);
        }
        let detail = std::iter::once(answer.detail.clone()).chain(found.details);
        RevocationAnswer { detail: detail.collect::<Vec<_>>().join("; "), ..answer }
    }

    /// One that lists the certificate decides, whatever others say; so two of one issuer never make a revoked
    /// certificate good, whichever of the two is behind.
    pub(crate) fn look_up(&self, pair: &Pair<'_>, time: Timestamp) -> RevocationAnswer {
        if Serial::new(pair.subject_parts.serial).is_none() {
            return RevocationAnswer::unknown(UseError::Serial.to_string());
        }
        let snapshot = self.by_issuer.load();
        let Some(crls) = snapshot.get(&pair.issuer_name) else {
            return RevocationAnswer::unknown(UseError::None.to_string());
        };
        let mut good: Option<&Loaded> = None;
        let mut listed_by_expired = false;
        let mut details = RevocationAnswer::unknown("");
        for loaded in crls {
            match loaded.ask(pair, time, self.terms()) {
                Ok(Some(revoked)) => {
                    return answer(RevocationStatus::Revoked, loaded, Some(revoked.at));
                }
                Ok(None) => {
                    if good.is_none_or(|good| good.crl.this_update < loaded.crl.this_update) {
                        good = Some(loaded);
                    }
                }
                Err(undecided) => {
                    listed_by_expired |= undecided.listed;
                    let separator = if details.detail.is_empty() { "" } else { "; " };
                    details.detail += &format!("{separator}`{}`: {}", loaded.source, undecided.why);
                    details.this_update = details.this_update.max(Some(loaded.crl.this_update));
                    details.next_update = details.next_update.max(loaded.crl.next_update);
                }
            }
        }
        match good {
            Some(good) if !listed_by_expired => answer(RevocationStatus::Good, good, None),
            _ => details,
        }
    }

    /// Has the CRLs fetched that the certificate names, where that is allowed.
    fn discover(&self, pair: &Pair<'_>) -> Discovery {
        let mut found = Discovery::default();
        let Ok(uris) = distribution_uris(pair.subject, pair.issuer_parts.subject) else {
            return found;
        };
        let allowed = uris
            .into_iter()
            .take(MAXIMUM_URLS_OF_A_CERTIFICATE)
            .filter_map(|uri| Url::parse(uri).ok())
            .filter(|url| self.context.allowed.allow(url));
        for url in allowed {
            let Some(source) = self.source_of(&url) else {
                found.details.push(format!("`{url}`: too many CRLs are fetched already"));
                continue;
            };
            let mut progress = source.progress();
            if let Some(error) = &progress.last_error {
                found.details.push(format!("`{}`: {error}", source.name));
            } else if progress.current.is_none() {
                found.details.push(format!("`{}`: it is being fetched", source.name));
                // Joined now, so that a load which ends before the wait begins is not missed.
                found.news = Some(progress.waiters.join());
                self.context.wake.notify_one();
            }
        }
        found
    }

    /// The source of this URL, added if there is none and there is room.
    pub(super) fn source_of(&self, url: &Url) -> Option<Arc<Source>> {
        let name = url.to_string();
        let mut sources = self.sources();
        if let Some(source) = sources.iter().find(|source| *source.name == *name) {
            return Some(Arc::clone(source));
        }
        let is_discovered = |source: &Source| matches!(source.origin, Origin::Discovered(_));
        let discovered = sources.iter().filter(|source| is_discovered(source)).count();
        if discovered >= self.options.maximum_discovered {
            let idle = sources
                .iter()
                .position(|source| is_discovered(source) && source.progress().is_idle())?;
            sources.swap_remove(idle);
        }
        let now = self.context.clock.now();
        let source = Arc::new(Source::new(Origin::Discovered(url.clone()), now));
        sources.push(Arc::clone(&source));
        Some(source)
    }

    /// Starts the loads that are due, saves what was checked since, and tells of CRLs that have expired.
    pub(crate) fn tick(self: &Arc<Self>) {
        let now = self.context.clock.now();
        let sources = self.sources().clone();
        for source in sources {
            self.settle(&source);
            let mut progress = source.progress();
            let fresh = progress
                .current
                .as_ref()
                .map(|current| (current.crl.issuer_name, current.fresh(now, self.terms()).is_ok()));
            if let Some((issuer, fresh)) = fresh
                && fresh != progress.was_fresh
            {
                progress.was_fresh = fresh;
                self.context.changed(What::Issuer(issuer));
            }
            if progress.due.reached(now) && !progress.loading {
                progress.loading = true;
                drop(progress);
                self.context.runtime.spawn(Arc::clone(self).load(source));
            }
        }
    }

    /// Makes every source due.
    pub(crate) fn refresh(&self) {
        self.refresh_where(|_| true);
    }

    /// Makes every file due. Those that have not changed are not read.
    pub(crate) fn refresh_files(&self) {
        self.refresh_where(|origin| matches!(origin, Origin::File(_)));
    }

    fn refresh_where(&self, is_due: impl Fn(&Origin) -> bool) {
        let now = self.context.clock.now();
        for source in self.sources().iter().filter(|source| is_due(&source.origin)) {
            let mut progress = source.progress();
            progress.due = Due::after(now, 0);
            progress.again = progress.loading;
        }
    }

    async fn load(self: Arc<Self>, source: Arc<Source>) {
        let fetched = match &source.origin {
            Origin::File(_) => None,
            Origin::Discovered(url) | Origin::Url(url) => {
                let query = Query {
                    url: url.clone(),
                    post: None,
                    maximum_bytes: self.options.maximum_bytes,
                    timeout: Duration::from_secs(self.options.timeout_seconds.into()),
                };
                Some(self.context.fetcher.fetch(&query).await)
            }
        };
        // Reading a million entries is no work for a thread that others' sockets wait for; and a decoder that panics
        // there is one more CRL that cannot be used.
        let (store, of) = (Arc::clone(&self), Arc::clone(&source));
        let result = tokio::task::spawn_blocking(move || {
            store.read(&of, fetched.transpose().map_err(LoadError::from))
        });
        let result = result.await.unwrap_or_else(|e| Err(LoadError::Panic(e.to_string())));
        // A runtime that shuts down drops the work, and nobody is left to miss it.
        let _ = tokio::task::spawn_blocking(move || self.finish(&source, result)).await;
    }

    /// The CRL in what was fetched, or in the source's file; none when it is the one in force.
    fn read(
        &self,
        source: &Source,
        fetched: Result<Option<Vec<u8>>, LoadError>,
    ) -> Result<Option<Loaded>, LoadError> {
        let bytes = match &source.origin {
            Origin::File(path) => source.read_file(path, self.options.maximum_bytes)?,
            Origin::Discovered(_) | Origin::Url(_) => fetched?,
        };
        let current = source.progress().current.clone();
        let circumstances = Circumstances {
            source: &source.name,
            current: current.as_ref(),
            issuers: &self.context.issuers,
            now: self.context.clock.now(),
            terms: self.terms(),
        };
        bytes.map_or(Ok(None), |bytes| read::read(bytes, &circumstances))
    }

    /// Takes what a load has brought: a CRL, nothing new, or an error that leaves everything as it is.
    fn finish(&self, source: &Source, result: Result<Option<Loaded>, LoadError>) {
        let before = source.progress().current.clone();
        let new = result.as_ref().is_ok_and(Option::is_some);
        // Locked over both, so that whoever sees how the load went gets its CRL, too.
        let sources = self.sources();
        let waiters = self.note(source, result.map(|loaded| loaded.map(Arc::new)));
        if new {
            self.publish(&sources);
        }
        drop(sources);
        if new {
            let both = before.into_iter().chain(source.progress().current.clone());
            let mut names: Vec<NameKey> = both.map(|loaded| loaded.crl.issuer_name).collect();
            names.dedup();
            for name in names {
                self.context.changed(What::Issuer(name));
            }
        }
        self.settle(source);
        drop(waiters);
    }

    /// Writes down how a load went, and returns those who waited for it.
    fn note(&self, source: &Source, result: Result<Option<Arc<Loaded>>, LoadError>) -> Waiters {
        let now = self.context.clock.now();
        let mut progress = source.progress();
        match result {
            Ok(loaded) => {
                if let Some(loaded) = loaded {
                    tracing::info!(
                        source = %source.name,
                        entries = loaded.crl.entries(),
                        next_update = loaded.crl.next_update,
                        checked = loaded.signer().is_some(),
                        "CRL loaded"
                    );
                    progress.was_fresh = loaded.fresh(now, self.terms()).is_ok();
                    progress.current = Some(loaded);
                }
                progress.failures = 0;
                progress.last_error = None;
                progress.last_success = Some(now);
            }
            Err(error) => {
                let error = error.to_string();
                // Once for each error in a row, not for each attempt.
                if progress.last_error.as_ref() != Some(&error) {
                    tracing::warn!(source = %source.name, error, "CRL not loaded");
                }
                progress.failures = progress.failures.saturating_add(1);
                progress.last_error = Some(error);
            }
        }
        let next = progress.current.as_ref().and_then(|current| current.crl.next_update);
        let seconds = self.seconds_to_next_load(&source.origin, progress.failures, next, now);
        let again = std::mem::take(&mut progress.again);
        progress.due = Due::after(now, if again { 0 } else { seconds });
        progress.loading = false;
        std::mem::take(&mut progress.waiters)
    }

    fn seconds_to_next_load(
        &self,
        origin: &Origin,
        failures: u32,
        next_update: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let options = &self.options;
        match origin {
            Origin::File(_) => {
                back_off(failures.max(1), options.file_poll_seconds, MAXIMUM_FILE_RETRY)
            }
            _ if failures > 0 => back_off(failures, options.retry_seconds, options.refresh_seconds),
            _ => {
                let half_way = next_update.map_or(Timestamp::MAX, |next| (next - now) / 2);
                half_way.clamp(
                    options.retry_seconds.into(),
                    options.refresh_seconds.max(options.retry_seconds).into(),
                )
            }
        }
    }

    /// Gives handshakes the CRLs of all sources as they are now. With `sources` locked, of two at once the later one
    /// sees what the earlier one saw.
    pub(super) fn publish(&self, sources: &[Arc<Source>]) {
        let mut by_issuer: HashMap<NameKey, Vec<Arc<Loaded>>> = HashMap::new();
        for loaded in sources.iter().filter_map(|source| source.progress().current.clone()) {
            by_issuer.entry(loaded.crl.issuer_name).or_default().push(loaded);
        }
        self.by_issuer.store(Arc::new(by_issuer));
    }

    pub(crate) fn status(&self) -> Vec<CrlStatus> {
        self.sources().iter().map(|source| CrlStatus::of(source)).collect()
    }
}

/// What was found of the CRLs that a certificate names.
#[derive(Default)]
struct Discovery {
    details: Vec<String>,
    /// Tells when one that was never fetched has been.
    news: Option<Receiver<()>>,
}

fn answer(
    status: RevocationStatus,
    loaded: &Loaded,
    revoked_at: Option<Timestamp>,
) -> RevocationAnswer {
    RevocationAnswer {
        status,
        source: "crl".to_owned(),
        detail: String::new(),
        revoked_at,
        this_update: Some(loaded.crl.this_update),
        next_update: loaded.crl.next_update,
        pending: false,
    }
}
