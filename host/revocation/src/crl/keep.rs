//! CRLs kept over a restart: a file with the source's name, the CRL and the certificate of its signer, one DER after the
//! other.

use std::sync::Arc;

use portcullis_core::{Certificate, Timestamp};

use super::read::{self, Circumstances};
use super::source::Source;
use super::store::CrlStore;
use crate::der::{self, IA5_STRING, Reader, SEQUENCE};
use crate::url::Url;

impl CrlStore {
    /// Saves a CRL whose signature has been checked, and lets go of its encoding.
    pub(super) fn settle(&self, source: &Source) {
        let Some(current) = source.progress().current.clone() else { return };
        let (Some(der), Some(signer)) = (current.take_der(), current.signer()) else { return };
        let Some(state) = &self.context.state else { return };
        let name = der::write(IA5_STRING, source.name.as_bytes());
        if let Err(error) = state.write(&source.state_name(), &[&name, &der, signer.der()]) {
            tracing::warn!(source = %source.name, %error, "CRL not kept for a restart");
        }
    }

    /// Takes the last good CRLs from before the restart; every signature is checked again.
    pub(super) fn restore(&self, now: Timestamp) {
        let Some(state) = &self.context.state else { return };
        let maximum = self.options.maximum_bytes.saturating_add(128 * 1024);
        for file in state.names(".crl").unwrap_or_default() {
            let bytes = state.read(&file, maximum).ok().flatten().unwrap_or_default();
            if self.restore_one(&file, &bytes, now).is_none() {
                tracing::warn!(
                    file,
                    "kept CRL not used: of no source that is configured or allowed, or damaged"
                );
                let _ = state.remove(&file);
            }
        }
        self.publish(&self.sources());
    }

    fn restore_one(&self, file: &str, bytes: &[u8], now: Timestamp) -> Option<()> {
        let mut reader = Reader::new(bytes);
        let name = std::str::from_utf8(reader.value(IA5_STRING).ok()?).ok()?;
        let der = reader.element(SEQUENCE).ok()?.whole.to_vec();
        let signer = Certificate::from_der(reader.element(SEQUENCE).ok()?.whole.to_vec()).ok()?;
        reader.end().ok()?;
        let known = self.sources().iter().find(|source| *source.name == *name).cloned();
        let source = match known {
            Some(source) => source,
            None => {
                let url = Url::parse(name).ok().filter(|url| self.context.allowed.allow(url))?;
                self.source_of(&url)?
            }
        };
        let circumstances = Circumstances {
            source: &source.name,
            current: None,
            issuers: &[Arc::new(signer)],
            now,
            terms: self.terms(),
        };
        let loaded = read::read(der, &circumstances).ok().flatten()?;
        if source.state_name() != file || loaded.signer().is_none() {
            return None;
        }
        // It is on disk already.
        loaded.take_der();
        let mut progress = source.progress();
        progress.was_fresh = loaded.fresh(now, self.terms()).is_ok();
        progress.current = Some(Arc::new(loaded));
        Some(())
    }
}
