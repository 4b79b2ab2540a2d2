//! One record for each connection that was closed since its client, judged again, is not accepted any more.

use std::net::SocketAddr;
use std::time::Instant;

use portcullis_engine::{Decision, Rejection};
use serde::Serialize;

use super::{CertificateSummary, PolicyPart, micros, printable};
use crate::connection::Connection;
use crate::live::Cause;

/// Why a connection was closed. Texts that come from the client or a policy are escaped and cut.
#[derive(Clone, Debug, Serialize)]
pub struct ClosedRecord {
    /// The connection's number at this gate.
    pub connection: u64,
    /// Where the client connects from.
    pub peer_address: SocketAddr,
    /// The server name that the client asked for.
    pub server_name: Option<String>,
    /// The client's own certificate.
    pub certificate: Option<CertificateSummary>,
    /// The name that a policy gave the client when it was accepted.
    pub principal: Option<String>,
    /// Why it was judged again.
    pub cause: &'static str,
    /// Why it may not stay: a policy's code; `principal-changed`, if it would be somebody else from now on; or
    /// `not-judged-in-time`.
    pub code: String,
    /// The same, for people.
    pub detail: String,
    /// The policy that rejects.
    pub policy: Option<String>,
    /// Each policy's part in the decision; none if there is no decision.
    pub policies: Vec<PolicyPart>,
    /// From when the gate learned that it is to judge again to this record.
    pub waited_us: u64,
}

impl ClosedRecord {
    pub(crate) fn new(
        connection: &Connection,
        cause: Cause,
        since: Instant,
        rejection: &Rejection,
        decision: Option<&Decision>,
    ) -> Self {
        let policies = decision.into_iter().flat_map(|decision| &decision.policies);
        Self {
            connection: connection.id,
            peer_address: connection.peer_address,
            server_name: connection.server_name.as_deref().map(printable),
            certificate: connection.certificates.first().map(|leaf| CertificateSummary::of(leaf)),
            principal: connection.standing().identity.principal.as_deref().map(printable),
            cause: cause.as_str(),
            code: printable(&rejection.code),
            detail: printable(&rejection.detail),
            policy: rejection.policy.as_deref().map(printable),
            policies: policies.map(PolicyPart::of).collect(),
            waited_us: micros(since.elapsed()),
        }
    }

    /// As one `tracing` event at level info, target `portcullis::audit`.
    pub(super) fn trace(&self) {
        let certificate = self.certificate.as_ref();
        tracing::info!(
            target: "portcullis::audit",
            connection = self.connection,
            peer_address = %self.peer_address,
            server_name = self.server_name.as_deref(),
            subject = certificate.map(|known| known.subject.as_str()),
            issuer = certificate.map(|known| known.issuer.as_str()),
            serial_number = certificate.map(|known| known.serial_number.as_str()),
            sha256 = certificate.map(|known| known.sha256.as_str()),
            spki_sha256 = certificate.map(|known| known.spki_sha256.as_str()),
            claimed_spiffe_id = certificate.and_then(|known| known.claimed_spiffe_id.as_deref()),
            principal = self.principal.as_deref(),
            cause = self.cause,
            code = self.code,
            detail = self.detail,
            policy = self.policy.as_deref(),
            policies = serde_json::to_string(&self.policies).unwrap_or_default(),
            waited_us = self.waited_us,
            "client judged again and closed",
        );
    }
}
