//! Signatures for policies, checked by aws-lc-rs.

use webpki::ALL_VERIFICATION_ALGS;

/// What a policy asks about a signature.
///
/// The algorithms are DER AlgorithmIdentifiers without their outer header, as rustls-pki-types has them.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) public_key_algorithm: &'a [u8],
    pub(crate) signature_algorithm: &'a [u8],
    pub(crate) public_key: &'a [u8],
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Whether the signature over the message verifies; false for anything malformed or unsupported.
///
/// Several implementations can share one pair of identifiers (ECDSA leaves the curve to the key), so each is tried.
pub(crate) fn verify_signature(question: &Question<'_>) -> bool {
    ALL_VERIFICATION_ALGS
        .iter()
        .filter(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == question.public_key_algorithm
                && algorithm.signature_alg_id().as_ref() == question.signature_algorithm
        })
        .any(|algorithm| {
            let Question { public_key, message, signature, .. } = question;
            algorithm.verify_signature(public_key, message, signature).is_ok()
        })
}
