//! The sources of revocation that the configuration names.

use std::fmt;
use std::sync::Arc;

use portcullis_engine::{
    Certificate, Clock, NotConfigured, Revocation, RevocationAnswer, RevocationCheck, Timestamp,
};
use portcullis_gate::{ClientStream, Connection, Service};
use portcullis_revocation::{RevocationChecker, RevocationOptions, Watch};
use tokio_util::sync::CancellationToken;

use crate::config::ConfigFile;
use portcullis_config::Mistake;
use portcullis_engine::with_causes;

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

/// A service during whose connections the answers that they rest on are kept fresh.
pub(crate) struct Watching<S> {
    service: S,
    sources: Sources,
}

impl<S> Watching<S> {
    pub(crate) fn new(service: S, sources: Sources) -> Self {
        Self { service, sources }
    }

    fn watch(&self, connection: &Connection) -> Vec<Watch> {
        let Sources::Checker(checker) = &self.sources else { return Vec::new() };
        let checks = connection.decision.policies.iter().flat_map(|report| &report.revocation);
        checks
            .filter(|check| check.source == "ocsp")
            .map(|check| checker.watch(&check.subject, &check.issuer))
            .collect()
    }
}

impl<S: Service> Service for Watching<S> {
    async fn serve(
        &self,
        stream: ClientStream,
        connection: Arc<Connection>,
        shutdown: CancellationToken,
    ) {
        let _watches = self.watch(&connection);
        self.service.serve(stream, connection, shutdown).await;
    }
}
