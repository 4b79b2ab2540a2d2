//! Keys for fixtures: the same in every run.

use aws_lc_rs::digest;
use p256::ecdsa::signature::Signer as _;
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};

use crate::error::Error;

/// The kinds of key that fixtures can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestKeyType {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA of 1024 bits, which signs nothing.
    Rsa1024,
    /// RSA of 2048 bits, PKCS #1 signatures with SHA-256.
    Rsa2048,
    /// RSA of 3072 bits, PKCS #1 signatures with SHA-256.
    Rsa3072,
    /// RSA of 4096 bits, PKCS #1 signatures with SHA-256.
    Rsa4096,
}

/// A key that everybody knows, and that signs the same bytes in the same way each time: for fixtures, never for anything
/// that is to be safe.
pub struct TestKey(Secret);

enum Secret {
    P256 {
        key: Box<p256::ecdsa::SigningKey>,
        point: Vec<u8>,
    },
    P384 {
        key: Box<p384::ecdsa::SigningKey>,
        point: Vec<u8>,
    },
    /// Algorithms whose signatures are the same each time.
    Pair(KeyPair),
    /// The secret is nowhere.
    Public(SubjectPublicKeyInfo),
}

impl TestKey {
    /// The key of this label. Keys of different labels or types differ, but for RSA, of which there is one key a size.
    ///
    /// # Errors
    /// [`Error::Signing`] where the cryptography refuses the key.
    pub fn derive(kind: TestKeyType, label: &str) -> Result<Self, Error> {
        let secret = match kind {
            TestKeyType::P256 => p256(label)?,
            TestKeyType::P384 => p384(label)?,
            TestKeyType::Ed25519 => ed25519(label)?,
            TestKeyType::Rsa1024 => Secret::Public(
                SubjectPublicKeyInfo::from_pem(include_str!("../test-keys/rsa-1024-public.pem"))
                    .map_err(Error::PublicKey)?,
            ),
            TestKeyType::Rsa2048 => pair(include_str!("../test-keys/rsa-2048.pem"))?,
            TestKeyType::Rsa3072 => pair(include_str!("../test-keys/rsa-3072.pem"))?,
            TestKeyType::Rsa4096 => pair(include_str!("../test-keys/rsa-4096.pem"))?,
        };
        Ok(Self(secret))
    }

    /// Whether it signs: an RSA key of 1024 bits does not.
    #[must_use]
    pub fn signs(&self) -> bool {
        !matches!(self.0, Secret::Public(_))
    }
}

fn p256(label: &str) -> Result<Secret, Error> {
    let key = scalar("P-256", label, 32, p256::ecdsa::SigningKey::from_slice)?;
    let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    Ok(Secret::P256 { key: Box::new(key), point })
}

fn p384(label: &str) -> Result<Secret, Error> {
    let key = scalar("P-384", label, 48, p384::ecdsa::SigningKey::from_slice)?;
    let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    Ok(Secret::P384 { key: Box::new(key), point })
}

/// The first of the label's digests that is a scalar of the curve. Nearly always that is the first one.
fn scalar<K, E>(
    curve: &str,
    label: &str,
    length: usize,
    parse: impl Fn(&[u8]) -> Result<K, E>,
) -> Result<K, Error> {
    (0..16)
        .find_map(|attempt| parse(&seed(&format!("{curve} {attempt} {label}"))[..length]).ok())
        .ok_or(Error::Signing(rcgen::Error::KeyGenerationUnavailable))
}

fn ed25519(label: &str) -> Result<Secret, Error> {
    // PKCS #8 around the 32 bytes of the secret (RFC 8410, 7).
    let mut pkcs8 = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    pkcs8.extend_from_slice(&seed(&format!("Ed25519 {label}"))[..32]);
    KeyPair::try_from(pkcs8).map(Secret::Pair).map_err(Error::Signing)
}

fn pair(pem: &str) -> Result<Secret, Error> {
    KeyPair::from_pem(pem).map(Secret::Pair).map_err(Error::Signing)
}

fn seed(text: &str) -> [u8; 48] {
    let mut seed = [0; 48];
    let text = format!("portcullis test key: {text}");
    seed.copy_from_slice(digest::digest(&digest::SHA384, text.as_bytes()).as_ref());
    seed
}

impl PublicKeyData for TestKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.0 {
            Secret::P256 { point, .. } | Secret::P384 { point, .. } => point,
            Secret::Pair(pair) => pair.der_bytes(),
            Secret::Public(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match &self.0 {
            Secret::P256 { .. } => &rcgen::PKCS_ECDSA_P256_SHA256,
            Secret::P384 { .. } => &rcgen::PKCS_ECDSA_P384_SHA384,
            Secret::Pair(pair) => pair.algorithm(),
            Secret::Public(key) => key.algorithm(),
        }
    }
}

impl SigningKey for TestKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.0 {
            Secret::P256 { key, .. } => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                Ok(signature.as_bytes().to_vec())
            }
            Secret::P384 { key, .. } => {
                let signature: p384::ecdsa::DerSignature = key.sign(message);
                Ok(signature.as_bytes().to_vec())
            }
            Secret::Pair(pair) => pair.sign(message),
            Secret::Public(_) => Err(rcgen::Error::RemoteKeyError),
        }
    }
}

/// Without the key.
impl std::fmt::Debug for TestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TestKey").field(self.algorithm()).finish()
    }
}
