//! Distinguished names: their attributes, and their text for people (RFC 4514).

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use x509_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::x509::X509Name;

/// One attribute of a distinguished name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAttribute {
    /// The type, as a dotted OID.
    pub oid: String,
    /// The value as text; for a value that is not text, `#` and its DER in hexadecimal.
    pub text: String,
    /// Whether the value is text.
    is_text: bool,
}

/// The relative names in the order of the encoding, each with its attributes.
pub(crate) fn attributes(name: &X509Name<'_>) -> Vec<Vec<NameAttribute>> {
    name.iter_rdn()
        .map(|relative| {
            relative
                .iter()
                .map(|attribute| {
                    let text = text(attribute.attr_value());
                    NameAttribute {
                        oid: attribute.attr_type().to_id_string(),
                        is_text: text.is_some(),
                        text: text.unwrap_or_else(|| hexadecimal(attribute.attr_value())),
                    }
                })
                .collect()
        })
        .collect()
}

/// The string types of RFC 5280's DirectoryString, and IA5String for the types that use it.
fn text(value: &Any<'_>) -> Option<String> {
    let bytes: &[u8] = value.data;
    match value.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned())
        }
        Tag::T61String => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString if bytes.len().is_multiple_of(2) => {
            let units: Vec<u16> =
                bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        Tag::UniversalString if bytes.len().is_multiple_of(4) => bytes
            .chunks_exact(4)
            .map(|quad| char::from_u32(u32::from_be_bytes([quad[0], quad[1], quad[2], quad[3]])))
            .collect(),
        _ => None,
    }
}

fn hexadecimal(value: &Any<'_>) -> String {
    // An encoding that cannot be written again leaves the bare `#`, which no text attribute equals.
    format!("#{}", HEXLOWER.encode(&value.to_der_vec().unwrap_or_default()))
}

/// The text of a name: the last relative name first, separators escaped, so that no value can pass for a name.
pub(crate) fn to_rfc4514(name: &[Vec<NameAttribute>]) -> String {
    let mut out = String::new();
    for (position, relative) in name.iter().rev().enumerate() {
        if position > 0 {
            out.push(',');
        }
        for (position, attribute) in relative.iter().enumerate() {
            if position > 0 {
                out.push('+');
            }
            out.push_str(short_name(&attribute.oid).unwrap_or(&attribute.oid));
            out.push('=');
            if attribute.is_text {
                escape(&attribute.text, &mut out);
            } else {
                out.push_str(&attribute.text);
            }
        }
    }
    out
}

/// RFC 4514 section 3, and the types that client certificates have besides.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514 section 2.4; control characters besides, so that a name cannot break a log line.
fn escape(text: &str, out: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (position, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => {
                out.push('\\');
                out.push(c);
            }
            ' ' if position == 0 || position == last => out.push_str("\\ "),
            '#' if position == 0 => out.push_str("\\#"),
            c if c.is_control() => {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\{byte:02x}");
                }
            }
            c => out.push(c),
        }
    }
}
