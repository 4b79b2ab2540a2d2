//! Signatures that were found to verify lately, so that the same question is not worked out again.
//!
//! Whether a signature verifies follows from its inputs alone, so remembering an answer changes no verdict; nor what the
//! question costs in fuel. Three policies of a chain that each validate the client's path ask for the same signatures, and
//! those over a client's intermediates are asked for by every other client of the same CA.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::sha256;

use crate::crypto::{self, Question};

/// The parts, each with a lock of its own, by the first byte of the digest.
const PARTS: usize = 16;
/// The most signatures of a generation of one part. With two generations and all parts, 8,192 are kept: half a MiB.
const MAXIMUM_GENERATION: usize = 256;

/// SHA-256 of a question.
type Digest = [u8; 32];

/// Verifies signatures, and remembers the latest that verified. Those that do not are worked out each time.
#[derive(Default)]
pub(crate) struct Signatures {
    parts: [Mutex<Part>; PARTS],
}

/// What was asked for lately is in the newer generation. Once that is full it becomes the older one, whose own is forgotten.
#[derive(Default)]
struct Part {
    newer: HashSet<Digest>,
    older: HashSet<Digest>,
}

impl Signatures {
    /// As [`crypto::verify_signature`].
    pub(crate) fn verify(&self, question: &Question<'_>) -> bool {
        let digest = digest(question);
        if self.part(&digest).remembers(&digest) {
            return true;
        }
        // Without the lock: who asks for another signature of the part need not wait for this one.
        let verifies = crypto::verify_signature(question);
        if verifies {
            self.part(&digest).remember(digest);
        }
        verifies
    }

    fn part(&self, digest: &Digest) -> MutexGuard<'_, Part> {
        self.parts[usize::from(digest[0]) % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    fn remembers(&mut self, digest: &Digest) -> bool {
        if self.newer.contains(digest) {
            return true;
        }
        // Whoever is still asked for stays, however many others come and go.
        let found = self.older.remove(digest);
        if found {
            self.remember(*digest);
        }
        found
    }

    fn remember(&mut self, digest: Digest) {
        if self.newer.len() >= MAXIMUM_GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(digest);
    }
}

/// Each part of the question with its length before it, so that no two questions are the same bytes.
fn digest(question: &Question<'_>) -> Digest {
    let Question { public_key_algorithm, signature_algorithm, public_key, message, signature } =
        question;
    let parts = [public_key_algorithm, signature_algorithm, public_key, message, signature];
    let length = parts.iter().map(|part| part.len() + size_of::<u64>()).sum();
    let mut bytes = Vec::with_capacity(length);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    sha256(&bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
    use rustls_pki_types::alg_id;

    use super::*;

    /// A question whose answer is yes, in the order of its parts.
    pub(crate) fn signed() -> [Vec<u8>; 5] {
        let key = KeyPair::generate().unwrap();
        let message = b"a message".to_vec();
        let signature = key.sign(&message).unwrap();
        let algorithms = [alg_id::ECDSA_P256.to_vec(), alg_id::ECDSA_SHA256.to_vec()];
        let [public_key_algorithm, signature_algorithm] = algorithms;
        let public_key = key.der_bytes().to_vec();
        [public_key_algorithm, signature_algorithm, public_key, message, signature]
    }

    fn question(parts: &[Vec<u8>; 5]) -> Question<'_> {
        let [public_key_algorithm, signature_algorithm, public_key, message, signature] = parts;
        Question { public_key_algorithm, signature_algorithm, public_key, message, signature }
    }

    fn remembered(signatures: &Signatures) -> usize {
        let parts = signatures.parts.iter().map(|part| part.lock().unwrap());
        parts.map(|part| part.newer.len() + part.older.len()).sum()
    }

    #[test]
    fn a_signature_that_verifies_is_remembered_and_goes_on_to_verify() {
        let (signatures, parts) = (Signatures::default(), signed());
        for _ in 0..3 {
            assert!(signatures.verify(&question(&parts)));
            assert_eq!(remembered(&signatures), 1);
        }
    }

    #[test]
    fn no_answer_is_given_to_another_question_than_the_one_it_was_found_for() {
        let (signatures, parts) = (Signatures::default(), signed());
        assert!(signatures.verify(&question(&parts)));
        for index in 0..parts.len() {
            for byte in 0..parts[index].len() {
                let mut other = parts.clone();
                other[index][byte] ^= 1;
                assert!(!signatures.verify(&question(&other)), "byte {byte} of part {index}");
            }
        }
        // The same bytes, cut at another place.
        for index in 1..parts.len() {
            let mut other = parts.clone();
            let moved = other[index].remove(0);
            other[index - 1].push(moved);
            assert!(!signatures.verify(&question(&other)), "the first byte of part {index}");
        }
        assert_eq!(remembered(&signatures), 1);
    }

    #[test]
    fn a_signature_that_does_not_verify_is_not_remembered() {
        let (signatures, mut parts) = (Signatures::default(), signed());
        parts[3].push(b'!');
        assert!(!signatures.verify(&question(&parts)));
        assert_eq!(remembered(&signatures), 0);
    }

    #[test]
    fn what_is_asked_for_stays_among_any_number_of_others_and_these_are_forgotten() {
        let mut part = Part::default();
        let other = |number: u64| sha256(&number.to_le_bytes());
        let wanted = sha256(b"the signature over an intermediate");
        part.remember(wanted);
        for number in 0..100_000 {
            part.remember(other(number));
            assert!(part.remembers(&wanted));
            assert!(part.newer.len() + part.older.len() <= 2 * MAXIMUM_GENERATION);
        }
        assert!(!part.remembers(&other(0)));
        assert!(part.remembers(&other(99_999)));
    }
}
