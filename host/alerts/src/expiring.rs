//! Something that ends.

use data_encoding::HEXLOWER;
use portcullis_core::{Certificate, Timestamp, printable};

/// The longest text taken over from a certificate, in bytes.
const MAXIMUM_TEXT: usize = 512;

/// Something that ends: a certificate, a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// What it is: "server-certificate", "trusted-certificate", "client-certificate", "crl", ...
    pub kind: &'static str,
    /// Tells it from everything else, its successor included: a certificate's SHA-256 in hexadecimal, for instance.
    pub id: String,
    /// Whose it is. A certificate without a subject goes by its first name of another kind.
    pub subject: String,
    /// In hexadecimal; empty where there is none.
    pub serial_number: String,
    /// The first second of its validity.
    pub first: Timestamp,
    /// The last second of its validity.
    pub last: Timestamp,
    /// Where it comes from: a key of the configuration, a path, a URL.
    pub source: String,
}

impl Expiring {
    /// A certificate.
    #[must_use]
    pub fn certificate(
        kind: &'static str,
        certificate: &Certificate,
        source: impl Into<String>,
    ) -> Self {
        let mut subject = certificate.subject();
        if subject.is_empty() {
            // As X.509-SVIDs have it.
            let mut names = certificate.subject_alt_names().iter();
            subject = names.next().map(|name| name.text.clone()).unwrap_or_default();
        }
        Self {
            kind,
            id: HEXLOWER.encode(certificate.sha256()),
            subject: printable(&subject, MAXIMUM_TEXT),
            serial_number: printable(certificate.serial_number(), MAXIMUM_TEXT),
            first: certificate.not_before(),
            last: certificate.not_after(),
            source: source.into(),
        }
    }
}
