//! What the server presents: a certificate of the authority's own, in memory only.

use std::sync::Arc;

use portcullis_core::{Timestamp, with_causes};
use portcullis_pki::{AltName, KeyType};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Mutex;

use super::SharedCa;
use crate::ask::{Ask, Usage};
use crate::ca::Ca;
use crate::error::Error;
use crate::issue::Issued;

/// How long it is valid, in seconds, if certificates may be so long.
const LIFETIME_SECONDS: i64 = 24 * 60 * 60;
const COMMON_NAME: &str = "portcullis ca serve";

/// The server's certificate and key.
pub(super) struct OwnCertificate {
    names: Vec<AltName>,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    /// When another one is issued.
    due: Timestamp,
}

impl OwnCertificate {
    /// Has one issued for these names.
    pub(super) fn new(
        ca: &Ca,
        names: Vec<AltName>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let current = Mutex::new(issue(ca, &names, &provider)?);
        Ok(Self { names, provider, current })
    }

    /// The one to present now. At two thirds of its time another one is issued.
    pub(super) async fn current(&self, ca: &SharedCa) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().await;
        let (due, names, provider) = (current.due, self.names.clone(), Arc::clone(&self.provider));
        let renewed = ca.with(move |ca| match ca.clock.now() < due {
            true => Ok(None),
            false => issue(ca, &names, &provider).map(Some),
        });
        match renewed.await {
            Ok(Some(renewed)) => *current = renewed,
            Ok(None) => {}
            // Clients say so as well, as soon as it has expired.
            Err(error) => tracing::error!("no new server certificate: {}", with_causes(&error)),
        }
        Arc::clone(&current.key)
    }
}

fn issue(ca: &Ca, names: &[AltName], provider: &CryptoProvider) -> Result<Current, Error> {
    let lifetime = LIFETIME_SECONDS.min(ca.longest_lifetime());
    let issued = ca.issue(&Ask {
        name: COMMON_NAME.to_owned(),
        alt_names: names.to_vec(),
        usage: Usage::Server,
        lifetime,
        key: KeyType::P256,
    })?;
    let key = certified_key(&issued, provider).map_err(Error::Encoding)?;
    let due = ca.clock.now().saturating_add(lifetime / 3 * 2);
    Ok(Current { key: Arc::new(key), due })
}

fn certified_key(issued: &Issued, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let key_pem = issued.key_pem.as_deref().unwrap_or_default();
    // What the parser says may quote the key.
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| "the server's key cannot be read".to_owned())?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| error.to_string())
}
