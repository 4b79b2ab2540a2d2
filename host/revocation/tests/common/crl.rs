//! CRLs that can be wrong in one way each.

use super::der::{self, sequence};
use super::{HOUR, NOW, Party};

/// What is in a CRL.
#[derive(Clone)]
pub struct CrlProfile {
    pub version: Option<u8>,
    pub issuer: Option<Vec<u8>>,
    pub this_update: i64,
    pub next_update: Option<i64>,
    /// Each the whole encoding.
    pub entries: Vec<Vec<u8>>,
    /// Each the whole encoding.
    pub extensions: Vec<Vec<u8>>,
    pub inner_algorithm: Vec<u8>,
}

impl Default for CrlProfile {
    fn default() -> Self {
        Self {
            version: Some(1),
            issuer: None,
            this_update: NOW - HOUR,
            next_update: Some(NOW + HOUR),
            entries: Vec::new(),
            extensions: vec![number(&[7])],
            inner_algorithm: der::ecdsa_with_sha256(),
        }
    }
}

impl CrlProfile {
    /// Lists these serial numbers, revoked an hour before its issue.
    pub fn listing(serials: &[&[u8]]) -> Self {
        let entries = serials.iter().map(|serial| entry(serial, &[])).collect();
        Self { entries, ..Self::default() }
    }

    pub fn with_extension(mut self, dotted: &str, critical: bool, value: &[u8]) -> Self {
        self.extensions.push(der::extension(dotted, critical, value));
        self
    }

    /// With an IssuingDistributionPoint of this content.
    pub fn with_scope(self, content: &[&[u8]]) -> Self {
        self.with_extension("2.5.29.28", true, &sequence(content))
    }

    pub fn sign(&self, issuer: &Party) -> Vec<u8> {
        let version = self.version.map(|version| der::integer(&[version])).unwrap_or_default();
        let name = self.issuer.clone().unwrap_or_else(|| issuer.name());
        let next = self.next_update.map(der::time).unwrap_or_default();
        let list =
            |parts: &[Vec<u8>]| sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let entries = if self.entries.is_empty() { Vec::new() } else { list(&self.entries) };
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            der::tlv(0xa0, &[&list(&self.extensions)])
        };
        let message = sequence(&[
            &version,
            &self.inner_algorithm,
            &name,
            &der::time(self.this_update),
            &next,
            &entries,
            &extensions,
        ]);
        let signature = der::bits(&issuer.sign(&message));
        sequence(&[&message, &der::ecdsa_with_sha256(), &signature])
    }
}

/// When everything was revoked.
pub const REVOKED_AT: i64 = NOW - 2 * HOUR;

pub fn entry(serial: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
    let extensions = if extensions.is_empty() { Vec::new() } else { sequence(&extensions) };
    sequence(&[&der::integer(serial), &der::time(REVOKED_AT), &extensions])
}

pub fn reason(code: u8) -> Vec<u8> {
    der::extension("2.5.29.21", false, &der::tlv(0x0a, &[&[code]]))
}

pub fn number(content: &[u8]) -> Vec<u8> {
    der::extension("2.5.29.20", false, &der::integer(content))
}

/// A DistributionPointName field with one URI.
pub fn point(uri: &str) -> Vec<u8> {
    der::tlv(0xa0, &[&der::tlv(0xa0, &[&der::tlv(0x86, &[uri.as_bytes()])])])
}

/// A DistributionPointName field with one directory name, given whole.
pub fn directory_point(name: &[u8]) -> Vec<u8> {
    der::tlv(0xa0, &[&der::tlv(0xa0, &[&der::tlv(0xa4, &[name])])])
}
