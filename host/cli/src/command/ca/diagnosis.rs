//! What went wrong in an authority's directory, and the way out.

use std::path::Path;

use portcullis_ca::Error;
use portcullis_engine::with_causes;

use crate::time;
use portcullis_config::Mistake;

/// The error as the operator's mistake: about the file that it names, or about the authority's directory.
pub(crate) fn mistake(error: &Error, directory: &Path) -> Mistake {
    let problem = match error {
        Error::Expired { not_before, not_after, .. } => format!(
            "the authority's certificate is not valid now, but from {} to {}",
            time::format(*not_before),
            time::format(*not_after)
        ),
        _ => with_causes(error),
    };
    let mistake = Mistake::file(error.path().unwrap_or(directory), &problem);
    let mistake = match error {
        Error::Lifetime { .. } => mistake.key("--ttl"),
        Error::PathLength(_) => mistake.key("--path-length"),
        _ => mistake,
    };
    match way_out(error) {
        Some(hint) => mistake.hint(&hint),
        None => mistake,
    }
}

fn way_out(error: &Error) -> Option<String> {
    Some(match error {
        Error::Authority { source: portcullis_pki::Error::KeyMismatch, .. } => {
            "`ca.key` and `ca.pem` belong together; put back the ones that `ca init` wrote".to_owned()
        }
        Error::Authority { .. } => "put back the file that `ca init` wrote".to_owned(),
        Error::Check(_) => {
            "the names have to be ones that the authority's name constraints permit".to_owned()
        }
        Error::Damaged { .. } => {
            "put back a copy from a backup; without its index the authority does not know what it revoked"
                .to_owned()
        }
        Error::Exists(_) => "nothing is overwritten: name another place, or remove what is there".to_owned(),
        Error::Expired { .. } => {
            "make a new authority with `portcullis ca init` in another directory, and have peers trust both for a while"
                .to_owned()
        }
        Error::IndexFormat { .. } => "use the version of portcullis that has written it".to_owned(),
        Error::KeyReadable { path, .. } => format!("chmod 600 {}", path.display()),
        Error::Lifetime { allowed, .. } => {
            format!("ask for {allowed}s or less; `ca init --maximum-ttl` sets the limit, and no certificate outlives the authority's")
        }
        Error::NotACa { .. } => {
            "`--dir` names the authority's directory; `portcullis ca init` makes one".to_owned()
        }
        Error::PathLength(_) => {
            "make the upper authority with `ca init --path-length 1`, or the lower one with a smaller path length"
                .to_owned()
        }
        Error::Pki(portcullis_pki::Error::Write { path, .. }) if path.ends_with("ca.crl") => {
            "what was revoked is in the index; the next `portcullis ca` command writes the CRL".to_owned()
        }
        Error::Revoked(_) => "issue a new one with `portcullis ca issue`".to_owned(),
        Error::UnknownSerial(_) => "`portcullis ca list` shows the serial numbers".to_owned(),
        _ => return None,
    })
}
