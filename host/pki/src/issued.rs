//! A certificate that was just made.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// A certificate for a key that its owner keeps.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate_der: Vec<u8>,
    /// The same in PEM.
    pub certificate_pem: String,
    /// What a TLS peer sends: the certificate and the intermediates up to the root, without it. PEM, leaf first.
    pub chain_pem: String,
}

/// A certificate with its new private key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate_der: Vec<u8>,
    /// The same in PEM.
    pub certificate_pem: String,
    /// What a TLS peer sends: the certificate and the intermediates up to the root, without it. PEM, leaf first.
    pub chain_pem: String,
    /// The private key, PKCS #8 in PEM. A secret.
    pub key_pem: String,
}

impl Issued {
    /// SHA-256 of the certificate in lower-case hexadecimal, as a pin list has it.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        let sha256 = digest::digest(&digest::SHA256, &self.certificate_der);
        HEXLOWER.encode(sha256.as_ref())
    }
}

/// Without the private key.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("chain_pem", &self.chain_pem)
            .field("key_pem", &"redacted")
            .finish_non_exhaustive()
    }
}
