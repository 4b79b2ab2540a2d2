//! Keys: new ones, and other people's public ones.

use std::fmt;

use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{PublicKeyData as _, RsaKeySize, SubjectPublicKeyInfo};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::error::Error;
use crate::signature::Signature;

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
    /// The kind of a key of another certificate, as its algorithm is named there ("ecdsa-p384", "ed25519", "rsa") and with
    /// its size in bits; P-256 for one that cannot be generated.
    #[must_use]
    pub fn like(algorithm: &str, bits: u32) -> Self {
        match (algorithm, bits) {
            ("ecdsa-p384", _) => Self::P384,
            ("ecdsa-p521", _) => Self::P521,
            ("ed25519", _) => Self::Ed25519,
            ("rsa", ..=2048) => Self::Rsa2048,
            ("rsa", ..=3072) => Self::Rsa3072,
            ("rsa", _) => Self::Rsa4096,
            _ => Self::P256,
        }
    }

    pub(crate) fn generate(self) -> Result<rcgen::KeyPair, Error> {
        use rcgen::KeyPair;
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            Self::Ed25519 => return ed25519(),
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa3072 => rsa(RsaKeySize::_3072),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
        }
        .map_err(Error::Signing)
    }
}

/// In the first version of PKCS #8: OpenSSL 3.0 cannot read the second, in which the public key stands as well (RFC 5958).
fn ed25519() -> Result<rcgen::KeyPair, Error> {
    let key = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
    let key = key.map_err(|_| Error::Randomness)?;
    let key = PrivatePkcs8KeyDer::from(key.as_ref());
    rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519).map_err(Error::Signing)
}

/// A private key that was just generated, for a certificate that somebody else signs.
pub struct KeyPair(rcgen::KeyPair);

impl KeyPair {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::Signing`].
    pub fn generate(kind: KeyType) -> Result<Self, Error> {
        kind.generate().map(Self)
    }

    /// SubjectPublicKeyInfo (RFC 5280, 4.1), DER.
    #[must_use]
    pub fn public_key_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// Signs bytes.
    ///
    /// # Errors
    /// [`Error::Signing`].
    pub fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        Signature::make(&self.0, message)
    }

    /// The private key, PKCS #8 in PEM: a secret.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }
}

/// Without the private key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair")
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
