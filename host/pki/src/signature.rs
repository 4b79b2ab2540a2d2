//! Signatures of what is no certificate: OCSP answers, requests.

use rcgen::{SignatureAlgorithm, SigningKey};

use crate::error::Error;

/// The signature algorithms, with their AlgorithmIdentifier in DER (RFC 5758, RFC 8410, RFC 4055).
static ALGORITHMS: [(&SignatureAlgorithm, &[u8]); 5] = [
    (&rcgen::PKCS_ECDSA_P256_SHA256, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
    (&rcgen::PKCS_ECDSA_P384_SHA384, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
    (&rcgen::PKCS_ECDSA_P521_SHA512, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"),
    (&rcgen::PKCS_ED25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
    (&rcgen::PKCS_RSA_SHA256, b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
];

/// A signature, with the name of how it was made.
#[derive(Clone, Debug)]
pub struct Signature {
    /// AlgorithmIdentifier (RFC 5280, 4.1.1.2), DER.
    pub algorithm_der: &'static [u8],
    /// The content of the BIT STRING.
    pub bytes: Vec<u8>,
}

impl Signature {
    pub(crate) fn make(key: &impl SigningKey, message: &[u8]) -> Result<Self, Error> {
        let algorithm = key.algorithm();
        let (_, algorithm_der) = ALGORITHMS
            .iter()
            .find(|(known, _)| *known == algorithm)
            .ok_or(Error::Signing(rcgen::Error::UnsupportedSignatureAlgorithm))?;
        let bytes = key.sign(message).map_err(Error::Signing)?;
        Ok(Self { algorithm_der, bytes })
    }
}
