//! Who comes in to have a certificate renewed: whoever has one that is in force, and whoever has none, to be told so.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_core::{Certificate, printable, with_causes};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::renewal::AUDIT;
use crate::ca::Ca;
use crate::reenroll::Refusal;

/// How much of a subject is logged: anybody may have made it.
const MAXIMUM_TEXT_BYTES: usize = 300;

/// The authority, as handshakes ask it.
pub(super) struct Door {
    /// Of its own, so that no handshake waits for a signature or for whoever changes the index.
    ca: Mutex<Ca>,
    provider: Arc<CryptoProvider>,
    hints: Vec<DistinguishedName>,
}

impl Door {
    pub(super) fn new(ca: Ca, subject_der: Vec<u8>, provider: Arc<CryptoProvider>) -> Self {
        let hints = vec![DistinguishedName::from(subject_der)];
        Self { ca: Mutex::new(ca), provider, hints }
    }

    /// For one connection.
    pub(super) fn config(
        self: &Arc<Self>,
        key: Arc<CertifiedKey>,
        peer_address: SocketAddr,
    ) -> Result<ServerConfig, Error> {
        let verifier = Visitor { door: Arc::clone(self), peer_address };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // On a session that is resumed nobody would look at the certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn authenticate(&self, certificate: &[u8]) -> Result<(), Refusal> {
        let ask = || {
            let ca = self.ca.lock().unwrap_or_else(PoisonError::into_inner);
            ca.authenticate(certificate).map(drop)
        };
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(ask),
            _ => ask(),
        }
    }
}

/// One client at the door.
struct Visitor {
    door: Arc<Door>,
    peer_address: SocketAddr,
}

impl ClientCertVerifier for Visitor {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.door.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refusal = match self.door.authenticate(end_entity) {
            Ok(()) => return Ok(ClientCertVerified::assertion()),
            Err(refusal) => refusal,
        };
        let certificate = Certificate::from_der(end_entity.to_vec()).ok();
        let subject = certificate.as_ref().map(|it| printable(&it.subject(), MAXIMUM_TEXT_BYTES));
        tracing::warn!(
            target: AUDIT,
            outcome = "refused",
            code = refusal.code(),
            peer_address = %self.peer_address,
            subject,
            serial_number = certificate.as_ref().map(Certificate::serial_number),
        );
        Err(match refusal {
            Refusal::Expired(_) => CertificateError::Expired.into(),
            Refusal::NotYetValid(_) => CertificateError::NotValidYet.into(),
            Refusal::Revoked => CertificateError::Revoked.into(),
            Refusal::UnknownIssuer => CertificateError::UnknownIssuer.into(),
            Refusal::Failed(error) => {
                tracing::error!("nobody can be let in: {}", with_causes(&error));
                Error::General("the index cannot be asked".to_owned())
            }
            _ => CertificateError::ApplicationVerificationFailure.into(),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.door.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.door.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.door.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("peer_address", &self.peer_address).finish_non_exhaustive()
    }
}
