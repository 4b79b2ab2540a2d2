//! Signatures for policies, checked by aws-lc-rs.

use webpki::ALL_VERIFICATION_ALGS;

/// Whether `signature` over `message` verifies; false for anything malformed or unsupported.
///
/// The algorithms are DER AlgorithmIdentifiers without their outer header, as rustls-pki-types has them. Several
/// implementations can share one pair of identifiers (ECDSA leaves the curve to the key), so each is tried.
pub(crate) fn verify_signature(
    public_key_algorithm: &[u8],
    signature_algorithm: &[u8],
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    ALL_VERIFICATION_ALGS
        .iter()
        .filter(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == public_key_algorithm
                && algorithm.signature_alg_id().as_ref() == signature_algorithm
        })
        .any(|algorithm| algorithm.verify_signature(public_key, message, signature).is_ok())
}
