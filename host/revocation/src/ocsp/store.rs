//! The answers at hand, and the asking: once for each certificate at a time, apart from the handshakes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::{Certificate, RevocationAnswer, RevocationStatus, Timestamp};

use super::entry::{Entry, Key};
use super::error::OcspError;
use super::request;
use super::responders::Responders;
use super::response::{OcspResponse, parse_ocsp_response};
use super::statement::{Statement, Terms};
use crate::certificate::{Pair, ocsp_uris};
use crate::change::What;
use crate::context::{Context, Due, Patience, pending};
use crate::crl::CrlStore;
use crate::fetch::FetchError;
use crate::options::{Nonce, OcspOptions};
use crate::status::OcspStatus;
use crate::url::{Url, UrlError};

/// How many of a certificate's URLs are looked at.
const MAXIMUM_URLS_OF_A_CERTIFICATE: usize = 4;

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    watched: HashMap<Key, usize>,
    responders: Responders,
    /// Whether somebody was not asked since others were being asked.
    crowded: bool,
}

/// Why nobody is asked about a certificate.
struct NotAsked {
    why: String,
    /// Only for as long as others are.
    crowded: bool,
}

impl From<String> for NotAsked {
    fn from(why: String) -> Self {
        Self { why, crowded: false }
    }
}

/// The answers of OCSP responders.
pub(crate) struct OcspStore {
    pub(crate) context: Arc<Context>,
    pub(crate) options: OcspOptions,
    responder: Option<Url>,
    crls: Arc<CrlStore>,
    inner: Mutex<Inner>,
}

impl OcspStore {
    pub(crate) fn new(
        context: Arc<Context>,
        options: OcspOptions,
        crls: Arc<CrlStore>,
    ) -> Result<Self, UrlError> {
        let responder = options.responder.as_deref().map(Url::parse).transpose()?;
        let store = Self { context, options, responder, crls, inner: Mutex::default() };
        store.restore();
        Ok(store)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What responders say of a certificate at `time`. Waits when nobody was asked before.
    pub(crate) fn check(
        self: &Arc<Self>,
        pair: &Pair<'_>,
        time: Timestamp,
        patience: Patience,
    ) -> RevocationAnswer {
        let key = Key::of(pair.subject, pair.issuer);
        let mut inner = self.inner();
        let at_hand =
            inner.entries.get(&key).and_then(|entry| entry.answer(time, self.context.skew));
        if let Some(answer) = at_hand {
            // Half-way to its end the next one is asked for, and nobody waits.
            let _ = self.ask(&mut inner, key, pair.subject, pair.issuer);
            return answer;
        }
        if let Err(not_asked) = self.ask(&mut inner, key, pair.subject, pair.issuer) {
            // Who asks again in a moment may find room.
            let pending = not_asked.crowded && patience == Patience::None;
            return RevocationAnswer { pending, ..RevocationAnswer::unknown(not_asked.why) };
        }
        if patience == Patience::None {
            return pending();
        }
        let Some(entry) = inner.entries.get_mut(&key) else { return RevocationAnswer::unknown("") };
        let news = entry.waiters.join();
        drop(inner);
        self.context.wait(&news, Duration::from_millis(self.options.wait_milliseconds.into()));
        let inner = self.inner();
        match inner.entries.get(&key) {
            Some(entry) => entry
                .answer(time, self.context.skew)
                .unwrap_or_else(|| RevocationAnswer::unknown(entry.why_not())),
            None => RevocationAnswer::unknown("the responder did not answer"),
        }
    }

    /// Has a responder asked, unless one is being asked or it is too early. An error says why nobody is.
    fn ask(
        self: &Arc<Self>,
        inner: &mut Inner,
        key: Key,
        subject: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), NotAsked> {
        let now = self.context.clock.now();
        if let Some(entry) = inner.entries.get(&key) {
            if entry.asking {
                return Ok(());
            }
            if !entry.due.reached(now) {
                return Err(entry.why_not().into());
            }
        }
        let url = self.responder(inner, subject, now)?;
        if let Err(why) = inner.responders.has_room(&url, self.options.maximum_in_flight) {
            inner.crowded = true;
            return Err(NotAsked { why, crowded: true });
        }
        if !inner.entries.contains_key(&key) {
            self.make_room(inner, now)?;
            let issuer = inner.intern(issuer);
            inner.entries.insert(key, Entry::new(Arc::new(subject.clone()), issuer, now));
        }
        let Some(entry) = inner.entries.get_mut(&key) else { return Ok(()) };
        entry.asking = true;
        let (subject, issuer) = (Arc::clone(&entry.subject), Arc::clone(&entry.issuer));
        inner.responders.begin(&url);
        let store = Arc::clone(self);
        self.context.runtime.spawn(async move {
            let asking = Arc::clone(&store);
            let to = url.clone();
            let asked =
                tokio::spawn(async move { asking.exchange(&subject, &issuer, &to).await }).await;
            // A decoder that panics is one more answer that cannot be used.
            let result = asked.unwrap_or_else(|error| Err(OcspError::Malformed(error.to_string())));
            tokio::task::spawn_blocking(move || store.finish(key, &url, result));
        });
        Ok(())
    }

    /// The configured responder; or the first that the certificate names, is allowed and has not just failed.
    fn responder(
        &self,
        inner: &Inner,
        subject: &Certificate,
        now: Timestamp,
    ) -> Result<Url, String> {
        let candidates = match &self.responder {
            Some(url) => vec![url.clone()],
            None if self.context.allowed.is_empty() => return Err("not configured".to_owned()),
            None => ocsp_uris(subject)
                .map_err(|error| error.to_string())?
                .into_iter()
                .take(MAXIMUM_URLS_OF_A_CERTIFICATE)
                .filter_map(|uri| Url::parse(uri).ok())
                .filter(|url| self.context.allowed.allow(url))
                .collect(),
        };
        let mut why = "the certificate names no responder that is allowed".to_owned();
        for url in candidates {
            match inner.responders.why_not(&url, now) {
                Some(error) => error.clone_into(&mut why),
                None => return Ok(url),
            }
        }
        Err(why)
    }

    /// Forgets what nobody needs when there are too many.
    fn make_room(&self, inner: &mut Inner, now: Timestamp) -> Result<(), String> {
        if inner.entries.len() < self.options.maximum_answers {
            return Ok(());
        }
        self.forget(inner, now);
        if inner.entries.len() >= self.options.maximum_answers {
            // The one that expires first: it is the next to be asked about again in any case.
            let first = inner
                .entries
                .iter()
                .filter(|(key, entry)| !entry.asking && !inner.watched.contains_key(key))
                .min_by_key(|(_, entry)| entry.statement.map_or(0, |statement| statement.expires))
                .map(|(key, _)| *key);
            let Some(first) = first else {
                return Err("too many certificates are asked about already".to_owned());
            };
            self.remove(inner, first);
        }
        Ok(())
    }

    /// Drops answers that have expired and failures that may be tried again.
    fn forget(&self, inner: &mut Inner, now: Timestamp) {
        let gone: Vec<Key> = inner
            .entries
            .iter()
            .filter(|(key, entry)| {
                !entry.asking
                    && !inner.watched.contains_key(key)
                    && entry.due.reached(now)
                    && entry.statement.is_none_or(|statement| statement.expires < now)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.remove(inner, key);
        }
        inner.responders.forget(now, &self.options);
    }

    fn remove(&self, inner: &mut Inner, key: Key) {
        inner.entries.remove(&key);
        if let Some(state) = &self.context.state {
            let _ = state.remove(&key.state_name());
        }
    }

    /// One request and its answer; a POST where a responder does not take the GET.
    async fn exchange(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        url: &Url,
    ) -> Result<(Statement, Vec<u8>), OcspError> {
        let malformed = |error: &dyn std::fmt::Display| OcspError::Malformed(error.to_string());
        let pair = Pair::new(subject, issuer).map_err(|error| malformed(&error))?;
        let mut nonce = [0; 32];
        let sent = match self.options.nonce {
            Nonce::Off => None,
            Nonce::Prefer | Nonce::Require => {
                aws_lc_rs::rand::fill(&mut nonce).map_err(|_| OcspError::Random)?;
                Some(&nonce[..])
            }
        };
        let encoded = request::cert_id(&pair).and_then(|id| request::encode(id, sent));
        let encoded = encoded.map_err(|error| malformed(&error))?;
        let query = request::query(url, &encoded, &self.options);
        let mut answer = self.context.fetcher.fetch(&query).await;
        if query.post.is_none()
            && matches!(answer, Err(FetchError::Status { status: 400..=499, .. }))
        {
            let query = request::post(url, &encoded, &self.options);
            answer = self.context.fetcher.fetch(&query).await;
        }
        let answer = answer?;
        let response = parse_ocsp_response(&answer)?;
        Ok((self.judge(&response, &pair, sent)?, answer))
    }

    pub(crate) fn judge(
        &self,
        response: &OcspResponse,
        pair: &Pair<'_>,
        sent: Option<&[u8]>,
    ) -> Result<Statement, OcspError> {
        let now = self.context.clock.now();
        let ask_crls = |responder: &Certificate, issuer: &Certificate| {
            Pair::new(responder, issuer)
                .map_or(RevocationStatus::Unknown, |pair| self.crls.look_up(&pair, now).status)
        };
        let terms = Terms {
            now,
            skew: self.context.skew,
            maximum_age: self.options.maximum_age_without_next_update_seconds,
            nonce: self.options.nonce,
            sent,
            ask_crls: &ask_crls,
            accept_unchecked: self.options.accept_unchecked_responders,
        };
        Statement::new(response, pair, &terms)
    }

    /// Takes what the asking has brought, and sends on those who wait for it.
    fn finish(&self, key: Key, url: &Url, result: Result<(Statement, Vec<u8>), OcspError>) {
        let now = self.context.clock.now();
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.responders.end(url, result.as_ref().err(), now, &self.options);
        if std::mem::take(&mut inner.crowded) {
            // There is room now for whoever has to be asked about.
            self.context.wake.notify_one();
        }
        let Some(entry) = inner.entries.get_mut(&key) else { return };
        let before = entry.statement.map(|statement| statement.revoked_at);
        let answer = entry.note(result, now, &self.options);
        let after = entry.statement.map(|statement| statement.revoked_at);
        entry.was_usable = after.is_some();
        let waiters = std::mem::take(&mut entry.waiters);
        let kept =
            answer.map(|answer| (Arc::clone(&entry.subject), Arc::clone(&entry.issuer), answer));
        drop(guard);
        if before != after {
            self.context.changed(What::Certificate(key.subject));
        }
        drop(waiters);
        match (kept, &self.context.state) {
            (Some((subject, issuer, answer)), _) => self.keep(key, &subject, &issuer, &answer),
            (None, Some(state)) if before.is_some() && after.is_none() => {
                let _ = state.remove(&key.state_name());
            }
            _ => {}
        }
    }

    /// Has the answers refreshed that are watched, forgets expired ones, and tells of those that have just expired.
    pub(crate) fn tick(self: &Arc<Self>) {
        let now = self.context.clock.now();
        let mut guard = self.inner();
        let inner = &mut *guard;
        for (key, entry) in &mut inner.entries {
            let usable = entry.statement.is_some_and(|it| it.is_usable(now, self.context.skew));
            if entry.was_usable && !usable {
                self.context.changed(What::Certificate(key.subject));
            }
            entry.was_usable = usable;
        }
        self.forget(inner, now);
        let due: Vec<(Key, Arc<Certificate>, Arc<Certificate>)> = inner
            .entries
            .iter()
            .filter(|(key, entry)| entry.due.reached(now) && inner.watched.contains_key(key))
            .map(|(key, entry)| (*key, Arc::clone(&entry.subject), Arc::clone(&entry.issuer)))
            .collect();
        for (key, subject, issuer) in due {
            // Those for whom there is no room are asked about when another answer has come.
            let _ = self.ask(inner, key, &subject, &issuer);
        }
    }

    /// Makes every answer due.
    pub(crate) fn refresh(&self) {
        let now = self.context.clock.now();
        let mut inner = self.inner();
        inner.responders.forgive();
        for entry in inner.entries.values_mut() {
            entry.due = Due::after(now, 0);
        }
    }

    /// Keeps the answer about a certificate fresh for as long as the guard lives, once somebody has asked.
    pub(crate) fn watch(self: &Arc<Self>, subject: &Certificate, issuer: &Certificate) -> Watch {
        let key = Key::of(subject, issuer);
        *self.inner().watched.entry(key).or_default() += 1;
        Watch { store: Arc::clone(self), key }
    }

    /// Takes an answer from before the restart that was checked again.
    pub(crate) fn adopt(&self, subject: Certificate, issuer: &Certificate, statement: Statement) {
        let now = self.context.clock.now();
        let mut inner = self.inner();
        if inner.entries.len() < self.options.maximum_answers {
            let key = Key::of(&subject, issuer);
            let issuer = inner.intern(issuer);
            let mut entry = Entry::new(Arc::new(subject), issuer, now);
            entry.statement = Some(statement);
            entry.was_usable = true;
            inner.entries.insert(key, entry);
        }
    }

    pub(crate) fn status(&self) -> OcspStatus {
        let inner = self.inner();
        OcspStatus {
            certificates: inner.entries.len(),
            watched: inner.watched.len(),
            in_flight: inner.responders.in_flight(),
            failing: inner.responders.failing(),
        }
    }
}

impl Inner {
    /// One copy of an issuer serves all that it has issued.
    fn intern(&self, issuer: &Certificate) -> Arc<Certificate> {
        self.entries
            .values()
            .map(|entry| &entry.issuer)
            .find(|known| known.sha256() == issuer.sha256())
            .map_or_else(|| Arc::new(issuer.clone()), Arc::clone)
    }
}

/// Keeps the OCSP answer about one certificate fresh while it lives.
#[must_use = "the answer is kept fresh only while this lives"]
pub struct Watch {
    store: Arc<OcspStore>,
    key: Key,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut inner = self.store.inner();
        if let Some(count) = inner.watched.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                inner.watched.remove(&self.key);
            }
        }
    }
}
