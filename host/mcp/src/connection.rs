//! What the gate hands over: the one file that knows the gate and the engine.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_engine::{Certificate, Outcome, PolicyReport};
use portcullis_gate::{ClientStream, Connection, Service, Standing};
use tokio_util::sync::CancellationToken;

use crate::caller::{Caller, CertificateFacts, PolicyFacts};
use crate::service::McpService;

impl Service for McpService {
    async fn serve(
        &self,
        stream: ClientStream,
        connection: Arc<Connection>,
        shutdown: CancellationToken,
    ) {
        let Some(callers) = Callers::of(&connection) else {
            return tracing::error!(conn.id = connection.id, "a connection without a certificate");
        };
        let alpn = connection.alpn.as_deref();
        self.serve_callers(stream, alpn, || callers.current(), shutdown).await;
    }

    fn expelled(&self, connection: &Connection) {
        if let Some(leaf) = connection.certificates.first() {
            self.end_sessions_of(leaf.sha256());
        }
    }
}

/// The caller of each request on a connection: a client that is judged again may have other attributes from then on.
struct Callers {
    connection: Arc<Connection>,
    /// As of the last request.
    last: Mutex<(Arc<Standing>, Arc<Caller>)>,
}

impl Callers {
    fn of(connection: &Arc<Connection>) -> Option<Self> {
        let standing = connection.standing();
        let caller = Caller::with(connection, &standing)?;
        let last = Mutex::new((standing, Arc::new(caller)));
        Some(Self { connection: Arc::clone(connection), last })
    }

    fn current(&self) -> Arc<Caller> {
        let standing = self.connection.standing();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&last.0, &standing)
            && let Some(caller) = Caller::with(&self.connection, &standing)
        {
            *last = (standing, Arc::new(caller));
        }
        Arc::clone(&last.1)
    }
}

impl Caller {
    /// The client at the other end. None without a certificate, which a gate never hands over.
    #[must_use]
    pub fn of(connection: &Connection) -> Option<Self> {
        Self::with(connection, &connection.standing())
    }

    fn with(connection: &Connection, standing: &Standing) -> Option<Self> {
        let leaf = connection.certificates.first()?;
        let identity = &standing.identity;
        let attributes = identity.attributes.iter();
        Some(Self {
            connection: connection.id,
            principal: identity.principal.clone(),
            attributes: attributes.map(|known| (known.name.clone(), known.value.clone())).collect(),
            certificate: CertificateFacts::from(&**leaf),
            certificates: connection
                .certificates
                .iter()
                .map(|known| known.der().to_vec())
                .collect(),
            policies: standing.decision.policies.iter().map(PolicyFacts::from).collect(),
        })
    }
}

impl From<&Certificate> for CertificateFacts {
    fn from(certificate: &Certificate) -> Self {
        let names = certificate.subject_alt_names().iter();
        Self {
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            serial_number: certificate.serial_number().to_owned(),
            sha256: *certificate.sha256(),
            subject_alt_names: names
                .map(|name| (name.kind.to_owned(), name.text.clone()))
                .collect(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        }
    }
}

impl From<&PolicyReport> for PolicyFacts {
    fn from(report: &PolicyReport) -> Self {
        let (outcome, code) = match &report.outcome {
            Outcome::Accepted { .. } => ("accepted", None),
            Outcome::Failed { code, .. } => ("failed", Some((*code).to_owned())),
            Outcome::Rejected { code, .. } => ("rejected", Some(code.clone())),
        };
        Self {
            policy: report.policy.clone(),
            shadow: report.shadow,
            outcome,
            code,
            elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            memory_bytes: report.memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_learns_codes_and_no_details() {
        let detail = "for the operator".to_owned();
        let facts = |outcome| {
            let report = PolicyReport {
                policy: "pin-list".to_owned(),
                digest: String::new(),
                shadow: true,
                outcome,
                revocation: Vec::new(),
                log: Vec::new(),
                elapsed: Duration::from_micros(7),
                memory_bytes: 9,
            };
            let facts = PolicyFacts::from(&report);
            assert!(!format!("{facts:?}").contains("operator"));
            (facts.outcome, facts.code)
        };
        let code = "not-pinned".to_owned();
        assert_eq!(
            facts(Outcome::Rejected { code: code.clone(), detail: detail.clone() }),
            ("rejected", Some(code))
        );
        assert_eq!(
            facts(Outcome::Failed { code: "policy-timeout", detail }),
            ("failed", Some("policy-timeout".to_owned()))
        );
    }
}
