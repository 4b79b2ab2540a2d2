//! Whom the gate's own certificate is believed from.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::file::{FileError, FileProblem, read};

/// The roots that the gate's certificate has to lead to.
#[derive(Clone, Debug)]
pub struct Roots {
    pub(crate) store: Arc<RootCertStore>,
    /// For people.
    pub(crate) origin: String,
}

/// The system trusts nobody.
#[derive(Debug, thiserror::Error)]
#[error("the roots that the system trusts cannot be read: {0}")]
pub struct NoSystemRoots(String);

impl Roots {
    /// Those of a PEM file and no others.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or anything in it is no certificate to trust.
    pub fn from_file(path: &Path) -> Result<Self, FileError> {
        let pem = read(path)?;
        let mut store = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
            let refused = |reason: String| {
                FileError::new(path, FileProblem::Root { number: index + 1, reason })
            };
            // The parser's own message quotes the text, which may be a key by mistake.
            let certificate =
                certificate.map_err(|_| refused("it is not well-formed PEM".to_owned()))?;
            store.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(FileError::new(path, FileProblem::NoRoot));
        }
        Ok(Self { store: Arc::new(store), origin: format!("the CAs in {}", path.display()) })
    }

    /// Those that the system trusts.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub fn system() -> Result<Self, NoSystemRoots> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            let reason =
                if reasons.is_empty() { "there are none".into() } else { reasons.join("; ") };
            return Err(NoSystemRoots(reason));
        }
        Ok(Self { store: Arc::new(store), origin: "the CAs that the system trusts".to_owned() })
    }

    /// As the TLS library takes them.
    #[must_use]
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};

    use super::*;

    #[test]
    fn a_file_of_roots_holds_certificates_and_nothing_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let validity = Validity { not_before: 1_700_000_000, not_after: 1_900_000_000 };
        let root =
            Authority::root(&Profile::authority("Test", validity)).unwrap().certificate_pem();
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Roots::from_file(&path)
        };
        assert_eq!(read(&root).unwrap().store.len(), 1);
        assert!(matches!(read("").unwrap_err().problem, FileProblem::NoRoot));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let problem = read(&format!("{root}{garbage}")).unwrap_err().problem;
        assert!(matches!(problem, FileProblem::Root { number: 2, .. }), "{problem}");
    }
}
