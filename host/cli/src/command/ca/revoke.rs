//! `portcullis ca revoke`.

use portcullis_ca::Ca;
use serde::Serialize;

use super::diagnosis::mistake;
use crate::arguments::{Format, Revoke};
use crate::exit::Exit;
use crate::{report, time};

#[derive(Serialize)]
struct Revoked {
    name: String,
    serial_number: String,
    revoked_at: Option<String>,
    reason: Option<&'static str>,
    /// Whether it was revoked before; the first time and reason stay.
    before: bool,
    /// The serial numbers of the others of its line that are revoked: what it was renewed from and into.
    line: Vec<String>,
    crl: String,
}

/// Revokes a certificate.
pub(crate) fn revoke(arguments: &Revoke, ca: &Ca, format: Format) -> anyhow::Result<Exit> {
    let failed = |error| mistake(&error, ca.directory());
    let found = ca.find(&arguments.certificate).map_err(failed)?;
    let record = ca.revoke(&found, arguments.reason).map_err(failed)?;
    let others = ca.records().map_err(failed)?.into_iter().filter(|other| {
        other.line == record.line && other.serial != record.serial && other.revocation.is_some()
    });
    let line = others.map(|other| report::hexadecimal(&other.serial)).collect();
    let revocation = record.revocation;
    let revoked = Revoked {
        serial_number: report::hexadecimal(&record.serial),
        name: record.name,
        revoked_at: revocation.map(|revocation| time::format(revocation.at)),
        reason: revocation.map(|revocation| revocation.reason_name()),
        before: found.revocation.is_some(),
        line,
        crl: ca.crl_path().display().to_string(),
    };
    match format {
        Format::Json => report::json(&revoked)?,
        Format::Text => report::text(&format!(
            "{}, serial {}, {} at {}: {}\n{}the CRL is in {}\n",
            report::printable(&revoked.name),
            revoked.serial_number,
            if revoked.before { "was revoked before" } else { "is revoked" },
            revoked.revoked_at.unwrap_or_default(),
            revoked.reason.unwrap_or_default(),
            match revoked.line.len() {
                0 => String::new(),
                count => format!("with it {count} that it was renewed from or into\n"),
            },
            revoked.crl
        ))?,
    }
    Ok(Exit::Success)
}
