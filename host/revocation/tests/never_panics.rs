//! Whatever the bytes, nothing panics.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::crl::{CrlProfile, entry, point, reason};
use common::ocsp::{Answer, good};
use common::{NOW, Party, der};
use portcullis_revocation::{parse_crl, parse_ocsp_response};
use proptest::prelude::*;
use std::sync::LazyLock;

static CRL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let ca = Party::root("CA");
    let entries = vec![entry(&[2], &[reason(1)]), entry(&[0, 0x90, 1], &[]), entry(&[5; 20], &[])];
    let profile = CrlProfile { entries, ..CrlProfile::default() };
    profile.with_scope(&[&point("http://ca.example/"), &der::tlv(0x81, &[&[0xff]])]).sign(&ca)
});

static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let ca = Party::root("CA");
    let mut profile = Answer::about(&ca.client(&[2]), &ca.certificate, good());
    profile.certificates = vec![ca.certificate.der().to_vec()];
    profile.nonce = Some(vec![1; 32]);
    profile.produced_at = NOW;
    profile.sign(&ca)
});

/// The bytes with some replaced, and some cut off or added.
fn mutated(original: &'static LazyLock<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let length = original.len();
    let changes = prop::collection::vec((0..length, any::<u8>()), 0..6);
    (changes, 0..=length, prop::collection::vec(any::<u8>(), 0..4), any::<bool>()).prop_map(
        move |(changes, end, tail, cut)| {
            let mut bytes = original.to_vec();
            for (at, value) in changes {
                bytes[at] = value;
            }
            if cut {
                bytes.truncate(end);
            }
            bytes.extend(tail);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn crls(bytes in mutated(&CRL)) {
        if let Ok(crl) = parse_crl(&bytes) {
            let _ = crl.find(&[2]);
        }
    }

    #[test]
    fn ocsp_answers(bytes in mutated(&ANSWER)) {
        let _ = parse_ocsp_response(&bytes);
    }

    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_crl(&bytes);
        let _ = parse_ocsp_response(&bytes);
    }
}

#[test]
fn what_is_mutated_is_read_when_it_is_not() {
    assert_eq!(parse_crl(&CRL).unwrap().entries(), 3);
    parse_ocsp_response(&ANSWER).unwrap();
}
