//! Signature verification by the host, for webpki and whatever else takes a [`SignatureVerificationAlgorithm`].
//!
//! A sandbox is a poor place for public-key cryptography: slow, and not constant-time. These algorithms hand every
//! signature to the host's `crypto.verify-signature`. None of them has a rule on key sizes; that is the policy's.

use std::fmt;

use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

use crate::bindings::portcullis::policy::crypto;

/// Every algorithm that the host of version 1 verifies, for `webpki::EndEntityCert::verify_for_usage`.
pub static ALL: &[&dyn SignatureVerificationAlgorithm] = &[
    &ECDSA_P256_SHA256,
    &ECDSA_P256_SHA384,
    &ECDSA_P256_SHA512,
    &ECDSA_P384_SHA256,
    &ECDSA_P384_SHA384,
    &ECDSA_P384_SHA512,
    &ECDSA_P521_SHA256,
    &ECDSA_P521_SHA384,
    &ECDSA_P521_SHA512,
    &ED25519,
    &ML_DSA_44,
    &ML_DSA_65,
    &ML_DSA_87,
    &RSA_PKCS1_SHA256,
    &RSA_PKCS1_SHA384,
    &RSA_PKCS1_SHA512,
    &RSA_PKCS1_SHA256_WITHOUT_PARAMETERS,
    &RSA_PKCS1_SHA384_WITHOUT_PARAMETERS,
    &RSA_PKCS1_SHA512_WITHOUT_PARAMETERS,
    &RSA_PSS_SHA256,
    &RSA_PSS_SHA384,
    &RSA_PSS_SHA512,
];

/// A pair of public key and signature algorithm, verified by the host.
pub struct HostVerified {
    name: &'static str,
    public_key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
}

impl SignatureVerificationAlgorithm for HostVerified {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        match crypto::verify_signature(
            &self.public_key,
            &self.signature,
            public_key,
            message,
            signature,
        ) {
            true => Ok(()),
            false => Err(InvalidSignature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.public_key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

impl fmt::Debug for HostVerified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

// The object identifiers 1.2.840.113549.1.1.11 to 13.
const SHA256_WITH_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const SHA384_WITH_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
const SHA512_WITH_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident = $public_key:expr, $signature:expr;)*) => {
        $(
            $(#[$doc])*
            pub static $name: HostVerified = HostVerified {
                name: stringify!($name),
                public_key: $public_key,
                signature: $signature,
            };
        )*
    };
}

algorithms! {
    /// ECDSA on P-256 with SHA-256.
    ECDSA_P256_SHA256 = alg_id::ECDSA_P256, alg_id::ECDSA_SHA256;
    /// ECDSA on P-256 with SHA-384.
    ECDSA_P256_SHA384 = alg_id::ECDSA_P256, alg_id::ECDSA_SHA384;
    /// ECDSA on P-256 with SHA-512.
    ECDSA_P256_SHA512 = alg_id::ECDSA_P256, alg_id::ECDSA_SHA512;
    /// ECDSA on P-384 with SHA-256.
    ECDSA_P384_SHA256 = alg_id::ECDSA_P384, alg_id::ECDSA_SHA256;
    /// ECDSA on P-384 with SHA-384.
    ECDSA_P384_SHA384 = alg_id::ECDSA_P384, alg_id::ECDSA_SHA384;
    /// ECDSA on P-384 with SHA-512.
    ECDSA_P384_SHA512 = alg_id::ECDSA_P384, alg_id::ECDSA_SHA512;
    /// ECDSA on P-521 with SHA-256.
    ECDSA_P521_SHA256 = alg_id::ECDSA_P521, alg_id::ECDSA_SHA256;
    /// ECDSA on P-521 with SHA-384.
    ECDSA_P521_SHA384 = alg_id::ECDSA_P521, alg_id::ECDSA_SHA384;
    /// ECDSA on P-521 with SHA-512.
    ECDSA_P521_SHA512 = alg_id::ECDSA_P521, alg_id::ECDSA_SHA512;
    /// Ed25519 (RFC 8410).
    ED25519 = alg_id::ED25519, alg_id::ED25519;
    /// ML-DSA-44 (RFC 9881).
    ML_DSA_44 = alg_id::ML_DSA_44, alg_id::ML_DSA_44;
    /// ML-DSA-65 (RFC 9881).
    ML_DSA_65 = alg_id::ML_DSA_65, alg_id::ML_DSA_65;
    /// ML-DSA-87 (RFC 9881).
    ML_DSA_87 = alg_id::ML_DSA_87, alg_id::ML_DSA_87;
    /// RSA PKCS #1 v1.5 with SHA-256.
    RSA_PKCS1_SHA256 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256;
    /// RSA PKCS #1 v1.5 with SHA-384.
    RSA_PKCS1_SHA384 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384;
    /// RSA PKCS #1 v1.5 with SHA-512.
    RSA_PKCS1_SHA512 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512;
    /// RSA PKCS #1 v1.5 with SHA-256, the NULL left out that should follow the OID (RFC 4055 wants both accepted).
    RSA_PKCS1_SHA256_WITHOUT_PARAMETERS = alg_id::RSA_ENCRYPTION, AlgorithmIdentifier::from_slice(SHA256_WITH_RSA);
    /// RSA PKCS #1 v1.5 with SHA-384, the NULL left out.
    RSA_PKCS1_SHA384_WITHOUT_PARAMETERS = alg_id::RSA_ENCRYPTION, AlgorithmIdentifier::from_slice(SHA384_WITH_RSA);
    /// RSA PKCS #1 v1.5 with SHA-512, the NULL left out.
    RSA_PKCS1_SHA512_WITHOUT_PARAMETERS = alg_id::RSA_ENCRYPTION, AlgorithmIdentifier::from_slice(SHA512_WITH_RSA);
    /// RSA PSS with SHA-256, by a key for any RSA scheme.
    RSA_PSS_SHA256 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256;
    /// RSA PSS with SHA-384, by a key for any RSA scheme.
    RSA_PSS_SHA384 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384;
    /// RSA PSS with SHA-512, by a key for any RSA scheme.
    RSA_PSS_SHA512 = alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_algorithms_are_those_that_webpki_knows_on_the_host() {
        assert_eq!(pairs(ALL), pairs(webpki::ALL_VERIFICATION_ALGS));
    }

    fn pairs(algorithms: &[&dyn SignatureVerificationAlgorithm]) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
        algorithms
            .iter()
            .map(|one| (one.public_key_alg_id().to_vec(), one.signature_alg_id().to_vec()))
            .collect()
    }
}
