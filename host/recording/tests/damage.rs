//! What is read of a file that is no longer what was written: all before the damage, and a word about it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use common::{file, items, record, records};
use portcullis_recording::{Damage, ReadError};
use proptest::prelude::*;

fn three() -> (Vec<u8>, Vec<usize>) {
    file(&[record(1), record(2), record(3)])
}

fn damage_at(error: &ReadError) -> Option<(u64, &Damage)> {
    match error {
        ReadError::Damaged { offset, damage } => Some((*offset, damage)),
        _ => None,
    }
}

#[test]
fn what_was_written_is_read() {
    let items = items(&three().0).unwrap();
    assert_eq!(records(&items), [record(1), record(2), record(3)]);
    assert_eq!(items.len(), 3);
}

#[test]
fn a_file_cut_off_anywhere_gives_every_whole_record_and_says_that_it_is_torn() {
    let (bytes, starts) = three();
    for length in 0..bytes.len() {
        let whole = starts.iter().filter(|&&start| start <= length).count().saturating_sub(1);
        match items(&bytes[..length]) {
            Err(ReadError::NotARecording) => assert!(length < 8, "{length}"),
            Err(ReadError::Head(Damage::Torn)) => assert!(length < starts[0], "{length}"),
            Err(other) => panic!("{length}: {other}"),
            Ok(items) => {
                assert_eq!(records(&items).len(), whole, "{length}");
                let torn = items.iter().find_map(|item| damage_at(item.as_ref().err()?));
                let start = starts.iter().find(|&&start| start == length);
                let expected = start.is_none().then(|| (starts[whole] as u64, &Damage::Torn));
                assert_eq!(torn, expected, "{length}");
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_found_and_costs_nothing_before_it() {
    let (bytes, starts) = three();
    let written = [record(1), record(2), record(3)];
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            let before = starts[1..].iter().filter(|&&start| start <= position).count();
            let Ok(items) = items(&damaged) else {
                assert!(position < starts[0], "{position}");
                continue;
            };
            let found = items.iter().filter(|item| item.is_err()).count();
            assert_eq!(found, 1, "byte {position}, bit {bit}");
            let read = records(&items);
            assert_eq!(read[..before.min(read.len())], written[..before], "byte {position}");
            assert!(read.iter().all(|one| written.contains(one)), "byte {position}, bit {bit}");
            let in_content = starts.iter().any(|&start| position >= start + 12)
                && !starts.iter().any(|start| (*start..start + 12).contains(&position));
            if in_content {
                assert_eq!(read.len(), 2, "only the damaged record is lost, byte {position}");
            }
        }
    }
}

#[test]
fn a_damaged_head_costs_no_record() {
    let (mut bytes, starts) = three();
    bytes[starts[0] - 1] ^= 1;
    let items = items(&bytes).unwrap();
    assert!(matches!(items[0], Err(ReadError::Head(Damage::Checksum))));
    assert_eq!(records(&items).len(), 3);
}

#[test]
fn another_version_and_other_files_are_told_apart() {
    let (mut bytes, _) = three();
    bytes[8] = 2;
    assert!(matches!(items(&bytes), Err(ReadError::Version(2))));
    for other in [&b""[..], b"x", b"-----BEGIN CERTIFICATE-----\n", &[0; 64]] {
        assert!(matches!(items(other), Err(ReadError::NotARecording)));
    }
}

/// A frame whose checksums are right, whatever it holds.
fn frame(content: &[u8], length: u32) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}

#[test]
fn a_huge_length_is_refused_without_being_believed() {
    let (mut bytes, starts) = file(&[record(1)]);
    let end = bytes.len() as u64;
    bytes.extend_from_slice(&frame(b"", u32::MAX));
    let items = items(&bytes).unwrap();
    assert_eq!(records(&items).len(), starts.len());
    let error = items.last().unwrap().as_ref().unwrap_err();
    assert_eq!(damage_at(error), Some((end, &Damage::TooLarge(u32::MAX))));
}

#[test]
fn lengths_inside_a_record_are_not_believed_either() {
    // A list of 2^63 certificates, and one of as many as the limit lets through in bytes.
    for claimed in [&[253, 255, 255, 255, 255, 255, 255, 255, 127][..], &[252, 0, 0, 64, 1]] {
        let (mut bytes, _) = file(&[]);
        bytes.extend_from_slice(&file(&[record(1)]).0);
        bytes.extend_from_slice(&frame(claimed, u32::try_from(claimed.len()).unwrap()));
        let items = items(&bytes).unwrap();
        assert!(matches!(
            items.last().unwrap().as_ref().unwrap().decode(),
            Err(ReadError::Damaged { damage: Damage::Malformed(_), .. })
        ));
    }
}

#[test]
fn bytes_behind_a_record_in_its_frame_are_damage() {
    let (bytes, starts) = file(&[record(1)]);
    let mut content = bytes[starts[0] + 12..].to_vec();
    content.push(0);
    let mut longer = bytes[..starts[0]].to_vec();
    longer.extend_from_slice(&frame(&content, u32::try_from(content.len()).unwrap()));
    let items = items(&longer).unwrap();
    assert!(items[0].as_ref().unwrap().decode().is_err());
}

proptest! {
    #[test]
    fn whatever_stands_in_a_file_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        if let Ok(items) = items(&bytes) {
            records(&items);
        }
    }

    #[test]
    fn whatever_a_frame_holds_is_a_record_or_malformed(content in proptest::collection::vec(any::<u8>(), 0..512)) {
        let (mut bytes, _) = file(&[record(1)]);
        bytes.extend_from_slice(&frame(&content, u32::try_from(content.len()).unwrap()));
        let items = items(&bytes).unwrap();
        prop_assert!(items.iter().all(Result::is_ok));
        prop_assert_eq!(&records(&items)[0], &record(1));
    }

    #[test]
    fn several_changes_at_once_never_give_a_record_that_was_not_written(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (mut bytes, _) = three();
        for (index, value) in changes {
            let position = index.index(bytes.len());
            bytes[position] = value;
        }
        if let Ok(items) = items(&bytes) {
            let written = [record(1), record(2), record(3)];
            prop_assert!(records(&items).iter().all(|one| written.contains(one)));
        }
    }
}
