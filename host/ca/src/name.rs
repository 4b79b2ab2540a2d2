//! Names as an operator gives them.

use portcullis_pki::AltName;
use rustls_pki_types::DnsName;

/// The longest common name, in characters (RFC 5280, appendix A.1).
const MAXIMUM_COMMON_NAME: usize = 64;
/// The longest SPIFFE ID, in bytes (SPIFFE-ID, 2.3).
const MAXIMUM_SPIFFE_ID_BYTES: usize = 2048;
/// The longest trust domain, in bytes (SPIFFE-ID, 2.3).
const MAXIMUM_TRUST_DOMAIN_BYTES: usize = 255;
/// The longest mail address, in bytes (RFC 5321, 4.5.3.1).
const MAXIMUM_EMAIL_BYTES: usize = 254;

/// A name that cannot be certified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {what}: {problem}")]
pub struct NameError {
    value: String,
    what: &'static str,
    problem: &'static str,
}

impl NameError {
    pub(crate) fn new(value: &str, what: &'static str, problem: &'static str) -> Self {
        Self { value: portcullis_core::printable(value, 200), what, problem }
    }
}

/// The common name of a certificate: 1 to 64 characters, none of them a control character.
pub(crate) fn check_common_name(name: &str) -> Result<(), NameError> {
    let wrong = |problem| Err(NameError::new(name, "a name for a certificate", problem));
    if name.is_empty() {
        return wrong("it is empty");
    }
    if name.chars().count() > MAXIMUM_COMMON_NAME {
        return wrong("it has more than 64 characters");
    }
    if portcullis_core::printable(name, usize::MAX) != name {
        return wrong("it has characters that cannot be seen");
    }
    Ok(())
}

/// A host name; the first label may be `*`.
///
/// # Errors
/// It is not a host name.
pub fn parse_dns(text: &str) -> Result<AltName, NameError> {
    match DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)) {
        Ok(_) => Ok(AltName::Dns(text.to_ascii_lowercase())),
        Err(_) => Err(NameError::new(
            text,
            "a host name",
            "labels of letters, digits and hyphens, with dots between",
        )),
    }
}

/// A mail address.
///
/// # Errors
/// It is not ASCII of the form `local@host`.
pub fn parse_email(text: &str) -> Result<AltName, NameError> {
    let well_formed = text.len() <= MAXIMUM_EMAIL_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && DnsName::try_from(host).is_ok());
    match well_formed {
        true => Ok(AltName::Email(text.to_owned())),
        false => Err(NameError::new(text, "a mail address", "ASCII, as in name@example.org")),
    }
}

/// A SPIFFE ID of a workload (SPIFFE-ID, 2): `spiffe://`, a trust domain and a path.
///
/// # Errors
/// It is none.
pub fn parse_spiffe_id(text: &str) -> Result<AltName, NameError> {
    let wrong = |problem| NameError::new(text, "a SPIFFE ID", problem);
    if text.len() > MAXIMUM_SPIFFE_ID_BYTES {
        return Err(wrong("it has more than 2048 bytes"));
    }
    let rest = text.strip_prefix("spiffe://").ok_or_else(|| wrong("it begins with `spiffe://`"))?;
    let (trust_domain, path) = rest.split_once('/').ok_or_else(|| {
        wrong("a path follows the trust domain, as in spiffe://example.org/agent")
    })?;
    if !is_trust_domain(trust_domain) {
        return Err(wrong(
            "a trust domain has lower-case letters, digits, dots, hyphens and underscores",
        ));
    }
    let segment = |segment: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(known)
    };
    if !path.split('/').all(segment) {
        return Err(wrong(
            "the segments of its path have letters, digits, dots, hyphens and underscores, and none is empty",
        ));
    }
    Ok(AltName::Uri(text.to_owned()))
}

/// A SPIFFE trust domain's name.
///
/// # Errors
/// It is none.
pub fn parse_trust_domain(text: &str) -> Result<String, NameError> {
    match is_trust_domain(text) {
        true => Ok(text.to_owned()),
        false => Err(NameError::new(
            text,
            "a trust domain",
            "lower-case letters, digits, dots, hyphens and underscores, as in example.org",
        )),
    }
}

fn is_trust_domain(text: &str) -> bool {
    let known = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    (1..=MAXIMUM_TRUST_DOMAIN_BYTES).contains(&text.len()) && text.bytes().all(known)
}

/// The trust domain of a SPIFFE ID.
pub(crate) fn trust_domain(uri: &str) -> Option<&str> {
    uri.strip_prefix("spiffe://")?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_peers_would_read_otherwise_are_refused() {
        for id in ["spiffe://example.org/a", "spiffe://td_1.example/a/b-c.d_E"] {
            assert!(parse_spiffe_id(id).is_ok(), "{id}");
        }
        for id in [
            "https://example.org/a",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://Example.org/a",
            "spiffe://example.org:80/a",
            "spiffe://user@example.org/a",
            "spiffe:///a",
            "spiffe://example.org/a//b",
            "spiffe://example.org/../a",
            "spiffe://example.org/a?b",
            "spiffe://example.org/%61",
        ] {
            assert!(parse_spiffe_id(id).is_err(), "{id}");
        }
        for name in ["example.org", "*.example.org", "LOCALHOST"] {
            assert!(parse_dns(name).is_ok(), "{name}");
        }
        for name in ["", "*", "a b", "*.*.example.org", "a..b", "exämple.org", "https://a"] {
            assert!(parse_dns(name).is_err(), "{name}");
        }
        assert!(parse_email("a@example.org").is_ok());
        for address in ["a", "@example.org", "a@", "a@b@c", "a b@example.org", "ä@example.org"] {
            assert!(parse_email(address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_common_name_fits_a_certificate_and_a_line() {
        assert!(check_common_name(&"ä".repeat(64)).is_ok());
        for name in ["", "a\nb", "a\u{202e}b", &"a".repeat(65)] {
            assert!(check_common_name(name).is_err(), "{name:?}");
        }
    }
}
