//! `portcullis ca list`.

use portcullis_ca::{Ca, Record};
use portcullis_engine::{Certificate, Timestamp};
use serde::Serialize;

use super::diagnosis::mistake;
use crate::arguments::Format;
use crate::exit::Exit;
use crate::report::{self, Table};
use crate::time;

#[derive(Serialize)]
struct Listed {
    name: String,
    serial_number: String,
    /// `valid`, `expired` or `revoked`.
    status: &'static str,
    names: Vec<String>,
    not_before: String,
    not_after: String,
    /// Negative once it has expired.
    expires_in_seconds: i64,
    revoked_at: Option<String>,
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct List {
    certificates: Vec<Listed>,
}

/// Lists what was issued, by the end of its validity.
pub(crate) fn list(ca: &Ca, now: Timestamp, format: Format) -> anyhow::Result<Exit> {
    let records = ca.records().map_err(|error| mistake(&error, ca.directory()))?;
    let certificates: Vec<Listed> = records.iter().map(|record| listed(record, now)).collect();
    match format {
        Format::Json => report::json(&List { certificates })?,
        Format::Text => {
            let mut table = Table::default();
            table.row(["name", "serial", "expires in", "status", "names"]);
            for listed in &certificates {
                let status = match (listed.reason, &listed.revoked_at) {
                    (Some(reason), Some(at)) => format!("revoked at {at}: {reason}"),
                    _ => listed.status.to_owned(),
                };
                table.row([
                    &report::printable(&listed.name),
                    &listed.serial_number,
                    &time::format_duration(listed.expires_in_seconds),
                    &status,
                    &report::printable(&listed.names.join(", ")),
                ]);
            }
            report::text(&table.to_string())?;
        }
    }
    Ok(Exit::Success)
}

fn listed(record: &Record, now: Timestamp) -> Listed {
    // One that does not parse is listed all the same.
    let names = Certificate::from_der(record.der.clone()).map_or_else(
        |_| Vec::new(),
        |certificate| {
            let names = certificate.subject_alt_names().iter();
            names.map(|name| format!("{}:{}", name.kind, name.text)).collect()
        },
    );
    let expires_in_seconds = record.not_after.saturating_sub(now);
    Listed {
        name: record.name.clone(),
        serial_number: report::hexadecimal(&record.serial),
        status: match record.revocation {
            Some(_) => "revoked",
            None if expires_in_seconds < 0 => "expired",
            None => "valid",
        },
        names,
        not_before: time::format(record.not_before),
        not_after: time::format(record.not_after),
        expires_in_seconds,
        revoked_at: record.revocation.map(|revocation| time::format(revocation.at)),
        reason: record.revocation.map(|revocation| revocation.reason_name()),
    }
}
