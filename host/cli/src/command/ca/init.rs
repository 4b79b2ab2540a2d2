//! `portcullis ca init`.

use std::path::Path;

use portcullis_ca::{Ca, Options};
use portcullis_engine::Clock;
use portcullis_pki::NameConstraint;
use serde::Serialize;

use super::diagnosis::mistake;
use crate::arguments::{Format, Init};
use crate::exit::Exit;
use crate::{report, time};

/// How long a root is valid if nothing else is said, in seconds: ten years of 365 days.
const LIFETIME: i64 = 3650 * 24 * 60 * 60;

#[derive(Serialize)]
struct Made {
    directory: String,
    subject: String,
    not_after: String,
    anchor: String,
    crl: String,
}

/// Makes an authority.
pub(crate) fn init(
    arguments: &Init,
    dir: &Path,
    clock: Clock,
    format: Format,
) -> anyhow::Result<Exit> {
    let parent = match &arguments.intermediate_of {
        Some(above) => {
            Some(Ca::open(above, clock.clone()).map_err(|error| mistake(&error, above))?)
        }
        None => None,
    };
    let rest = parent.as_ref().map(|parent| parent.certificate().not_after() - clock.now());
    let domains = arguments.permit_dns.iter().cloned().map(NameConstraint::Dns);
    let options = Options {
        name: arguments.name.clone(),
        key: arguments.key_type.into(),
        lifetime: arguments.ttl.unwrap_or(rest.map_or(LIFETIME, |rest| rest.min(LIFETIME))),
        path_length: arguments.path_length,
        permitted: domains.chain(arguments.permit_ip.iter().cloned()).collect(),
        trust_domain: arguments.permit_spiffe.clone(),
        maximum_lifetime: arguments.maximum_ttl,
        crl_lifetime: arguments.crl_ttl,
        crl_url: arguments.crl_url.clone(),
        ocsp_url: arguments.ocsp_url.clone(),
    };
    let ca =
        Ca::init(dir, &options, parent.as_ref(), clock).map_err(|error| mistake(&error, dir))?;
    let made = Made {
        directory: dir.display().to_string(),
        subject: ca.certificate().subject(),
        not_after: time::format(ca.certificate().not_after()),
        anchor: ca.anchor_path().display().to_string(),
        crl: ca.crl_path().display().to_string(),
    };
    match format {
        Format::Json => report::json(&made)?,
        Format::Text => report::text(&format!(
            "{} in {}, valid until {}\npeers trust {}; revoked certificates are in {}\n",
            report::printable(&made.subject),
            made.directory,
            made.not_after,
            made.anchor,
            made.crl
        ))?,
    }
    Ok(Exit::Success)
}
