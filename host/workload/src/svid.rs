//! An X509-SVID with its key.

use std::fmt;
use std::sync::Arc;

use portcullis_core::{Certificate, Timestamp, pem};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::{SpiffeId, X509Svid};

/// This process's certificate, the intermediates and the key, known to belong together.
#[derive(Clone)]
pub struct Svid {
    given: Arc<X509Svid>,
    certificate: Arc<Certificate>,
    key: Arc<CertifiedKey>,
}

/// Why an SVID is of no use. Never holds a part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SvidError {
    #[error("a certificate of the SVID `{id}` cannot be read: {reason}")]
    Certificate { id: SpiffeId, reason: String },
    #[error("the SVID `{id}` has expired")]
    Expired { id: SpiffeId },
    #[error("the key of the SVID `{id}` belongs to another certificate")]
    Mismatch { id: SpiffeId },
    #[error("the key of the SVID `{id}` is of a kind that TLS does not use here")]
    UnusableKey { id: SpiffeId },
}

impl Svid {
    pub(crate) fn new(svid: &Arc<X509Svid>, now: Timestamp) -> Result<Self, SvidError> {
        let id = svid.spiffe_id().clone();
        let unreadable = |reason: String| SvidError::Certificate { id: id.clone(), reason };
        let parsed = |der: &[u8]| {
            Certificate::from_der(der.to_vec()).map_err(|error| unreadable(error.to_string()))
        };
        // All are parsed, for a chain that peers cannot read is better found now.
        for certificate in svid.cert_chain().iter().skip(1) {
            parsed(certificate.as_bytes())?;
        }
        let certificate = parsed(svid.leaf().as_bytes())?;
        if certificate.not_after() < now {
            return Err(SvidError::Expired { id });
        }
        let chain = svid.cert_chain().iter();
        let chain = chain.map(|one| CertificateDer::from(one.as_bytes().to_vec())).collect();
        let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes());
        let key = PrivateKeyDer::Pkcs8(key.clone_key());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                SvidError::Mismatch { id: id.clone() }
            }
            // The text of other errors is about the key.
            _ => SvidError::UnusableKey { id: id.clone() },
        })?;
        let given = Arc::clone(svid);
        Ok(Self { given, certificate: Arc::new(certificate), key: Arc::new(key) })
    }

    /// Its SPIFFE ID.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        self.given.spiffe_id()
    }

    /// The certificate itself.
    #[must_use]
    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// The certificate, the intermediates and the key in PEM. A secret.
    #[must_use]
    pub fn pem(&self) -> String {
        let chain = self.given.cert_chain().iter();
        let chain: String = chain.map(|one| pem("CERTIFICATE", one.as_bytes())).collect();
        chain + &pem("PRIVATE KEY", self.given.private_key().as_bytes())
    }

    /// What TLS presents: the certificate, the intermediates, and the key.
    #[must_use]
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

/// Without the key.
impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("id", self.id())
            .field("serial_number", &self.certificate.serial_number())
            .finish_non_exhaustive()
    }
}
