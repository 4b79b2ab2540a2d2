//! Keys: new ones, and other people's public ones.

use rcgen::{KeyPair, RsaKeySize, SubjectPublicKeyInfo};

use crate::error::Error;

/// The kinds of key that can be generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// ECDSA on P-521 with SHA-512.
    P521,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA of 2048 bits, PKCS #1 signatures with SHA-256.
    Rsa2048,
    /// RSA of 3072 bits, PKCS #1 signatures with SHA-256.
    Rsa3072,
    /// RSA of 4096 bits, PKCS #1 signatures with SHA-256.
    Rsa4096,
}

impl KeyType {
    pub(crate) fn generate(self) -> Result<KeyPair, Error> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa3072 => rsa(RsaKeySize::_3072),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
        }
        .map_err(Error::Signing)
    }
}

/// A public key whose private key is elsewhere: with its owner, or of a size that is not generated here.
#[derive(Clone, Debug)]
pub struct PublicKey(pub(crate) SubjectPublicKeyInfo);

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280, 4.1).
    ///
    /// # Errors
    /// [`Error::PublicKey`] if it is malformed or of an unknown algorithm.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        SubjectPublicKeyInfo::from_der(der).map(Self).map_err(Error::PublicKey)
    }

    /// Reads a `PUBLIC KEY` in PEM (RFC 7468, 13), as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if it is malformed or of an unknown algorithm.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        SubjectPublicKeyInfo::from_pem(pem).map(Self).map_err(Error::PublicKey)
    }
}
