//! Assets that a suite makes.

use data_encoding::HEXLOWER;
use portcullis_config::MadeAsset;
use portcullis_engine::{pem, sha256};

use crate::certificates::Certificates;

/// The bytes of an asset.
///
/// # Errors
/// A certificate that it names is not there, or a placeholder is unknown.
pub(crate) fn make(asset: &MadeAsset, certificates: &Certificates) -> Result<Vec<u8>, String> {
    let text = match asset {
        MadeAsset::Certificates(names) => {
            names.iter().map(|name| certificate(name, certificates)).collect::<Result<_, _>>()?
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
        "pem" => certificate(name, certificates),
        "sha256" => Ok(HEXLOWER.encode(&sha256(&certificates.get(name)?.der))),
        "spki-sha256" => Ok(HEXLOWER.encode(&certificates.parsed(name)?.public_key().spki_sha256)),
        _ => Err(unknown()),
    }
}

fn certificate(name: &str, certificates: &Certificates) -> Result<String, String> {
    Ok(pem("CERTIFICATE", &certificates.get(name)?.der))
}
