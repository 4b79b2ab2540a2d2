//! From the description of a certificate to what is written in it.

use portcullis_config::time;
use portcullis_engine::{Timestamp, sha256};
use portcullis_pki::{AltName, Extension, KeyUsage, PathLength, Profile, Validity, oid};

use crate::format::{CertificateSection, FlawName, Hex, Subject};
use crate::moment::Moment;

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// What the certificate of this name says, at the suite's time.
///
/// # Errors
/// An attribute of the subject is unknown, or the validity ends before it begins.
pub(crate) fn profile(
    name: &str,
    section: &CertificateSection,
    base: Timestamp,
) -> Result<Profile, String> {
    let (before, after) = if section.ca { (-30 * DAY, 365 * DAY) } else { (-HOUR, 22 * HOUR) };
    let at = |given: Option<Moment>, default| given.unwrap_or(Moment::After(default)).from(base);
    let validity = Validity {
        not_before: at(section.not_before, before),
        not_after: at(section.not_after, after),
    };
    if validity.not_after < validity.not_before {
        let (first, last) = (time::format(validity.not_before), time::format(validity.not_after));
        return Err(format!("`not-after`, {last}, is before `not-before`, {first}"));
    }
    let mut profile = match section.ca {
        true => Profile::authority(name, validity),
        false => Profile::client(name, validity),
    };
    if let Some(given) = &section.subject {
        profile.subject = subject(given)?;
    }
    profile.alt_names = alt_names(section);
    if let Some(usages) = &section.key_usage {
        profile.key_usages = usages.iter().map(|&usage| KeyUsage::from(usage)).collect();
    }
    if let Some(usages) = &section.extended_key_usage {
        profile.extended_key_usages = usages.iter().map(|usage| purpose(usage)).collect();
    }
    if let (Some(length), true) = (section.path_length, section.ca) {
        profile.ca = Some(PathLength::AtMost(length));
    }
    profile.without_basic_constraints = section.flaws.contains(&FlawName::NoBasicConstraints);
    profile.permitted_names = section.permitted.constraints();
    profile.excluded_names = section.excluded.constraints();
    let serial_number = section.serial_number.clone().map(|Hex(bytes)| bytes);
    profile.serial_number = Some(serial_number.unwrap_or_else(|| self::serial_number(name)));
    profile.extensions = section
        .extensions
        .iter()
        .map(|extension| Extension {
            oid: extension.oid.clone(),
            critical: extension.critical,
            value: extension.value.0.clone(),
        })
        .collect();
    Ok(profile)
}

/// In the order in which names are mostly written, from the country down.
fn subject(given: &Subject) -> Result<Vec<(String, String)>, String> {
    const KNOWN: [(&str, &str); 4] = [
        ("country", oid::COUNTRY),
        ("organization", oid::ORGANIZATION),
        ("organizational-unit", oid::ORGANIZATIONAL_UNIT),
        ("common-name", oid::COMMON_NAME),
    ];
    let attributes = match given {
        Subject::CommonName(name) => return Ok(vec![(oid::COMMON_NAME.to_owned(), name.clone())]),
        Subject::Attributes(attributes) => attributes,
    };
    let dotted = |key: &str| key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let known = |key: &str| KNOWN.iter().any(|(name, _)| *name == key);
    if let Some(unknown) = attributes.keys().find(|key| !known(key) && !dotted(key)) {
        return Err(format!(
            "`subject` has no attribute `{unknown}`: it has `common-name`, `organization`, `organizational-unit`, \
             `country` and dotted object identifiers"
        ));
    }
    let by_name = KNOWN
        .iter()
        .filter_map(|(key, oid)| Some(((*oid).to_owned(), attributes.get(*key)?.clone())));
    let by_oid = attributes
        .iter()
        .filter(|(key, _)| dotted(key))
        .map(|(key, value)| (key.clone(), value.clone()));
    Ok(by_name.chain(by_oid).collect())
}

fn alt_names(section: &CertificateSection) -> Vec<AltName> {
    let dns = section.dns.iter().cloned().map(AltName::Dns);
    let email = section.email.iter().cloned().map(AltName::Email);
    let ip = section.ip.iter().copied().map(AltName::Ip);
    let uri = section.uri.iter().cloned().map(AltName::Uri);
    dns.chain(email).chain(ip).chain(uri).collect()
}

fn purpose(name: &str) -> String {
    match name {
        "anyExtendedKeyUsage" => oid::ANY_EXTENDED_KEY_USAGE,
        "clientAuth" => oid::CLIENT_AUTH,
        "codeSigning" => oid::CODE_SIGNING,
        "serverAuth" => oid::SERVER_AUTH,
        dotted => dotted,
    }
    .to_owned()
}

/// Positive, and as long as one that is random.
fn serial_number(name: &str) -> Vec<u8> {
    let mut bytes = sha256(format!("serial number of {name}").as_bytes())[..16].to_vec();
    bytes[0] = (bytes[0] & 0x7f).max(1);
    bytes
}
