//! What rustls asks about a client's certificate, answered by the judge.

use std::fmt;
use std::sync::Arc;

use portcullis_engine::Verdict;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Progress, alert};
use crate::judge::Examiner;

/// Made for one connection, so that it knows which one it is asked about.
pub(super) struct ClientVerifier {
    examiner: Arc<Examiner>,
    progress: Arc<Progress>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    pub(super) fn new(
        examiner: Arc<Examiner>,
        progress: Arc<Progress>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { examiner, progress, algorithms }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    /// No hints: who is trusted is the policies' affair, and an empty list asks the client for
    /// whatever certificate it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// The time is the examiner's own, from the same clock that rustls was given.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<&[u8]> =
            std::iter::once(end_entity).chain(intermediates).map(AsRef::as_ref).collect();
        let judgement = self.progress.judgement.get_or_init(|| {
            self.examiner.examine(&chain, self.progress.peer_address, self.progress.server_name())
        });
        match &judgement.decision.verdict {
            Verdict::Accept(_) => Ok(ClientCertVerified::assertion()),
            Verdict::Reject(rejection) => {
                Err(Error::InvalidCertificate(alert::certificate_error(&rejection.code)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientVerifier({})", self.progress.peer_address)
    }
}
