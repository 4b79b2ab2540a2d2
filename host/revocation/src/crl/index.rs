//! The revoked certificates of one CRL, 33 bytes each, found in two reads of memory.

use std::hash::{BuildHasher as _, RandomState};

use portcullis_core::Timestamp;

/// The bytes of a serial number at most: 20 (RFC 5280, 4.1.2.2), and one for the sign of those that a CA took all
/// bits of.
pub(crate) const MAXIMUM_SERIAL_BYTES: usize = 21;

/// A serial number in two's complement, so wide that equal numbers are equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) serial: Serial,
    pub(crate) reason: u8,
    pub(crate) revoked_at: Timestamp,
}

/// How many entries share a bucket on average: few enough to be read at once, and so many that the buckets cost little.
const BUCKET: usize = 4;

/// Entries that can be looked up.
///
/// A binary search through a million of them reads memory twenty times, which takes microseconds; here the hash of a
/// serial number leads to the few entries that have it in common.
#[derive(Debug)]
pub(crate) struct Index {
    /// Bucket by bucket.
    entries: Box<[Entry]>,
    /// Where each bucket begins; the last one is where they all end. A power of two of them.
    starts: Box<[u32]>,
    hasher: RandomState,
}

/// A CRL of so many entries is larger than any that is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Index {
    /// Entries in any order.
    pub(crate) fn new(entries: Vec<Entry>) -> Result<Self, TooMany> {
        let buckets = (entries.len() / BUCKET).next_power_of_two();
        let hasher = RandomState::new();
        let mut index =
            Self { entries: entries.clone().into(), starts: vec![0; buckets + 1].into(), hasher };
        // How many each bucket has; from that, where it ends; and from its end downwards its entries.
        for entry in &entries {
            index.starts[index.bucket(entry.serial)] += 1;
        }
        let mut end = 0_u32;
        for start in &mut index.starts {
            end = end.checked_add(*start).ok_or(TooMany)?;
            *start = end;
        }
        for entry in entries {
            let bucket = index.bucket(entry.serial);
            index.starts[bucket] -= 1;
            index.entries[index.starts[bucket] as usize] = entry;
        }
        Ok(index)
    }

    fn bucket(&self, serial: Serial) -> usize {
        let hash = self.hasher.hash_one(serial);
        // There are fewer buckets than a pointer can count, so the lower bits are all that matter.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is cut further down to the number of buckets"
        )]
        let hash = hash as usize;
        hash & (self.starts.len() - 2)
    }

    /// Of several entries with this serial number the first to revoke counts.
    pub(crate) fn get(&self, serial: Serial) -> Option<&Entry> {
        let bucket = self.bucket(serial);
        let (start, end) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        let same = |entry: &&Entry| entry.serial == serial;
        self.entries[start..end].iter().filter(same).min_by_key(|entry| entry.revoked_at)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.entries) + size_of_val(&*self.starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: &[u8], revoked_at: Timestamp) -> Entry {
        Entry { serial: Serial::new(serial).unwrap(), reason: 0, revoked_at }
    }

    fn index(entries: Vec<Entry>) -> Index {
        Index::new(entries).unwrap()
    }

    #[test]
    fn an_entry_takes_at_most_34_bytes() {
        for count in [1_u32, 100, 1023, 4096, 10_000] {
            let entries = (0..count).map(|n| entry(&(0x0100_0000 + n).to_be_bytes(), 0)).collect();
            let bytes = index(entries).memory_bytes();
            assert!(bytes <= 34 * count as usize + 8, "{count}: {bytes}");
        }
    }

    #[test]
    fn every_entry_is_found_and_no_other() {
        for count in [0_u32, 1, 3, 4, 5, 1000] {
            let serial = |n: u32| (0x0100_0000 + 7 * n).to_be_bytes();
            let index = index((0..count).map(|n| entry(&serial(n), n.into())).collect());
            assert_eq!(index.len(), count as usize);
            for n in 0..count {
                let found = index.get(Serial::new(&serial(n)).unwrap()).unwrap();
                assert_eq!(found.revoked_at, i64::from(n));
            }
            assert_eq!(index.get(Serial::new(&serial(count)).unwrap()), None);
        }
    }

    #[test]
    fn serial_numbers_are_told_apart_by_sign_and_length() {
        let serials: [&[u8]; 6] = [&[0], &[1], &[0x80], &[0, 0x80], &[0xff, 0x7f], &[1, 0]];
        let index = index(serials.iter().zip(0..).map(|(s, at)| entry(s, at)).collect());
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
        let index = index(vec![entry(&[7], 9), entry(&[7], 3), entry(&[6], 1)]);
        assert_eq!(index.get(Serial::new(&[7]).unwrap()).unwrap().revoked_at, 3);
    }
}
