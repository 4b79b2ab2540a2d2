//! `portcullis ca crl`, without `--serve`.

use portcullis_ca::Ca;
use portcullis_pki::write_public;
use serde::Serialize;

use super::diagnosis::mistake;
use crate::arguments::{Crl, Format};
use crate::exit::Exit;
use crate::{report, time};

#[derive(Serialize)]
struct Written {
    crl: String,
    number: u64,
    this_update: String,
    next_update: String,
}

/// Writes a new CRL.
pub(crate) fn crl(arguments: &Crl, ca: &Ca, format: Format) -> anyhow::Result<Exit> {
    let failed = |error| mistake(&error, ca.directory());
    let crl = ca.refresh_crl().map_err(failed)?;
    if let Some(path) = &arguments.out {
        write_public(path, &crl.pem).map_err(|error| failed(error.into()))?;
    }
    let path = arguments.out.clone().unwrap_or_else(|| ca.crl_path());
    let written = Written {
        crl: path.display().to_string(),
        number: crl.number,
        this_update: time::format(crl.this_update),
        next_update: time::format(crl.next_update),
    };
    match format {
        Format::Json => report::json(&written)?,
        Format::Text => report::text(&format!(
            "CRL {} in {}, in force until {}\n",
            written.number, written.crl, written.next_update
        ))?,
    }
    Ok(Exit::Success)
}
