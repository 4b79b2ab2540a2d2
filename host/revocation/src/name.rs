//! Distinguished names, compared as RFC 5280, 7.1 says.

use aws_lc_rs::digest;

use crate::der::{DerError, OID, Reader, SEQUENCE, SET};

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// What equal names have in common: equal but for the case and the spaces of their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NameKey([u8; 32]);

impl NameKey {
    /// Of a Name's whole encoding.
    pub(crate) fn of(name: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(name);
        let relative_names = reader.value(SEQUENCE)?;
        reader.end()?;
        Self::of_relative_names(relative_names, &[])
    }

    /// Of the relative names `first`, one encoding after the other, and the attributes of one more.
    pub(crate) fn of_relative_names(first: &[u8], last: &[u8]) -> Result<Self, DerError> {
        let mut canonical = Vec::with_capacity(first.len() + last.len() + 16);
        let mut relative_names = Reader::new(first);
        while !relative_names.is_empty() {
            canonicalize_relative_name(relative_names.value(SET)?, &mut canonical)?;
        }
        if !last.is_empty() {
            canonicalize_relative_name(last, &mut canonical)?;
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, &canonical).as_ref());
        Ok(Self(key))
    }
}

/// Each part goes out with its length before it, so that no two names run together.
fn canonicalize_relative_name(attributes: &[u8], out: &mut Vec<u8>) -> Result<(), DerError> {
    let mut reader = Reader::new(attributes);
    out.push(SET);
    while !reader.is_empty() {
        let mut attribute = reader.inside(SEQUENCE)?;
        part(OID, attribute.value(OID)?, out);
        let value = attribute.any()?;
        attribute.end()?;
        match std::str::from_utf8(value.value) {
            Ok(text) if matches!(value.tag, UTF8_STRING | PRINTABLE_STRING) => {
                part(UTF8_STRING, folded(text).as_bytes(), out);
            }
            _ => part(value.tag, value.value, out),
        }
    }
    Ok(())
}

fn part(tag: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

/// In lower case, without spaces at the ends, with one space for several.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.is_ascii() {
            out.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        } else {
            out.push_str(&word.to_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of common names only.
    fn name(tag: u8, values: &[&str]) -> Vec<u8> {
        let wrap = |tag: u8, inner: &[u8]| {
            let mut out = vec![tag, u8::try_from(inner.len()).unwrap()];
            out.extend_from_slice(inner);
            out
        };
        let sets: Vec<u8> = values
            .iter()
            .flat_map(|value| {
                let attribute = [wrap(OID, &[0x55, 4, 3]), wrap(tag, value.as_bytes())].concat();
                wrap(SET, &wrap(SEQUENCE, &attribute))
            })
            .collect();
        wrap(SEQUENCE, &sets)
    }

    fn key(tag: u8, values: &[&str]) -> NameKey {
        NameKey::of(&name(tag, values)).unwrap()
    }

    #[test]
    fn case_spaces_and_string_types_do_not_matter() {
        let plain = key(UTF8_STRING, &["Clients CA"]);
        assert_eq!(plain, key(PRINTABLE_STRING, &["clients ca"]));
        assert_eq!(plain, key(UTF8_STRING, &["  CLIENTS   ca "]));
        assert_eq!(key(UTF8_STRING, &["ÄRA"]), key(UTF8_STRING, &["ära"]));
    }

    #[test]
    fn everything_else_matters() {
        let plain = key(UTF8_STRING, &["Clients CA"]);
        assert_ne!(plain, key(UTF8_STRING, &["ClientsCA"]));
        assert_ne!(plain, key(UTF8_STRING, &["Clients", "CA"]));
        assert_ne!(plain, key(0x16, &["Clients CA"]));
        assert!(NameKey::of(&[0x30, 2, 0x31]).is_err());
    }
}
