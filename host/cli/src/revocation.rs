//! The sources of revocation that the configuration names.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use portcullis_engine::{
    Certificate, Clock, Decision, NotConfigured, Revocation, RevocationAnswer, RevocationCheck,
    Timestamp,
};
use portcullis_gate::{Cause, Concern, Connection, LiveConnections};
use portcullis_revocation::{Change, RevocationChecker, RevocationOptions, Watch};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::config::ConfigFile;
use portcullis_config::Mistake;
use portcullis_engine::with_causes;

/// What a policy asked about revocation is written down up to so many answers ([`portcullis_engine::PolicyReport`]).
const MAXIMUM_CHECKS: usize = 64;

/// What answers policies about revocation.
#[derive(Clone)]
pub(crate) enum Sources {
    Checker(Arc<RevocationChecker>),
    None,
}

/// Sources that are fetched and kept fresh.
pub(crate) fn online(file: &ConfigFile) -> Result<Sources, Mistake> {
    start(file, |_| {})
}

/// Sources as far as they are on disk: nothing is fetched.
pub(crate) fn offline(file: &ConfigFile) -> Result<Sources, Mistake> {
    start(file, |options| {
        options.allowed_hosts.clear();
        options.crl.urls.clear();
        options.ocsp.responder = None;
    })
}

fn start(
    file: &ConfigFile,
    change: impl FnOnce(&mut RevocationOptions),
) -> Result<Sources, Mistake> {
    let Some(options) = &file.config.revocation else { return Ok(Sources::None) };
    let mut options = options.clone();
    options.resolve(&file.resolve("".as_ref()));
    change(&mut options);
    let checker = RevocationChecker::start(options, Clock::system())
        .map_err(|error| file.mistake_in("[revocation", "revocation", &with_causes(&error)))?;
    Ok(Sources::Checker(Arc::new(checker)))
}

impl Revocation for Sources {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        match self {
            Self::Checker(checker) => checker.check(subject, issuer, source, time),
            Self::None => NotConfigured.check(subject, issuer, source, time),
        }
    }

    fn wait(&self, check: &RevocationCheck, time: Timestamp) {
        if let Self::Checker(checker) = self {
            checker.wait(check, time);
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checker(_) => "Checker",
            Self::None => "None",
        })
    }
}

impl Sources {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Checker(one), Self::Checker(other)) => Arc::ptr_eq(one, other),
            (Self::None, Self::None) => true,
            _ => false,
        }
    }
}

/// The sources in force. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<RwLock<Sources>>);

impl Current {
    pub(crate) fn new(sources: Sources) -> Self {
        Self(Arc::new(RwLock::new(sources)))
    }

    pub(crate) fn get(&self) -> Sources {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether they are others than before.
    pub(crate) fn replace(&self, sources: Sources) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let others = !current.is_same(&sources);
        *current = sources;
        others
    }
}

/// Has the clients judged again whose verdicts rest on answers that are other ones now, for as long as the sources last.
pub(crate) fn follow(sources: &Sources, live: LiveConnections) {
    let Sources::Checker(checker) = sources else { return };
    let (mut changes, checker) = (checker.subscribe(), Arc::downgrade(checker));
    tokio::spawn(async move {
        loop {
            let mut news = News::default();
            news.add(changes.recv().await);
            // Those that are told already go along: one look at all connections serves for all of them.
            while !news.are_over {
                match changes.try_recv() {
                    Ok(change) => news.add(Ok(change)),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Lagged(missed)) => news.add(Err(RecvError::Lagged(missed))),
                    Err(TryRecvError::Closed) => news.add(Err(RecvError::Closed)),
                }
            }
            let Some(checker) = checker.upgrade() else { return };
            let time = Clock::system().now();
            live.judge_again(Cause::Revocation, |connection| {
                news.concern(connection, &checker, time)
            });
            if news.are_over {
                return;
            }
        }
    });
}

/// What is told of revocation at one time.
#[derive(Default)]
struct News {
    changes: Vec<Change>,
    /// Some were missed: it may be about anybody.
    are_incomplete: bool,
    /// There will be no more.
    are_over: bool,
}

impl News {
    fn add(&mut self, change: Result<Change, RecvError>) {
        match change {
            Ok(change) => self.changes.push(change),
            Err(RecvError::Lagged(_)) => self.are_incomplete = true,
            Err(RecvError::Closed) => self.are_over = true,
        }
    }

    /// Whether the answers are still the same on which a client's verdict rests. Where a source says no more of it than that
    /// it has looked again, the verdict is the same for all policies but those that are about just that.
    fn concern(
        &self,
        connection: &Connection,
        checker: &RevocationChecker,
        time: Timestamp,
    ) -> Concern {
        let standing = connection.standing();
        let mut concern = Concern::No;
        for report in &standing.decision.policies {
            if report.revocation.len() >= MAXIMUM_CHECKS {
                // There were more than are written down.
                concern = Concern::Possibly;
            }
            for check in report.revocation.iter().filter(|check| self.are_about(&check.subject)) {
                let now = checker.check(&check.subject, &check.issuer, &check.source, time);
                if now.status != check.answer.status && !now.pending {
                    return Concern::Certainly;
                }
                if now != check.answer {
                    concern = Concern::Possibly;
                }
            }
        }
        concern
    }

    fn are_about(&self, certificate: &Certificate) -> bool {
        self.are_incomplete || self.changes.iter().any(|change| change.concerns(certificate))
    }
}

/// Has the OCSP answers kept fresh on which a decision rests, for as long as the guards live.
pub(crate) fn watch(sources: &Sources, decision: &Decision) -> Vec<Watch> {
    let Sources::Checker(checker) = sources else { return Vec::new() };
    let checks = decision.policies.iter().flat_map(|report| &report.revocation);
    checks
        .filter(|check| check.source == "ocsp")
        .map(|check| checker.watch(&check.subject, &check.issuer))
        .collect()
}

/// Answers at hand only: whoever asks again a moment later may get another one.
pub(crate) struct Impatient(pub(crate) Arc<dyn Revocation>);

impl Revocation for Impatient {
    fn check(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        source: &str,
        time: Timestamp,
    ) -> RevocationAnswer {
        self.0.check(subject, issuer, source, time)
    }

    fn wait(&self, _: &RevocationCheck, _: Timestamp) {}
}
