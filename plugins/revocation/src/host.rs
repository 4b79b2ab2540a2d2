//! What the rule asks of whoever runs it.

use portcullis_guest::paths::Facts;
use portcullis_guest::{Certificate, RevocationAnswer, revocation, signatures};
use rustls_pki_types::SignatureVerificationAlgorithm;

/// The gate, or what a test has in its place.
pub trait Host {
    /// A certificate as this host parses it.
    type Certificate: Facts;

    /// Who verifies signatures.
    fn algorithms(&self) -> &[&dyn SignatureVerificationAlgorithm];

    /// What a source says of `subject`, which `issuer` has issued.
    fn check(
        &self,
        subject: &Self::Certificate,
        issuer: &Self::Certificate,
        source: &str,
    ) -> RevocationAnswer;

    /// Parses a certificate that the client did not send.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn parse(&self, der: &[u8]) -> Result<Self::Certificate, String>;
}

/// The gate.
#[derive(Clone, Copy, Debug)]
pub struct Gate;

impl Host for Gate {
    type Certificate = Certificate;

    fn algorithms(&self) -> &[&dyn SignatureVerificationAlgorithm] {
        signatures::ALL
    }

    fn check(&self, subject: &Certificate, issuer: &Certificate, source: &str) -> RevocationAnswer {
        revocation::check(subject, issuer, source)
    }

    fn parse(&self, der: &[u8]) -> Result<Certificate, String> {
        Certificate::parse(der)
    }
}
