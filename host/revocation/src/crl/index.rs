//! The revoked certificates of one CRL: sorted by serial number, 32 bytes each.

use portcullis_engine::Timestamp;

/// The bytes of a serial number at most: 20 (RFC 5280, 4.1.2.2), and one for the sign of those that a CA took all
/// bits of.
pub(crate) const MAXIMUM_SERIAL_BYTES: usize = 21;

/// A serial number in two's complement, so wide that equal numbers are equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Serial([u8; MAXIMUM_SERIAL_BYTES]);

impl Serial {
    /// From the content of an INTEGER; none when it is too long to be a serial number.
    pub(crate) fn new(integer: &[u8]) -> Option<Self> {
        let sign = if *integer.first()? & 0x80 == 0 { 0 } else { 0xff };
        let mut bytes = [sign; MAXIMUM_SERIAL_BYTES];
        let start = MAXIMUM_SERIAL_BYTES.checked_sub(integer.len())?;
        bytes[start..].copy_from_slice(integer);
        Some(Self(bytes))
    }
}

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) serial: Serial,
    pub(crate) reason: u8,
    pub(crate) revoked_at: Timestamp,
}

/// Entries that can be looked up.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Box<[Entry]>,
}

impl Index {
    /// Entries in any order. Of several with one serial number the first to revoke counts.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        // CAs write them in order or at random; the sort finds out, and is quick with either.
        entries.sort_unstable_by_key(|entry| (entry.serial, entry.revoked_at));
        entries.dedup_by_key(|entry| entry.serial);
        Self { entries: entries.into_boxed_slice() }
    }

    pub(crate) fn get(&self, serial: Serial) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&serial, |entry| entry.serial).ok()?;
        self.entries.get(at)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: &[u8], revoked_at: Timestamp) -> Entry {
        Entry { serial: Serial::new(serial).unwrap(), reason: 0, revoked_at }
    }

    #[test]
    fn an_entry_takes_32_bytes() {
        assert_eq!(size_of::<Entry>(), 32);
        assert_eq!(Index::new(vec![entry(&[1], 0), entry(&[2], 0)]).memory_bytes(), 64);
    }

    #[test]
    fn serial_numbers_are_told_apart_by_sign_and_length() {
        let serials: [&[u8]; 6] = [&[0], &[1], &[0x80], &[0, 0x80], &[0xff, 0x7f], &[1, 0]];
        let index = Index::new(serials.iter().zip(0..).map(|(s, at)| entry(s, at)).collect());
        for (serial, at) in serials.iter().zip(0..) {
            assert_eq!(index.get(Serial::new(serial).unwrap()).unwrap().revoked_at, at);
        }
        assert_eq!(index.get(Serial::new(&[2]).unwrap()), None);
    }

    #[test]
    fn a_serial_number_has_at_most_21_bytes() {
        assert!(Serial::new(&[1; 21]).is_some());
        assert!(Serial::new(&[1; 22]).is_none());
        assert!(Serial::new(&[]).is_none());
    }

    #[test]
    fn of_two_entries_the_earlier_counts() {
        let index = Index::new(vec![entry(&[7], 9), entry(&[7], 3), entry(&[6], 1)]);
        assert_eq!(index.len(), 2);
        assert_eq!(index.get(Serial::new(&[7]).unwrap()).unwrap().revoked_at, 3);
    }
}
