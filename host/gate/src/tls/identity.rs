//! The server's certificate chain and private key.

use std::fmt;
use std::sync::Arc;

use portcullis_engine::Certificate;
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::IdentityError;

/// The server's certificate chain and private key, known to belong together.
#[derive(Clone)]
pub struct ServerIdentity {
    leaf: Arc<Certificate>,
    intermediates: Arc<[Certificate]>,
    resolver: Arc<SingleCertAndKey>,
}

impl ServerIdentity {
    /// Reads a chain, the server's own certificate first, and its key. Both may stand in one text:
    /// give it twice. Of several keys the first is taken.
    ///
    /// # Errors
    ///
    /// When one of them is missing or cannot be used, or they do not belong together.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<_, _>>()
            .map_err(|error| malformed("certificate chain", &error))?;
        let mut parsed = parse(&chain)?.into_iter();
        let leaf = Arc::new(parsed.next().ok_or(IdentityError::NoCertificate)?);
        let intermediates = parsed.collect();
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
            pem::Error::NoItemsFound => IdentityError::NoKey,
            error => malformed("private key", &error),
        })?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    IdentityError::Mismatch { subject: leaf.subject() }
                }
                // The text of other errors is not for us to vouch for: it is about the key.
                _ => IdentityError::UnusableKey,
            })?;
        Ok(Self { leaf, intermediates, resolver: Arc::new(SingleCertAndKey::from(certified)) })
    }

    /// The server's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.leaf
    }

    /// The certificates that follow it in the chain.
    #[must_use]
    pub fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("subject", &self.leaf.subject())
            .finish_non_exhaustive()
    }
}

/// All are parsed, for a chain that clients cannot read is better found at start.
fn parse(chain: &[CertificateDer<'_>]) -> Result<Vec<Certificate>, IdentityError> {
    let numbered = chain.iter().enumerate();
    let parsed = numbered.map(|(index, der)| {
        Certificate::from_der(der.to_vec()).map_err(|error| IdentityError::Certificate {
            number: index + 1,
            reason: error.to_string(),
        })
    });
    parsed.collect()
}

/// The parser's own messages quote the text, which may be the key.
fn malformed(what: &'static str, error: &pem::Error) -> IdentityError {
    let reason = match error {
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::IllegalSectionStart { .. } => "a `BEGIN` line is damaged",
        pem::Error::MissingSectionEnd { .. } => "an `END` line is missing",
        pem::Error::NoItemsFound => "nothing found",
        _ => "it cannot be read",
    };
    IdentityError::Malformed { what, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn error(chain: &str, key: &str) -> IdentityError {
        ServerIdentity::from_pem(chain.as_bytes(), key.as_bytes()).expect_err("refused")
    }

    #[test]
    fn chain_and_key_may_stand_in_one_text() {
        let (chain, key) = made();
        let both = format!("{key}{chain}");
        let identity = ServerIdentity::from_pem(both.as_bytes(), both.as_bytes()).expect("read");
        assert!(!identity.certificate().sha256().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn the_key_of_another_certificate_is_refused() {
        let (chain, _) = made();
        let (_, key) = made();
        assert!(matches!(error(&chain, &key), IdentityError::Mismatch { .. }));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (chain, key) = made();
        assert_eq!(error(&key, &key), IdentityError::NoCertificate);
        assert_eq!(error(&chain, &chain), IdentityError::NoKey);
        assert_eq!(error("", ""), IdentityError::NoCertificate);
    }

    #[test]
    fn a_damaged_certificate_is_numbered() {
        let (chain, key) = made();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = error(&format!("{chain}{garbage}"), &key);
        assert!(matches!(error, IdentityError::Certificate { number: 2, .. }), "{error}");
    }

    #[test]
    fn neither_errors_nor_debug_show_the_key() {
        let (chain, key) = made();
        let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        let secret = &body[..32];
        let identity = ServerIdentity::from_pem(chain.as_bytes(), key.as_bytes()).expect("read");
        let damaged = [
            key.replace("-----END", "----END"),
            key.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY"),
            key.replace('\n', "\n*"),
            key.replace("BEGIN PRIVATE", "BEGIN RSA PRIVATE")
                .replace("END PRIVATE", "END RSA PRIVATE"),
        ];
        let mut texts = vec![format!("{identity:?}")];
        for key in &damaged {
            let error = error(&chain, key);
            texts.push(format!("{error} {error:?}"));
        }
        assert!(texts.iter().all(|text| !text.contains(secret)), "{texts:?}");
    }
}
