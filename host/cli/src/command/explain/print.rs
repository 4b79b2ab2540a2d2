//! The explanation: the chain, each policy's part, and what would have to be otherwise.

use portcullis_engine::{Certificate, Decision, Handshake, Outcome, PolicyReport, Verdict};
use portcullis_gate::alert_for;
use portcullis_recording::{RecordedDecision, RecordedVerdict};
use serde::Serialize;

use super::input::Subject;
use super::recorded::Recorded;
use super::remedy::{Change, Remedy, Status};
use super::validity::{bar, span, standing};
use crate::arguments::Format;
use crate::report::{self, Table, printable};
use crate::time;

#[derive(Serialize)]
struct Explanation<'a> {
    time: String,
    peer_address: String,
    server_name: Option<&'a str>,
    certificates: Vec<CertificateFacts>,
    /// What a client would see.
    alert: Option<&'static str>,
    #[serde(flatten)]
    decision: &'a Decision,
    /// Of a rejection: what would have to be otherwise.
    remedy: Option<&'a Remedy>,
    /// Of a recorded handshake: what came of it then.
    recorded: Option<RecordedFacts<'a>>,
}

#[derive(Serialize)]
struct CertificateFacts {
    subject: String,
    issuer: String,
    serial_number: String,
    sha256: String,
    spki_sha256: String,
    key: String,
    not_before: String,
    not_after: String,
    /// "12 h left", at the time judged at.
    standing: String,
    #[serde(skip)]
    bar: String,
    subject_alt_names: Vec<String>,
}

#[derive(Serialize)]
struct RecordedFacts<'a> {
    source: &'a str,
    verdict: &'static str,
    code: Option<&'a str>,
    policy: Option<&'a str>,
    /// Whether every policy's part is the same now.
    same: bool,
}

pub(super) fn print(
    subject: &Subject,
    handshake: &Handshake,
    decision: &Decision,
    remedy: Option<&Remedy>,
    format: Format,
) -> anyhow::Result<()> {
    let explanation = Explanation {
        time: time::format(handshake.time),
        peer_address: handshake.peer_address.to_string(),
        server_name: handshake.server_name.as_deref(),
        certificates: handshake.chain.iter().map(|one| facts(one, handshake.time)).collect(),
        alert: match &decision.verdict {
            Verdict::Accept(_) => None,
            Verdict::Reject(rejection) => Some(alert_for(&rejection.code)),
        },
        decision,
        remedy,
        recorded: match subject {
            Subject::Certificates(_) => None,
            Subject::Recorded(recorded) => Some(recorded_facts(recorded, decision)),
        },
    };
    match format {
        Format::Json => report::json(&explanation),
        Format::Text => report::text(&describe(&explanation, handshake.time)),
    }
}

fn facts(certificate: &Certificate, at: i64) -> CertificateFacts {
    let key = certificate.public_key();
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    CertificateFacts {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        serial_number: certificate.serial_number().to_owned(),
        sha256: report::hexadecimal(certificate.sha256()),
        spki_sha256: report::hexadecimal(&key.spki_sha256),
        key: format!("{} {}", key.algorithm, key.bits),
        not_before: time::format(not_before),
        not_after: time::format(not_after),
        standing: standing(not_before, not_after, at),
        bar: bar(not_before, not_after, at),
        subject_alt_names: certificate
            .subject_alt_names()
            .iter()
            .map(|name| format!("{}:{}", name.kind, name.text))
            .collect(),
    }
}

fn recorded_facts<'a>(recorded: &'a Recorded, decision: &Decision) -> RecordedFacts<'a> {
    let then = &recorded.record.decision;
    let (verdict, code, policy) = match &then.verdict {
        RecordedVerdict::Accepted { .. } => ("accepted", None, None),
        RecordedVerdict::Rejected { code, policy, .. } => {
            ("rejected", Some(code.as_str()), policy.as_deref())
        }
    };
    let same = then.clone().repeatable() == RecordedDecision::from(decision).repeatable();
    RecordedFacts { source: &recorded.source, verdict, code, policy, same }
}

fn describe(explanation: &Explanation<'_>, at: i64) -> String {
    let mut out = String::new();
    for (position, certificate) in explanation.certificates.iter().enumerate() {
        out.push_str(&describe_certificate(certificate, position));
    }
    let name =
        explanation.server_name.map_or_else(String::new, |name| format!(", asking for {name}"));
    out.push_str(&format!("\nfrom {}{name}\n\n", explanation.peer_address));

    let mut policies = Table::default();
    policies.row(["policy", "says", "code", "time", "memory", "detail"]);
    for report in &explanation.decision.policies {
        describe_policy(&mut policies, report);
    }
    out.push_str(&policies.to_string());

    out.push_str(&format!("\nat {}: ", explanation.time));
    match &explanation.decision.verdict {
        Verdict::Accept(identity) => {
            let principal = identity.principal.as_deref().unwrap_or("no principal");
            let until = identity.valid_until.map_or_else(String::new, |time| {
                format!(", to be asked again from {}", time::format(time))
            });
            out.push_str(&format!("accepted, {}{until}\n", printable(principal)));
        }
        Verdict::Reject(rejection) => {
            let alert = explanation.alert.unwrap_or_default();
            let code = &rejection.code;
            out.push_str(&format!("rejected, {code}: the client sees the alert {alert}\n"));
        }
    }
    if let Some(recorded) = &explanation.recorded {
        out.push_str(&describe_recorded(recorded));
    }
    if let Some(remedy) = explanation.remedy {
        out.push_str(&describe_remedy(remedy, explanation, at));
    }
    out
}

fn describe_certificate(certificate: &CertificateFacts, position: usize) -> String {
    let mut facts = Table::default();
    facts.row([if position == 0 { "client" } else { "issued by" }, &certificate.subject]);
    facts.row(["  issuer", &certificate.issuer]);
    facts.row(["  serial", &certificate.serial_number]);
    facts.row(["  valid", &format!("{} to {}", certificate.not_before, certificate.not_after)]);
    facts.row(["", &format!("{} {}", certificate.bar, certificate.standing)]);
    facts.row(["  key", &format!("{}, SPKI SHA-256 {}", certificate.key, certificate.spki_sha256)]);
    facts.row(["  SHA-256", &certificate.sha256]);
    if !certificate.subject_alt_names.is_empty() {
        facts.row(["  names", &printable(&certificate.subject_alt_names.join(", "))]);
    }
    facts.to_string()
}

fn describe_policy(policies: &mut Table, report: &PolicyReport) {
    let (says, code, detail) = match &report.outcome {
        Outcome::Accepted { principal, attributes, .. } => {
            let mut said: Vec<String> =
                principal.iter().map(|name| format!("principal {name}")).collect();
            let named = |one: &portcullis_engine::Attribute| format!("{}={}", one.name, one.value);
            said.extend(attributes.iter().map(named));
            ("accepts", "", said.join(", "))
        }
        Outcome::Failed { code, detail } => ("fails", *code, detail.clone()),
        Outcome::Rejected { code, detail } => ("rejects", code.as_str(), detail.clone()),
    };
    let shadow = if report.shadow { " (shadow)" } else { "" };
    let name = format!("{}{shadow}", report.policy);
    let micros = format!("{} µs", report.elapsed.as_micros());
    let memory = format!("{} KiB", report.memory_bytes / 1024);
    policies.row([&name, says, code, &micros, &memory, &printable(&detail)]);
}

fn describe_recorded(recorded: &RecordedFacts<'_>) -> String {
    let code = recorded.code.map_or_else(String::new, |code| format!(", {code}"));
    let by = recorded.policy.map_or_else(String::new, |policy| format!(", by {policy}"));
    let now = if recorded.same {
        "the policies here say the same in every part"
    } else {
        "the policies here are not of the same opinion in every part"
    };
    let RecordedFacts { source, verdict, .. } = recorded;
    format!("recorded ({source}): {verdict}{code}{by}; {now}\n")
}

fn describe_remedy(remedy: &Remedy, explanation: &Explanation<'_>, at: i64) -> String {
    let mut out = String::new();
    if !remedy.changes.is_empty() {
        out.push_str("\nwhat would have to be otherwise\n");
    }
    for change in &remedy.changes {
        for line in describe_change(change, explanation, at) {
            out.push_str(&format!("  - {line}\n"));
        }
    }
    match (&remedy.still, remedy.changes.is_empty()) {
        (None, _) => out.push_str("  then the client comes in\n"),
        (Some(rejection), tried) => {
            let then = if tried { "\nwhat stands in the way: " } else { "  then still: " };
            let policy = rejection.policy.as_deref().unwrap_or("the gate");
            let detail = printable(&rejection.detail);
            out.push_str(&format!("{then}{policy}, {}: {detail}\n", rejection.code));
        }
    }
    out
}

fn describe_change(change: &Change, explanation: &Explanation<'_>, at: i64) -> Vec<String> {
    match change {
        Change::Address { address } => {
            vec![format!("the address: from {address}, not {}", explanation.peer_address)]
        }
        Change::Revocation { of } => of.iter().map(describe_status).collect(),
        Change::ServerName { name } => {
            let name = name.as_deref().unwrap_or("none");
            let asked = explanation.server_name.unwrap_or("none");
            vec![format!("the server name that it asks for: {name}, not {}", printable(asked))]
        }
        Change::TimeFrom { time } => {
            vec![format!(
                "the time: from {}, in {}",
                time::format(*time),
                span(time.saturating_sub(at))
            )]
        }
        Change::TimeUntil { time } => {
            vec![format!(
                "the time: until {}, {} ago",
                time::format(*time),
                span(at.saturating_sub(*time))
            )]
        }
    }
}

fn describe_status(status: &Status) -> String {
    let Status { subject, source, .. } = status;
    let said = match (status.status.as_str(), status.revoked_at, status.next_update) {
        ("revoked", Some(at), _) => format!("revoked at {}: it takes a new one", time::format(at)),
        ("revoked", None, _) => "revoked: it takes a new one".to_owned(),
        ("good", _, Some(next)) => format!("good, which held until {}", time::format(next)),
        ("good", _, None) => "good, and too long ago".to_owned(),
        _ => format!("unknown ({}): an answer \"good\"", printable(&status.detail)),
    };
    format!("revocation of {}: {source} says {said}", printable(subject))
}
