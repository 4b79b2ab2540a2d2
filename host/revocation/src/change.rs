//! What tells others that an answer may be another one now.

use portcullis_core::Certificate;

use crate::certificate::Parts;
use crate::name::NameKey;

/// Something about some certificates has changed: who asks again may get another answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change(pub(crate) What);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The certificate with this SHA-256.
    Certificate([u8; 32]),
    /// Everything that the CA of this name has issued.
    Issuer(NameKey),
}

impl Change {
    /// Whether it is about this certificate. Of a path, ask for every certificate that was judged.
    #[must_use]
    pub fn concerns(&self, certificate: &Certificate) -> bool {
        match &self.0 {
            What::Certificate(sha256) => certificate.sha256() == sha256,
            What::Issuer(name) => Parts::of(certificate)
                .and_then(|parts| NameKey::of(parts.issuer))
                .is_ok_and(|issuer| issuer == *name),
        }
    }
}
