//! Answers kept over a restart: a file with the certificate, its issuer and the response, one DER after the other.

use std::sync::Arc;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use portcullis_core::Certificate;

use super::entry::Key;
use super::response::parse_ocsp_response;
use super::store::OcspStore;
use crate::certificate::Pair;
use crate::der::{Reader, SEQUENCE};

const SUFFIX: &str = ".ocsp";

impl Key {
    pub(super) fn state_name(self) -> String {
        let both = [self.subject, self.issuer].concat();
        let sha256 = digest::digest(&digest::SHA256, &both);
        format!("{}{SUFFIX}", HEXLOWER.encode(sha256.as_ref()))
    }
}

impl OcspStore {
    pub(super) fn keep(
        &self,
        key: Key,
        subject: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        answer: &[u8],
    ) {
        let Some(state) = &self.context.state else { return };
        if let Err(error) = state.write(&key.state_name(), &[subject.der(), issuer.der(), answer]) {
            tracing::warn!(%error, "OCSP answer not kept for a restart");
        }
    }

    /// Takes the answers from before the restart that are still in force; every signature is checked again.
    pub(super) fn restore(&self) {
        let Some(state) = &self.context.state else { return };
        let maximum = self.options.maximum_bytes.saturating_add(2 * 64 * 1024);
        for file in state.names(SUFFIX).unwrap_or_default() {
            let bytes = state.read(&file, maximum).ok().flatten().unwrap_or_default();
            if self.restore_one(&file, &bytes).is_none() {
                let _ = state.remove(&file);
            }
        }
    }

    fn restore_one(&self, file: &str, bytes: &[u8]) -> Option<()> {
        let mut reader = Reader::new(bytes);
        let mut next = || Some(reader.element(SEQUENCE).ok()?.whole);
        let subject = Certificate::from_der(next()?.to_vec()).ok()?;
        let issuer = Certificate::from_der(next()?.to_vec()).ok()?;
        let response = parse_ocsp_response(next()?).ok()?;
        reader.end().ok()?;
        if Key::of(&subject, &issuer).state_name() != file {
            return None;
        }
        let statement = self.judge(&response, &Pair::new(&subject, &issuer).ok()?, None).ok()?;
        self.adopt(subject, &issuer, statement);
        Some(())
    }
}
