//! Assets that a suite makes.

use data_encoding::{BASE64, HEXLOWER};
use portcullis_config::MadeAsset;
use portcullis_engine::sha256;

use crate::certificates::{Certificates, Made};

/// The bytes of an asset.
///
/// # Errors
/// A certificate that it names is not there, or a placeholder is unknown.
pub(crate) fn make(asset: &MadeAsset, certificates: &Certificates) -> Result<Vec<u8>, String> {
    let text = match asset {
        MadeAsset::Certificates(names) => {
            names.iter().map(|name| certificates.get(name).map(pem)).collect::<Result<_, _>>()?
        }
        MadeAsset::Text(text) => fill(text, certificates)?,
    };
    Ok(text.into_bytes())
}

/// The text with what stands for each of its placeholders.
fn fill(text: &str, certificates: &Certificates) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, placeholder, after)) = next_placeholder(rest) {
        filled.push_str(before);
        filled.push_str(&value(placeholder, certificates)?);
        rest = after;
    }
    Ok(filled + rest)
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (placeholder, after) = rest.split_once("}}")?;
    Some((before, placeholder, after))
}

fn value(placeholder: &str, certificates: &Certificates) -> Result<String, String> {
    let unknown = || {
        format!(
            "`{{{{{placeholder}}}}}` is none of `{{{{sha256:NAME}}}}`, `{{{{spki-sha256:NAME}}}}` and `{{{{pem:NAME}}}}`"
        )
    };
    let (kind, name) = placeholder.split_once(':').ok_or_else(unknown)?;
    match kind {
        "pem" => Ok(pem(certificates.get(name)?)),
        "sha256" => Ok(HEXLOWER.encode(&sha256(&certificates.get(name)?.der))),
        "spki-sha256" => Ok(HEXLOWER.encode(&certificates.parsed(name)?.public_key().spki_sha256)),
        _ => Err(unknown()),
    }
}

/// RFC 7468.
fn pem(certificate: &Made) -> String {
    let base64 = BASE64.encode(&certificate.der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in base64.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}
