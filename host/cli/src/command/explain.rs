//! `portcullis explain`: one verdict, offline, policy by policy.

use std::path::Path;
use std::sync::Arc;

use portcullis_engine::{Certificate, Clock, Decision, Handshake, Metering, Outcome, Verdict};
use portcullis_gate::alert_for;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;

use crate::arguments::{Explain, Format};
use crate::config::{ConfigFile, read_bounded};
use crate::diagnosis::Mistake;
use crate::exit::Exit;
use crate::policies::load_chain;
use crate::report::{self, Table};
use crate::{revocation, time};

/// The largest file of certificates, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Explanation<'a> {
    time: String,
    certificates: Vec<CertificateFacts>,
    /// What a client would see.
    alert: Option<&'static str>,
    #[serde(flatten)]
    decision: &'a Decision,
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
    subject_alt_names: Vec<String>,
}

/// Judges the certificates as a handshake that presents them would be.
pub(crate) fn explain(arguments: &Explain, format: Format) -> anyhow::Result<Exit> {
    let chain = read_certificates(&arguments.certificates)?;
    let file = ConfigFile::read(&arguments.setup.config)?;
    let (policies, _) =
        load_chain(&file, &arguments.setup.plugins, revocation::offline(&file)?, Metering::Fuel)?;
    let handshake = Handshake {
        chain,
        time: arguments.at.unwrap_or_else(|| Clock::system().now()),
        peer_address: arguments.peer,
        server_name: arguments.server_name.as_ref().map(|name| name.to_ascii_lowercase()),
    };
    let decision = policies.decide(&handshake);
    let explanation = Explanation {
        time: time::format(handshake.time),
        certificates: handshake.chain.iter().map(|certificate| facts(certificate)).collect(),
        alert: match &decision.verdict {
            Verdict::Accept(_) => None,
            Verdict::Reject(rejection) => Some(alert_for(&rejection.code)),
        },
        decision: &decision,
    };
    match format {
        Format::Json => report::json(&explanation)?,
        Format::Text => report::text(&describe(&explanation))?,
    }
    Ok(if decision.is_accepted() { Exit::Success } else { Exit::Rejected })
}

fn read_certificates(paths: &[std::path::PathBuf]) -> Result<Vec<Arc<Certificate>>, Mistake> {
    let mut chain = Vec::new();
    for path in paths {
        let bytes =
            read_bounded(path, MAXIMUM_BYTES).map_err(|problem| Mistake::file(path, &problem))?;
        let encodings = encodings(path, bytes)?;
        for (position, der) in encodings.into_iter().enumerate() {
            let certificate = Certificate::from_der(der).map_err(|error| {
                Mistake::file(path, &format!("certificate {}: {error}", position + 1))
            })?;
            chain.push(Arc::new(certificate));
        }
    }
    Ok(chain)
}

/// The DER of each certificate in a file: PEM if it has a PEM header, DER otherwise.
fn encodings(path: &Path, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Mistake> {
    if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return Ok(vec![bytes]);
    }
    let found = CertificateDer::pem_slice_iter(&bytes)
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Mistake::file(path, &format!("not well-formed PEM: {error:?}")))?;
    if found.is_empty() {
        return Err(Mistake::file(path, "the PEM text holds no certificate")
            .hint("give the certificate, not its key"));
    }
    Ok(found)
}

fn facts(certificate: &Certificate) -> CertificateFacts {
    let key = certificate.public_key();
    CertificateFacts {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        serial_number: certificate.serial_number().to_owned(),
        sha256: report::hexadecimal(certificate.sha256()),
        spki_sha256: report::hexadecimal(&key.spki_sha256),
        key: format!("{} {}", key.algorithm, key.bits),
        not_before: time::format(certificate.not_before()),
        not_after: time::format(certificate.not_after()),
        subject_alt_names: certificate
            .subject_alt_names()
            .iter()
            .map(|name| format!("{}:{}", name.kind, name.text))
            .collect(),
    }
}

fn describe(explanation: &Explanation<'_>) -> String {
    let mut out = String::new();
    for (position, certificate) in explanation.certificates.iter().enumerate() {
        let mut facts = Table::default();
        facts.row([if position == 0 { "client" } else { "issued by" }, &certificate.subject]);
        facts.row(["  issuer", &certificate.issuer]);
        facts.row(["  serial", &certificate.serial_number]);
        facts.row(["  valid", &format!("{} to {}", certificate.not_before, certificate.not_after)]);
        facts.row([
            "  key",
            &format!("{}, SPKI SHA-256 {}", certificate.key, certificate.spki_sha256),
        ]);
        facts.row(["  SHA-256", &certificate.sha256]);
        if !certificate.subject_alt_names.is_empty() {
            facts.row(["  names", &certificate.subject_alt_names.join(", ")]);
        }
        out.push_str(&facts.to_string());
    }
    out.push('\n');
    let mut policies = Table::default();
    policies.row(["policy", "says", "code", "time", "memory", "detail"]);
    for report in &explanation.decision.policies {
        let (says, code, detail) = match &report.outcome {
            Outcome::Accepted { principal, attributes, .. } => {
                let mut said: Vec<String> =
                    principal.iter().map(|name| format!("principal {name}")).collect();
                said.extend(
                    attributes
                        .iter()
                        .map(|attribute| format!("{}={}", attribute.name, attribute.value)),
                );
                ("accepts", "", said.join(", "))
            }
            Outcome::Failed { code, detail } => ("fails", *code, detail.clone()),
            Outcome::Rejected { code, detail } => ("rejects", code.as_str(), detail.clone()),
        };
        let name = if report.shadow {
            format!("{} (shadow)", report.policy)
        } else {
            report.policy.clone()
        };
        let micros = format!("{} µs", report.elapsed.as_micros());
        let memory = format!("{} KiB", report.memory_bytes / 1024);
        policies.row([&name, says, code, &micros, &memory, &report::printable(&detail)]);
    }
    out.push_str(&policies.to_string());
    out.push_str(&format!("\nat {}: ", explanation.time));
    match &explanation.decision.verdict {
        Verdict::Accept(identity) => {
            let principal = identity.principal.as_deref().unwrap_or("no principal");
            let until = identity.valid_until.map_or_else(String::new, |time| {
                format!(", to be asked again from {}", time::format(time))
            });
            out.push_str(&format!("accepted, {}{until}\n", report::printable(principal)));
        }
        Verdict::Reject(rejection) => {
            let alert = explanation.alert.unwrap_or_default();
            out.push_str(&format!(
                "rejected, {}: the client sees the alert {alert}\n",
                rejection.code
            ));
        }
    }
    out
}
