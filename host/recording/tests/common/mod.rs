//! Records to write and to damage.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_recording::{
    AssetIdentity, FileHeader, PolicyIdentity, RawRecord, ReadError, Reader, Record,
    RecordedAnswer, RecordedAttribute, RecordedDecision, RecordedLine, RecordedOutcome,
    RecordedPart, RecordedStatus, RecordedVerdict, file_of_one,
};

pub fn policies() -> Arc<[PolicyIdentity]> {
    Arc::new([PolicyIdentity {
        name: "ca-chain".to_owned(),
        step: 0,
        shadow: false,
        component_sha256: "01".repeat(32),
        settings_sha256: "02".repeat(32),
        assets: vec![AssetIdentity { name: "anchors".to_owned(), sha256: "03".repeat(32) }],
    }])
}

pub fn header() -> FileHeader {
    FileHeader {
        created: 1_795_000_000,
        host_version: "0.1.0".to_owned(),
        policies: policies().to_vec(),
    }
}

/// A record that its number tells from others.
pub fn record(number: i64) -> Record {
    let attributes =
        vec![RecordedAttribute { name: "ca-chain.depth".to_owned(), value: number.to_string() }];
    Record {
        certificates: vec![vec![0x30; 40], vec![0x31; 20]],
        time: number,
        peer_address: SocketAddr::from(([192, 0, 2, 1], 49152)).into(),
        server_name: Some("gate.example".to_owned()),
        answers: vec![RecordedAnswer {
            subject_sha256: [4; 32],
            issuer_sha256: [5; 32],
            asked: "crl".to_owned(),
            status: RecordedStatus::Unknown,
            source: String::new(),
            detail: "none".to_owned(),
            revoked_at: None,
            this_update: Some(number),
            next_update: None,
        }],
        answers_complete: true,
        decision: RecordedDecision {
            verdict: RecordedVerdict::Accepted {
                principal: Some("alice".to_owned()),
                attributes: attributes.clone(),
                valid_until: None,
            },
            policies: vec![RecordedPart {
                policy: "ca-chain".to_owned(),
                shadow: false,
                outcome: RecordedOutcome::Accepted {
                    principal: Some("alice".to_owned()),
                    attributes,
                    valid_until: None,
                },
                log: vec![RecordedLine { level: "info".to_owned(), text: "hello".to_owned() }],
                elapsed_us: 12,
                memory_bytes: 65536,
            }],
        },
    }
}

/// A file of these records, and where each begins.
pub fn file(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for record in records {
        let one = file_of_one(&header(), record).unwrap();
        let mut reader = Reader::new(Cursor::new(&one)).unwrap();
        let start = usize::try_from(reader.next().unwrap().unwrap().offset).unwrap();
        if bytes.is_empty() {
            bytes.extend_from_slice(&one[..start]);
        }
        starts.push(bytes.len());
        bytes.extend_from_slice(&one[start..]);
    }
    (bytes, starts)
}

/// All that is in a file.
pub fn items(bytes: &[u8]) -> Result<Vec<Result<RawRecord, ReadError>>, ReadError> {
    Ok(Reader::new(Cursor::new(bytes))?.collect())
}

/// The records of a file that can be read.
pub fn records(items: &[Result<RawRecord, ReadError>]) -> Vec<Record> {
    items.iter().filter_map(|item| item.as_ref().ok()?.decode().ok()).collect()
}
