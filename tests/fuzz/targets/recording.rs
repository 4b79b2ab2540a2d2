//! A recording: whatever has become of it, it is read up to the damage, or refused.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use portcullis_recording::{FileHeader, Reader, Record, RecordedDecision, RecordedVerdict, file_of_one};

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // Behind right checksums, which a fuzzer does not find.
    let mut file = whole();
    let record = file.len();
    let length = u32::try_from(bytes.len()).expect("inputs are short");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    let checksum = crc32fast::hash(&file[record..]);
    file.extend_from_slice(&checksum.to_le_bytes());
    file.extend_from_slice(bytes);
    assert!(read(&file) >= 1, "what stands before it is read");
});

/// The number of records that can be read.
fn read(bytes: &[u8]) -> usize {
    let Ok(reader) = Reader::new(bytes) else { return 0 };
    let records = reader.filter_map(|item| item.ok()?.decode().ok());
    records.map(|record| (record.handshake().is_ok(), record.recorded_answers())).count()
}

/// A file of one record.
fn whole() -> Vec<u8> {
    let header = FileHeader { created: 0, host_version: String::new(), policies: Vec::new() };
    let verdict =
        RecordedVerdict::Accepted { principal: None, attributes: Vec::new(), valid_until: None };
    let record = Record {
        certificates: Vec::new(),
        time: 0,
        peer_address: SocketAddr::from(([192, 0, 2, 1], 1)).into(),
        server_name: None,
        answers: Vec::new(),
        answers_complete: true,
        decision: RecordedDecision { verdict, policies: Vec::new() },
    };
    file_of_one(&header, &record).expect("a small record")
}
