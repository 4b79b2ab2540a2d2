//! `portcullis ca issue` and `portcullis ca renew`.

use std::path::Path;

use portcullis_ca::{Ask, Ca, Issued, Request, Usage};
use portcullis_pki::AltName;
use serde::Serialize;

use super::diagnosis::mistake;
use super::output::Target;
use crate::arguments::{Format, Issue, Renew};
use crate::config::read_bounded;
use crate::exit::Exit;
use crate::{report, time};
use portcullis_config::Mistake;

/// The largest file with a request, in bytes.
const MAXIMUM_REQUEST_BYTES: u64 = 64 * 1024;

#[derive(Serialize)]
struct HandedOut {
    name: String,
    serial_number: String,
    not_after: String,
    certificate: String,
    /// None in the certificate's file, and none where the owner has it.
    key: Option<String>,
}

/// Issues a certificate.
pub(crate) fn issue(arguments: &Issue, ca: &Ca, format: Format) -> anyhow::Result<Exit> {
    let directory = ca.directory();
    let ask = ask(arguments);
    let target = Target::new(&arguments.output, &arguments.name)?;
    let issued = match &arguments.csr {
        Some(path) => {
            let target = target.without_key();
            target.check_is_free(directory)?;
            let request = read_request(path)?;
            ca.certify(&ask, &request)
        }
        None => {
            target.check_is_free(directory)?;
            ca.issue(&ask)
        }
    };
    let issued = issued.map_err(|error| mistake(&error, directory))?;
    hand_out(&issued, &target, directory, format)
}

/// Issues a certificate anew.
pub(crate) fn renew(arguments: &Renew, ca: &Ca, format: Format) -> anyhow::Result<Exit> {
    let directory = ca.directory();
    let failed = |error| mistake(&error, directory);
    let record = ca.find(&arguments.certificate).map_err(failed)?;
    let old = Path::new(&arguments.certificate);
    let target = match old.is_file() && arguments.output.out.is_none() {
        true => Target::in_the_place_of(old, &arguments.output)?,
        false => {
            let target = Target::new(&arguments.output, &record.name)?;
            target.check_is_free(directory)?;
            target
        }
    };
    let issued = ca.renew(&record, arguments.ttl).map_err(failed)?;
    hand_out(&issued, &target, directory, format)
}

fn ask(arguments: &Issue) -> Ask {
    let mut alt_names: Vec<AltName> = arguments.spiffe.iter().cloned().collect();
    alt_names.extend(arguments.dns.iter().cloned());
    alt_names.extend(arguments.ip.iter().copied().map(AltName::Ip));
    alt_names.extend(arguments.email.iter().cloned());
    Ask {
        name: arguments.name.clone(),
        alt_names,
        usage: if arguments.server { Usage::Server } else { Usage::Client },
        lifetime: arguments.ttl,
        key: arguments.key_type.into(),
    }
}

fn read_request(path: &Path) -> Result<Request, Mistake> {
    let bytes = read_bounded(path, MAXIMUM_REQUEST_BYTES)
        .map_err(|problem| Mistake::file(path, &problem).key("--csr"))?;
    Request::parse(&bytes).map_err(|error| {
        Mistake::file(path, &error.to_string())
            .key("--csr")
            .hint("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 makes one that is followed")
    })
}

fn hand_out(
    issued: &Issued,
    target: &Target,
    directory: &Path,
    format: Format,
) -> anyhow::Result<Exit> {
    let serial_number = report::hexadecimal(&issued.record.serial);
    target.write(issued).map_err(|error| {
        // What is in the index and nowhere else is safe, but the operator should know of it.
        mistake(&error, directory).hint(&format!(
            "certificate {serial_number} was issued and not written; issue another one, and end this one with \
             `portcullis ca revoke {serial_number}`"
        ))
    })?;
    let handed_out = HandedOut {
        name: issued.record.name.clone(),
        serial_number,
        not_after: time::format(issued.record.not_after),
        certificate: target.certificate().display().to_string(),
        key: issued.key_pem.as_ref().and(target.key()).map(|path| path.display().to_string()),
    };
    match format {
        Format::Json => report::json(&handed_out)?,
        Format::Text => {
            let key = handed_out.key.map_or_else(String::new, |key| format!(", its key in {key}"));
            report::text(&format!(
                "{} in {}{key}\nserial {}, valid until {}\n",
                report::printable(&handed_out.name),
                handed_out.certificate,
                handed_out.serial_number,
                handed_out.not_after
            ))?;
        }
    }
    Ok(Exit::Success)
}
