//! What a client presents: a certificate chain and its key, and where they come from.

use std::fmt;
use std::sync::Arc;

use portcullis_core::Certificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Where a client's identity comes from: files, or whatever else renews it.
pub trait IdentitySource: Send + Sync {
    /// The identity to present from now on. Asked for every request, so it must be quick: whoever has to wait for a
    /// renewal does so elsewhere, and gives the last good identity until then.
    ///
    /// # Errors
    ///
    /// When there is none yet, or none any longer. A request that waits for the gate waits for this, too.
    fn current(&self) -> Result<Arc<ClientIdentity>, NoIdentity>;
}

/// Why there is nothing to present at the moment, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentity(pub String);

/// A client's certificate chain and private key, known to belong together.
pub struct ClientIdentity {
    generation: u64,
    certificate: Certificate,
    key: Arc<CertifiedKey>,
}

/// Why there is no identity. Never holds a part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The first certificate cannot be read.
    #[error("the first certificate cannot be read: {0}")]
    Certificate(String),
    /// The PEM text is damaged.
    #[error("the {what} is not well-formed PEM: {reason}")]
    Malformed {
        /// "certificate" or "private key".
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the first certificate, `{subject}`")]
    Mismatch {
        /// The first certificate's subject.
        subject: String,
    },
    /// There is no certificate.
    #[error("no certificate found: expected `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// There is no private key.
    #[error(
        "no private key found: expected `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY` \
         (decrypt an encrypted key first)"
    )]
    NoKey,
    /// The key is of a kind that the TLS library cannot use.
    #[error(
        "the private key cannot be used: give ECDSA (P-256, P-384, P-521), Ed25519 or RSA of 2048 bits or more"
    )]
    UnusableKey,
}

impl ClientIdentity {
    /// Reads a chain, the client's own certificate first, and its key. Both may stand in one text: give it twice.
    /// `generation` tells this identity from those that the same source gave before.
    ///
    /// # Errors
    ///
    /// When one of them is missing or cannot be used, or they do not belong together.
    pub fn from_pem(
        generation: u64,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<_, _>>()
            .map_err(|error| malformed("certificate", &error))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
            pem::Error::NoItemsFound => IdentityError::NoKey,
            error => malformed("private key", &error),
        });
        // What is wrong with the chain is the better news of the two.
        let certificate = first(&chain)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key?, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                IdentityError::Mismatch { subject: certificate.subject() }
            }
            // The text of other errors is about the key.
            _ => IdentityError::UnusableKey,
        })?;
        Ok(Self { generation, certificate, key: Arc::new(key) })
    }

    /// An identity whose key is wherever its `CertifiedKey` keeps it.
    ///
    /// # Errors
    ///
    /// When there is no certificate, or the first one cannot be read.
    pub fn new(generation: u64, key: Arc<CertifiedKey>) -> Result<Self, IdentityError> {
        let certificate = first(&key.cert)?;
        Ok(Self { generation, certificate, key })
    }

    /// The same generation from the same source is the same identity.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The client's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("generation", &self.generation)
            .field("subject", &self.certificate.subject())
            .field("serial_number", &self.certificate.serial_number())
            .finish_non_exhaustive()
    }
}

fn first(chain: &[CertificateDer<'_>]) -> Result<Certificate, IdentityError> {
    let der = chain.first().ok_or(IdentityError::NoCertificate)?;
    Certificate::from_der(der.to_vec())
        .map_err(|error| IdentityError::Certificate(error.to_string()))
}

/// The parser's own messages quote the text, which may be the key.
fn malformed(what: &'static str, error: &pem::Error) -> IdentityError {
    let reason = match error {
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::IllegalSectionStart { .. } => "a `BEGIN` line is damaged",
        pem::Error::MissingSectionEnd { .. } => "an `END` line is missing",
        _ => "it cannot be read",
    };
    IdentityError::Malformed { what, reason }
}
