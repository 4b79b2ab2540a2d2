//! How an https server is believed, and what the gate shows it.

use std::fmt;
use std::sync::Arc;

use portcullis_core::sha256;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The gate as a TLS client of an https server. Two are equal if they were made from the same certificates and key.
#[derive(Clone)]
pub struct UpstreamTls {
    config: Arc<ClientConfig>,
    /// Of what it was made from.
    sha256: [u8; 32],
}

/// Why TLS cannot be set up towards a server. No text is taken over from the files, one of which has the key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamTlsError {
    /// The chain to present is none.
    #[error("there is no usable PEM certificate in it")]
    Certificate,
    /// The key is missing, of a kind that is not known, or another certificate's.
    #[error("there is no PEM private key in it that belongs to the certificate")]
    Key,
    /// The system has no roots, or they cannot be read.
    #[error("the system has no root certificates: name a PEM file of them")]
    NoSystemRoots,
    /// The roots are none.
    #[error("there is no usable PEM certificate in it")]
    Roots,
}

impl UpstreamTls {
    /// Trusts the roots of a PEM text, or else the system's; an empty text trusts nobody. Presents a certificate if given
    /// one: its chain, the certificate itself first, and its key, both as PEM.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used.
    pub fn new(
        roots: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, UpstreamTlsError> {
        let roots = match roots {
            Some(pem) => root_store(pem)?,
            None => system_roots()?,
        };
        let sha256 = digest(&roots, identity);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            // The provider has the default versions' suites.
            .map_err(|_| UpstreamTlsError::Certificate)?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| UpstreamTlsError::Key)?;
                builder
                    .with_client_auth_cert(certificates(chain)?, key)
                    .map_err(|_| UpstreamTlsError::Key)?
            }
        };
        Ok(Self { config: Arc::new(config), sha256 })
    }

    pub(super) fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.config)
    }
}

impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl Eq for UpstreamTls {}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").finish_non_exhaustive()
    }
}

/// Each part with its length before it, so that no two lists of parts give the same bytes.
fn digest(roots: &RootCertStore, identity: Option<(&[u8], &[u8])>) -> [u8; 32] {
    let mut bytes = Vec::new();
    let mut add = |part: &[u8]| {
        bytes.extend(part.len().to_be_bytes());
        bytes.extend(part);
    };
    for root in &roots.roots {
        add(&root.subject);
        add(&root.subject_public_key_info);
        add(root.name_constraints.as_deref().unwrap_or_default());
    }
    add(&[]);
    if let Some((chain, key)) = identity {
        add(chain);
        add(key);
    }
    sha256(&bytes)
}

fn root_store(pem: &[u8]) -> Result<RootCertStore, UpstreamTlsError> {
    let mut store = RootCertStore::empty();
    if pem.is_empty() {
        return Ok(store);
    }
    for root in certificates(pem).map_err(|_| UpstreamTlsError::Roots)? {
        store.add(root).map_err(|_| UpstreamTlsError::Roots)?;
    }
    Ok(store)
}

/// Those of them that can be used: a system's store has what it has.
fn system_roots() -> Result<RootCertStore, UpstreamTlsError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a part of the system's root certificates cannot be read");
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() { Err(UpstreamTlsError::NoSystemRoots) } else { Ok(store) }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, UpstreamTlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| UpstreamTlsError::Certificate)?;
    if certificates.is_empty() { Err(UpstreamTlsError::Certificate) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_no_key_is_told() {
        let error = |roots: &[u8], identity| UpstreamTls::new(Some(roots), identity).err();
        assert_eq!(error(b"", None), None);
        assert_eq!(error(b"text", None), Some(UpstreamTlsError::Roots));
        let garbage: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(garbage, None), Some(UpstreamTlsError::Roots));
        assert_eq!(error(b"", Some((garbage, b"text"))), Some(UpstreamTlsError::Key));
    }
}
