//! The pins, in an order that makes a large list as fast as a small one.

use crate::line::{self, Digest, LineError, Pin, PinKind};

/// The most pins that are taken.
pub const MAXIMUM_PINS: usize = 100_000;

/// The pins of a list.
#[derive(Clone, Debug, Default)]
pub struct PinList {
    certificates: Sorted,
    subject_public_keys: Sorted,
}

/// Pins with their lines, by digest.
type Sorted = Vec<(Pin, usize)>;

/// What is wrong with a list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// A line is malformed.
    #[error("line {line}: {error}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: LineError,
    },
    /// The list is not text.
    #[error("line {line}: not UTF-8")]
    NotText {
        /// The line of the first byte that is not, counted from 1.
        line: usize,
    },
    /// Two lines pin the same digest, and could say different things of it.
    #[error("line {line}: repeats the pin of line {first}")]
    Repeated {
        /// The later line, counted from 1.
        line: usize,
        /// The earlier line.
        first: usize,
    },
    /// More than [`MAXIMUM_PINS`].
    #[error("line {line}: more than the {MAXIMUM_PINS} pins that a list may have")]
    TooMany {
        /// The line of the first pin too many.
        line: usize,
    },
}

impl PinList {
    /// Reads a list.
    ///
    /// # Errors
    /// The first line that is wrong. A list with one bad line is not used at all: what that line was to accept, or to
    /// end by its expiry, is not known.
    pub fn parse(content: &[u8]) -> Result<Self, ListError> {
        let text = str::from_utf8(content).map_err(|error| {
            let before = &content[..error.valid_up_to()];
            ListError::NotText { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);

        let mut list = Self::default();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let parsed = line::parse(text).map_err(|error| ListError::Line { line, error })?;
            let Some(pin) = parsed else { continue };
            if list.len() == MAXIMUM_PINS {
                return Err(ListError::TooMany { line });
            }
            list.of_kind(pin.kind).push((pin, line));
        }
        sort(&mut list.certificates)?;
        sort(&mut list.subject_public_keys)?;
        Ok(list)
    }

    /// The pin of a certificate's digest.
    pub fn certificate(&self, digest: &[u8]) -> Option<&Pin> {
        find(&self.certificates, digest)
    }

    /// The pin of a public key's digest.
    pub fn subject_public_key(&self, digest: &[u8]) -> Option<&Pin> {
        find(&self.subject_public_keys, digest)
    }

    /// Whether there is no pin.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many pins there are.
    pub fn len(&self) -> usize {
        self.certificates.len() + self.subject_public_keys.len()
    }

    /// The first line whose pin has no label.
    pub fn line_without_label(&self) -> Option<usize> {
        self.certificates
            .iter()
            .chain(&self.subject_public_keys)
            .filter(|(pin, _)| pin.label.is_none())
            .map(|&(_, line)| line)
            .min()
    }

    fn of_kind(&mut self, kind: PinKind) -> &mut Sorted {
        match kind {
            PinKind::Certificate => &mut self.certificates,
            PinKind::SubjectPublicKey => &mut self.subject_public_keys,
        }
    }
}

fn sort(pins: &mut Sorted) -> Result<(), ListError> {
    pins.sort_by_key(|(pin, line)| (pin.digest, *line));
    match pins.windows(2).find(|pair| pair[0].0.digest == pair[1].0.digest) {
        Some(pair) => Err(ListError::Repeated { line: pair[1].1, first: pair[0].1 }),
        None => Ok(()),
    }
}

fn find<'a>(pins: &'a Sorted, digest: &[u8]) -> Option<&'a Pin> {
    let digest = Digest::try_from(digest).ok()?;
    let index = pins.binary_search_by_key(&digest, |(pin, _)| pin.digest).ok()?;
    pins.get(index).map(|(pin, _)| pin)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn line(kind: PinKind, byte: u8) -> String {
        format!("{} {}", kind.word(), HEXLOWER.encode(&[byte; 32]))
    }

    #[test]
    fn every_pin_of_a_long_list_is_found_and_no_other() {
        let number = |index: u32| {
            let mut digest = [0; 32];
            // Not in the order of the digests, as a real list is not.
            digest[..4].copy_from_slice(&index.wrapping_mul(2_654_435_761).to_le_bytes());
            digest
        };
        let lines: Vec<String> =
            (0..10_000).map(|i| format!("spki-sha256 {}", HEXLOWER.encode(&number(i)))).collect();
        let list = PinList::parse(lines.join("\r\n").as_bytes()).expect("a list");
        assert_eq!(list.len(), 10_000);
        for index in 0..10_000 {
            assert!(list.subject_public_key(&number(index)).is_some());
            assert!(list.certificate(&number(index)).is_none());
        }
        assert!(list.subject_public_key(&number(10_000)).is_none());
        assert!(list.subject_public_key(b"short").is_none());
    }

    #[test]
    fn a_fault_names_its_line() {
        let good = line(PinKind::Certificate, 1);
        let error =
            PinList::parse(format!("{good}\n\nspki-sha1 00\n").as_bytes()).expect_err("bad");
        assert_eq!(
            error.to_string(),
            "line 3: `spki-sha1` is no kind of pin: expected `spki-sha256` or `cert-sha256`"
        );
        let error = PinList::parse(b"# \xc3\xa9\n# \xe9\n").expect_err("Latin-1");
        assert_eq!(error, ListError::NotText { line: 2 });
    }

    #[test]
    fn one_digest_pinned_twice_is_a_fault_but_for_different_kinds() {
        let (certificate, key) =
            (line(PinKind::Certificate, 1), line(PinKind::SubjectPublicKey, 1));
        PinList::parse(format!("{certificate}\n{key}").as_bytes()).expect("different kinds");
        let twice = format!("{key} label=a\n{certificate}\n{key} label=b");
        let error = PinList::parse(twice.as_bytes()).expect_err("repeated");
        assert_eq!(error, ListError::Repeated { line: 3, first: 1 });
    }

    #[test]
    fn the_number_of_pins_is_limited() {
        let mut text = String::new();
        for index in 0..=MAXIMUM_PINS {
            text.push_str(&format!("cert-sha256 {index:064x}\n"));
        }
        let error = PinList::parse(text.as_bytes()).expect_err("too many");
        assert_eq!(error, ListError::TooMany { line: MAXIMUM_PINS + 1 });
    }

    #[test]
    fn an_empty_list_is_a_list_and_a_byte_order_mark_no_fault() {
        assert!(PinList::parse(b"").expect("a list").is_empty());
        let marked = format!("\u{feff}{}", line(PinKind::Certificate, 7));
        assert_eq!(PinList::parse(marked.as_bytes()).expect("a list").len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(content in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = PinList::parse(&content);
        }
    }
}
