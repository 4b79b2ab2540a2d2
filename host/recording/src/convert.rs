//! Between the words that the host works with and those of the recording.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use portcullis_core::{
    Attribute, Certificate, CertificateError, Decision, Handshake, LogLine, Outcome, PolicyReport,
    RecordedAnswers, RevocationAnswer, RevocationStatus, Verdict,
};

use crate::answers::Answers;
use crate::wire::{
    PeerAddress, Record, RecordedAnswer, RecordedAttribute, RecordedDecision, RecordedLine,
    RecordedOutcome, RecordedPart, RecordedStatus, RecordedVerdict,
};

impl Record {
    /// What is recorded of a handshake that was judged with these answers.
    #[must_use]
    pub fn new(handshake: &Handshake, answers: &Answers, decision: &Decision) -> Self {
        let given = answers.given.iter().map(|((subject, issuer, source), answer)| {
            RecordedAnswer::new(*subject, *issuer, source, answer)
        });
        let mut answered: Vec<_> = given.collect();
        // The order of asking is no part of it, and a recording repeats.
        answered.sort_by(|a, b| {
            (a.subject_sha256, a.issuer_sha256, &a.asked).cmp(&(
                b.subject_sha256,
                b.issuer_sha256,
                &b.asked,
            ))
        });
        Self {
            certificates: handshake.chain.iter().map(|one| one.der().to_vec()).collect(),
            time: handshake.time,
            peer_address: handshake.peer_address.into(),
            server_name: handshake.server_name.clone(),
            answers: answered,
            answers_complete: answers.complete,
            decision: RecordedDecision::from(decision),
        }
    }

    /// The handshake, to be judged again.
    ///
    /// # Errors
    ///
    /// When a certificate does not parse: only those that do are judged, and so recorded.
    pub fn handshake(&self) -> Result<Handshake, CertificateError> {
        let parsed = self.certificates.iter().map(|der| Certificate::from_der(der.clone()));
        Ok(Handshake {
            chain: parsed.map(|parsed| parsed.map(Arc::new)).collect::<Result<_, _>>()?,
            time: self.time,
            peer_address: self.peer_address.into(),
            server_name: self.server_name.clone(),
        })
    }

    /// The answers, to be given again.
    #[must_use]
    pub fn recorded_answers(&self) -> RecordedAnswers {
        let mut answers = RecordedAnswers::default();
        for answer in &self.answers {
            answers.insert(
                answer.subject_sha256,
                answer.issuer_sha256,
                &answer.asked,
                answer.answer(),
            );
        }
        answers
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        let scope_id = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        Self { ip: address.ip(), port: address.port(), scope_id }
    }
}

impl From<PeerAddress> for SocketAddr {
    fn from(PeerAddress { ip, port, scope_id }: PeerAddress) -> Self {
        match ip {
            IpAddr::V4(ip) => (ip, port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope_id).into(),
        }
    }
}

impl RecordedAnswer {
    fn new(subject: [u8; 32], issuer: [u8; 32], asked: &str, answer: &RevocationAnswer) -> Self {
        Self {
            subject_sha256: subject,
            issuer_sha256: issuer,
            asked: asked.to_owned(),
            status: match answer.status {
                RevocationStatus::Good => RecordedStatus::Good,
                RevocationStatus::Revoked => RecordedStatus::Revoked,
                RevocationStatus::Unknown => RecordedStatus::Unknown,
            },
            source: answer.source.clone(),
            detail: answer.detail.clone(),
            revoked_at: answer.revoked_at,
            this_update: answer.this_update,
            next_update: answer.next_update,
        }
    }

    fn answer(&self) -> RevocationAnswer {
        RevocationAnswer {
            status: match self.status {
                RecordedStatus::Good => RevocationStatus::Good,
                RecordedStatus::Revoked => RevocationStatus::Revoked,
                RecordedStatus::Unknown => RevocationStatus::Unknown,
            },
            source: self.source.clone(),
            detail: self.detail.clone(),
            revoked_at: self.revoked_at,
            this_update: self.this_update,
            next_update: self.next_update,
            pending: false,
        }
    }
}

impl RecordedDecision {
    /// Whether the client may come in.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.verdict, RecordedVerdict::Accepted { .. })
    }

    /// Leaves out what is different each time, the time taken and the memory, and the log, which is not always recorded:
    /// what is left is equal when the same policies judge the same handshake.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        for part in &mut self.policies {
            (part.elapsed_us, part.memory_bytes) = (0, 0);
            part.log.clear();
        }
        self
    }
}

impl From<&Decision> for RecordedDecision {
    fn from(decision: &Decision) -> Self {
        let verdict = match &decision.verdict {
            Verdict::Accept(identity) => RecordedVerdict::Accepted {
                principal: identity.principal.clone(),
                attributes: attributes(&identity.attributes),
                valid_until: identity.valid_until,
            },
            Verdict::Reject(rejection) => RecordedVerdict::Rejected {
                code: rejection.code.clone(),
                detail: rejection.detail.clone(),
                policy: rejection.policy.clone(),
            },
        };
        Self { verdict, policies: decision.policies.iter().map(RecordedPart::from).collect() }
    }
}

impl From<&PolicyReport> for RecordedPart {
    fn from(report: &PolicyReport) -> Self {
        Self {
            policy: report.policy.clone(),
            shadow: report.shadow,
            outcome: RecordedOutcome::from(&report.outcome),
            log: report.log.iter().map(line).collect(),
            elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            memory_bytes: report.memory_bytes,
        }
    }
}

impl From<&Outcome> for RecordedOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted { principal, attributes: established, valid_until } => {
                Self::Accepted {
                    principal: principal.clone(),
                    attributes: attributes(established),
                    valid_until: *valid_until,
                }
            }
            Outcome::Failed { code, detail } => {
                Self::Failed { code: (*code).to_owned(), detail: detail.clone() }
            }
            Outcome::Rejected { code, detail } => {
                Self::Rejected { code: code.clone(), detail: detail.clone() }
            }
        }
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<RecordedAttribute> {
    attributes
        .iter()
        .map(|one| RecordedAttribute { name: one.name.clone(), value: one.value.clone() })
        .collect()
}

fn line(line: &LogLine) -> RecordedLine {
    RecordedLine { level: line.level.to_owned(), text: line.text.clone() }
}
