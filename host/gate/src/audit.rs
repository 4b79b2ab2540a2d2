//! One record for each client that arrives: who it was, and how that ended.

mod closed;

use std::net::SocketAddr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use portcullis_engine::{Certificate, Outcome, PolicyReport, Timestamp};
use serde::Serialize;

pub use self::closed::ClosedRecord;
use crate::attempt::{Arrival, Ending};
use crate::judge::Judgement;
use crate::tls::{Negotiated, Progress, TlsVersion};

/// The longest text taken from a client or a policy, in characters.
const MAXIMUM_TEXT: usize = 512;

/// Receives the record of each attempt, once its outcome is certain and before a byte is served; and of each connection that
/// is closed later, since its client, judged again, is not accepted any more.
///
/// Called on the connection's own task, or on the one thread that judges again: hand the record on rather than wait for a
/// disk.
pub trait Auditor: Send + Sync + 'static {
    /// Takes the record of an attempt.
    fn record(&self, record: &AuditRecord);

    /// Takes the record of a connection that is closed next. Default: it is left out.
    fn closed(&self, record: &ClosedRecord) {
        let _ = record;
    }
}

impl<F: Fn(&AuditRecord) + Send + Sync + 'static> Auditor for F {
    fn record(&self, record: &AuditRecord) {
        self(record);
    }
}

/// How one attempt ended. Texts that come from the client or a policy are escaped and cut.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRecord {
    /// The connection's number at this gate.
    pub connection: u64,
    /// Where the client connects from.
    pub peer_address: SocketAddr,
    /// The server name that the client asked for.
    pub server_name: Option<String>,
    /// The version of TLS; when the handshake did not complete, the highest that the client offered.
    pub tls_version: Option<TlsVersion>,
    /// The application protocol agreed on.
    pub alpn: Option<String>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// The client's own certificate, if it presented one that parses.
    pub certificate: Option<CertificateSummary>,
    /// How the attempt ended.
    pub verdict: AuditVerdict,
    /// The name that a policy gave the client that was accepted.
    pub principal: Option<String>,
    /// Why the client was rejected or the attempt failed.
    pub code: Option<String>,
    /// The same, for people.
    pub detail: Option<String>,
    /// The policy that rejected.
    pub policy: Option<String>,
    /// The TLS alert that the client got, as far as that is known.
    pub alert: Option<&'static str>,
    /// Each policy's part in the decision. A policy may have accepted, and the attempt still have
    /// failed: the client could not prove that it has the key, or went away.
    pub policies: Vec<PolicyPart>,
    /// From the client's arrival to this record.
    pub elapsed_us: u64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditVerdict {
    /// The judge accepts, and the handshake is complete.
    Accepted,
    /// There was no handshake to decide on, or it broke off: no certificate, no proof that the
    /// client has the key, a timeout, no TLS at all, ...
    Failed,
    /// The judge rejects.
    Rejected,
}

/// What the audit keeps of a certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateSummary {
    /// As RFC 4514 text.
    pub subject: String,
    /// As RFC 4514 text.
    pub issuer: String,
    /// Lower-case hexadecimal.
    pub serial_number: String,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the public key's DER, in lower-case hexadecimal.
    pub spki_sha256: String,
    /// The SPIFFE ID that it claims, whether or not a policy has checked it.
    pub claimed_spiffe_id: Option<String>,
}

/// One policy's part in a decision.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyPart {
    /// The policy's name in the configuration.
    pub policy: String,
    /// SHA-256 of the component, in lower-case hexadecimal.
    pub digest: String,
    /// Whether it ran in shadow mode, without a say.
    pub shadow: bool,
    /// "accepted", "rejected" or "failed".
    pub outcome: &'static str,
    /// Why it rejects or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took.
    pub elapsed_us: u64,
}

/// Writes each record as one `tracing` event at level info, target `portcullis::audit`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingAuditor;

impl Auditor for TracingAuditor {
    fn record(&self, record: &AuditRecord) {
        let certificate = record.certificate.as_ref();
        tracing::info!(
            target: "portcullis::audit",
            connection = record.connection,
            peer_address = %record.peer_address,
            server_name = record.server_name.as_deref(),
            tls_version = record.tls_version.map(TlsVersion::as_str),
            alpn = record.alpn.as_deref(),
            resumed = record.resumed,
            subject = certificate.map(|known| known.subject.as_str()),
            issuer = certificate.map(|known| known.issuer.as_str()),
            serial_number = certificate.map(|known| known.serial_number.as_str()),
            sha256 = certificate.map(|known| known.sha256.as_str()),
            spki_sha256 = certificate.map(|known| known.spki_sha256.as_str()),
            claimed_spiffe_id = certificate.and_then(|known| known.claimed_spiffe_id.as_deref()),
            verdict = record.verdict.as_str(),
            principal = record.principal.as_deref(),
            code = record.code.as_deref(),
            detail = record.detail.as_deref(),
            policy = record.policy.as_deref(),
            alert = record.alert,
            policies = serde_json::to_string(&record.policies).unwrap_or_default(),
            elapsed_us = record.elapsed_us,
            "client {}", record.verdict.as_str(),
        );
    }

    fn closed(&self, record: &ClosedRecord) {
        record.trace();
    }
}

impl AuditVerdict {
    /// "accepted", "failed" or "rejected".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

impl AuditRecord {
    pub(crate) fn new(
        arrival: &Arrival,
        progress: &Progress,
        negotiated: Option<&Negotiated>,
        judgement: Option<&Judgement>,
        ending: &Ending,
    ) -> Self {
        let offered = progress.hello().map(|hello| hello.highest_version);
        let mut record = Self {
            connection: arrival.id,
            peer_address: arrival.peer_address,
            server_name: progress.server_name().as_deref().map(printable),
            tls_version: negotiated.map(|agreed| agreed.version).or(offered),
            alpn: negotiated.and_then(|agreed| agreed.alpn.as_deref()).map(printable),
            resumed: negotiated.is_some_and(|agreed| agreed.resumed),
            certificate: judgement
                .and_then(|known| known.certificates.first())
                .map(|leaf| CertificateSummary::of(leaf)),
            verdict: AuditVerdict::Failed,
            principal: None,
            code: None,
            detail: None,
            policy: None,
            alert: None,
            policies: judgement
                .map(|known| known.decision.policies.iter().map(PolicyPart::of).collect())
                .unwrap_or_default(),
            elapsed_us: micros(arrival.since.elapsed()),
        };
        record.set_ending(ending);
        record
    }

    fn set_ending(&mut self, ending: &Ending) {
        match ending {
            Ending::Accepted(identity) => {
                self.verdict = AuditVerdict::Accepted;
                self.principal = identity.principal.as_deref().map(printable);
            }
            Ending::Rejected { rejection, alert } => {
                self.verdict = AuditVerdict::Rejected;
                self.code = Some(printable(&rejection.code));
                self.detail = Some(printable(&rejection.detail));
                self.policy = rejection.policy.as_deref().map(printable);
                self.alert = *alert;
            }
            Ending::Failed(failure) => {
                self.verdict = AuditVerdict::Failed;
                self.code = Some(failure.code.to_owned());
                self.detail = Some(printable(&failure.detail));
                self.alert = failure.alert;
            }
        }
    }
}

impl CertificateSummary {
    fn of(certificate: &Certificate) -> Self {
        Self {
            subject: printable(&certificate.subject()),
            issuer: printable(&certificate.issuer()),
            serial_number: printable(certificate.serial_number()),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            sha256: HEXLOWER.encode(certificate.sha256()),
            spki_sha256: HEXLOWER.encode(&certificate.public_key().spki_sha256),
            claimed_spiffe_id: certificate.claimed_spiffe_id().map(printable),
        }
    }
}

impl PolicyPart {
    fn of(report: &PolicyReport) -> Self {
        let (outcome, reason) = match &report.outcome {
            Outcome::Accepted { .. } => ("accepted", None),
            Outcome::Failed { code, detail } => ("failed", Some((*code, detail))),
            Outcome::Rejected { code, detail } => ("rejected", Some((code.as_str(), detail))),
        };
        Self {
            policy: printable(&report.policy),
            digest: report.digest.clone(),
            shadow: report.shadow,
            outcome,
            code: reason.map(|(code, _)| printable(code)),
            detail: reason.map(|(_, detail)| printable(detail)),
            elapsed_us: micros(report.elapsed),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The text with everything escaped that could forge a line of a log or hide what it says
/// (controls, line separators, bidirectional overrides), and cut to [`MAXIMUM_TEXT`].
///
/// Quotes and backslashes stay: names come with their own escapes (RFC 4514).
fn printable(text: &str) -> String {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if text.len() <= MAXIMUM_TEXT && text.as_bytes().iter().all(plain) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len().min(MAXIMUM_TEXT));
    for (index, character) in text.chars().enumerate() {
        if index == MAXIMUM_TEXT {
            clean.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => clean.push(character),
            _ => clean.extend(character.escape_debug()),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_forge_a_line() {
        assert_eq!(printable("a\nverdict=accepted\u{1b}[2J"), "a\\nverdict=accepted\\u{1b}[2J");
        assert_eq!(printable("a\u{2028}\u{202e}b\0"), "a\\u{2028}\\u{202e}b\\0");
    }

    #[test]
    fn names_stay_readable() {
        assert_eq!(printable(r#"CN=Zoë\, "Ltd",O=東京"#), r#"CN=Zoë\, "Ltd",O=東京"#);
    }

    #[test]
    fn long_text_is_cut() {
        let cut = printable(&"é".repeat(MAXIMUM_TEXT + 1));
        assert_eq!(cut.chars().count(), MAXIMUM_TEXT + 1);
        assert!(cut.ends_with('…'));
        assert!(!printable(&"é".repeat(MAXIMUM_TEXT)).ends_with('…'));
    }
}
