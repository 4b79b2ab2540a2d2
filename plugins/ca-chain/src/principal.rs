//! Who the client is, by a name of its certificate.

use portcullis_guest::Rejection;
use portcullis_guest::paths::Facts;

use crate::codes;
use crate::settings::Principal;

const COMMON_NAME: &str = "2.5.4.3";

/// The longest principal that the host takes, in bytes.
const MAXIMUM_BYTES: usize = 2048;

/// The principal of a leaf, when the settings want one.
///
/// Exactly one name of the kind must be there. Whoever issued a certificate with two of them meant two things, and
/// which of the two comes first in the encoding is no answer to who the client is.
pub(crate) fn of<C: Facts>(leaf: &C, wanted: Principal) -> Result<Option<String>, Rejection> {
    let (kind, names) = match wanted {
        Principal::None => return Ok(None),
        Principal::CommonName => ("common name", common_names(leaf)),
        Principal::Dns => ("DNS name", alt_names(leaf, "dns")),
        Principal::Email => ("mail address", alt_names(leaf, "email")),
        Principal::Uri => ("URI", alt_names(leaf, "uri")),
    };
    let reject = |problem: String| Err(Rejection::new(codes::NO_PRINCIPAL, problem));
    match <[String; 1]>::try_from(names) {
        Ok([name]) if name.is_empty() || name.contains(char::is_control) => {
            reject(format!("the {kind} of the certificate is empty or has control characters"))
        }
        Ok([name]) if name.len() > MAXIMUM_BYTES => {
            reject(format!("the {kind} of the certificate has more than {MAXIMUM_BYTES} bytes"))
        }
        Ok([name]) => Ok(Some(name)),
        Err(names) => {
            reject(format!("the certificate has {} {kind}s: exactly one is needed", names.len()))
        }
    }
}

fn common_names<C: Facts>(leaf: &C) -> Vec<String> {
    let names = leaf.subject_names().into_iter();
    names.filter(|name| name.oid == COMMON_NAME).map(|name| name.text).collect()
}

fn alt_names<C: Facts>(leaf: &C, kind: &str) -> Vec<String> {
    let names = leaf.subject_alt_names().into_iter();
    names.filter(|name| name.kind == kind).map(|name| name.text).collect()
}
