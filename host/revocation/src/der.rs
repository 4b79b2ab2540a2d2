//! Distinguished encoding (X.690), read in place: nothing is copied and nothing is built.

use crate::time;
use portcullis_core::Timestamp;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const IA5_STRING: u8 = 0x16;

/// The context-specific tag `[number]` of a primitive value.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// The context-specific tag `[number]` of a constructed value.
pub(crate) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// What is wrong with an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed DER: {0}")]
pub struct DerError(&'static str);

impl DerError {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self(what)
    }
}

/// One element: a tag, a value, and both with the length between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// The elements that stand one after the other in `left`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next element, whatever its tag. Lengths are definite and as short as they can be.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, rest) = self.left.split_first().ok_or(DerError("it ends too early"))?;
        if tag & 0x1f == 0x1f {
            return Err(DerError("a tag of more than one byte"));
        }
        let (&first, rest) = rest.split_first().ok_or(DerError("it ends too early"))?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => long_length(rest, usize::from(first & 0x7f))?,
            _ => return Err(DerError("a length that is indefinite or too long")),
        };
        let (value, after) = rest.split_at_checked(length).ok_or(DerError("it ends too early"))?;
        let whole = &self.left[..self.left.len() - after.len()];
        self.left = after;
        Ok(Element { tag, value, whole })
    }

    /// The next element, which has this tag.
    pub(crate) fn element(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(DerError("an unexpected tag")) }
    }

    /// The value of the next element, which has this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Result<&'a [u8], DerError> {
        Ok(self.element(tag)?.value)
    }

    /// The elements inside of the next one, which has this tag.
    pub(crate) fn inside(&mut self, tag: u8) -> Result<Self, DerError> {
        Ok(Self::new(self.value(tag)?))
    }

    /// The value of the next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.left.first() == Some(&tag) { self.value(tag).map(Some) } else { Ok(None) }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), DerError> {
        if self.left.is_empty() { Ok(()) } else { Err(DerError("bytes after the end")) }
    }

    /// An INTEGER's content, in as few bytes as it can have.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], DerError> {
        let value = self.value(INTEGER)?;
        match *value {
            [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => {
                Err(DerError("an INTEGER that is not as short as it can be"))
            }
            _ => Ok(value),
        }
    }

    /// A BOOLEAN; absent is false, and an encoded false is tolerated as most decoders do.
    pub(crate) fn boolean(&mut self, tag: u8) -> Result<bool, DerError> {
        match self.optional(tag)? {
            None | Some([0]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(DerError("a BOOLEAN that is neither true nor false")),
        }
    }

    /// The bytes of a BIT STRING that has whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], DerError> {
        match self.value(BIT_STRING)?.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(DerError("a BIT STRING that does not end at a byte")),
        }
    }

    /// A UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5).
    pub(crate) fn time(&mut self) -> Result<Timestamp, DerError> {
        let element = self.any()?;
        match element.tag {
            UTC_TIME => time::utc(element.value),
            GENERALIZED_TIME => time::generalized(element.value),
            _ => None,
        }
        .ok_or(DerError("a time that is not UTC to the second"))
    }
}

/// An element with this tag, written.
pub(crate) fn write(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|&&byte| byte == 0).count()..];
    let mut out = vec![tag];
    match (significant, u8::try_from(significant.len())) {
        (&[] | &[0..=0x7f], _) => out.push(significant.first().copied().unwrap_or(0)),
        (_, count) => {
            out.push(0x80 | count.unwrap_or(8));
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(value);
    out
}

/// A length in `count` big-endian bytes.
fn long_length(rest: &[u8], count: usize) -> Result<(usize, &[u8]), DerError> {
    let (bytes, rest) = rest.split_at_checked(count).ok_or(DerError("it ends too early"))?;
    let length = bytes.iter().fold(0_usize, |length, &byte| (length << 8) | usize::from(byte));
    let shorter = match count {
        1 => 0x80,
        _ => 1 << (8 * (count - 1)),
    };
    if length < shorter {
        return Err(DerError("a length that is not as short as it can be"));
    }
    Ok((length, rest))
}

/// One extension (RFC 5280, 4.2).
pub(crate) struct Extension<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// The extensions of a SEQUENCE OF Extension, each type at most once.
pub(crate) fn extensions<'a, E: From<DerError>>(
    mut list: Reader<'a>,
    mut each: impl FnMut(&Extension<'a>) -> Result<(), E>,
) -> Result<(), E> {
    // Rarely more than two, so nothing is allocated for the first few of an entry.
    let mut seen = [&[][..]; 4];
    let mut more: Vec<&[u8]> = Vec::new();
    let mut count = 0;
    while !list.is_empty() {
        let mut fields = list.inside(SEQUENCE)?;
        let extension = Extension {
            oid: fields.value(OID)?,
            critical: fields.boolean(BOOLEAN)?,
            value: fields.value(OCTET_STRING)?,
        };
        fields.end()?;
        if seen[..count.min(4)].contains(&extension.oid) || more.contains(&extension.oid) {
            return Err(DerError("an extension that stands twice").into());
        }
        match seen.get_mut(count) {
            Some(place) => *place = extension.oid,
            None => more.push(extension.oid),
        }
        count += 1;
        each(&extension)?;
    }
    Ok(())
}

/// An object identifier's content as dotted text, for messages.
pub(crate) fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for &byte in oid {
        arc = (arc << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let Some(&first) = arcs.first() else { return String::new() };
    let top = (first / 40).min(2);
    let mut text = format!("{top}.{}", first - top * 40);
    for arc in &arcs[1..] {
        text.push('.');
        text.push_str(&arc.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_in_order() {
        let mut reader = Reader::new(&[0x30, 3, 2, 1, 5, 4, 0]);
        assert_eq!(reader.inside(SEQUENCE).unwrap().integer(), Ok(&[5][..]));
        assert_eq!(reader.value(OCTET_STRING), Ok(&[][..]));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        for bytes in [
            &[4, 0x81, 1, 0][..],
            &[4, 0x82, 0, 1, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x85, 0, 0, 0, 0, 1, 0],
            &[4, 2, 0],
            &[0x1f, 1, 0],
            &[4],
            &[],
        ] {
            assert!(Reader::new(bytes).any().is_err(), "{bytes:x?}");
        }
        let mut long = vec![4, 0x81, 0x80];
        long.resize(3 + 0x80, 0);
        assert_eq!(Reader::new(&long).value(OCTET_STRING).unwrap().len(), 0x80);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 70_000] {
            let value = vec![7; length];
            let written = write(IA5_STRING, &value);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.value(IA5_STRING), Ok(&value[..]));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn integers_are_as_short_as_they_can_be() {
        for bytes in [&[2, 0][..], &[2, 2, 0, 1], &[2, 2, 0xff, 0x80]] {
            assert!(Reader::new(bytes).integer().is_err(), "{bytes:x?}");
        }
        assert_eq!(Reader::new(&[2, 2, 0, 0x80]).integer(), Ok(&[0, 0x80][..]));
    }

    #[test]
    fn object_identifiers_are_written_dotted() {
        assert_eq!(dotted(&[0x55, 0x1d, 0x14]), "2.5.29.20");
        assert_eq!(dotted(&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5]), "1.3.6.1.5.5.7.48.1.5");
        assert_eq!(dotted(&[0x88, 0x37]), "2.999");
        assert_eq!(dotted(&[]), "");
    }
}
