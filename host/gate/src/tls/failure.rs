//! Handshakes that fail without a rejection: what went wrong, in words that stay the same.

use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, PeerMisbehaved};
use tokio::net::TcpStream;

use super::alert;

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One of a fixed set.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) detail: String,
    /// The alert that the client got, as far as that is known.
    pub(crate) alert: Option<&'static str>,
    /// The connection, when an alert may still be on its way.
    pub(crate) tcp: Option<TcpStream>,
}

impl Failure {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), alert: None, tcp: None }
    }

    pub(crate) fn handshake_timeout(limit: Duration, said_hello: bool) -> Self {
        let missing = if said_hello { "the handshake is not complete" } else { "no ClientHello" };
        Self::new("handshake-timeout", format!("{missing} after {limit:?}"))
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new("shutting-down", "the gate is shutting down")
    }

    pub(crate) fn too_many_connections(limit: u32) -> Self {
        Self::new("too-many-connections", format!("{limit} connections are open"))
    }

    pub(crate) fn too_many_handshakes(limit: u32) -> Self {
        Self::new(
            "too-many-handshakes",
            format!("{limit} handshakes were under way until the timeout"),
        )
    }

    /// A handshake that rustls calls complete without having asked: must not happen, must not pass.
    pub(crate) fn undecided() -> Self {
        Self::new("undecided", "the handshake ended without a decision")
    }

    pub(super) fn before_hello(error: &io::Error, tcp: Option<TcpStream>) -> Self {
        let failure = match tls_error(error) {
            Some(Error::InvalidMessage(message)) => Self {
                alert: Some(alert::name((*message).into())),
                ..Self::new("not-tls", format!("no ClientHello: {message:?}"))
            },
            Some(error) => Self::of(error),
            None => Self::new("disconnected", error.to_string()),
        };
        Self { tcp, ..failure }
    }

    pub(super) fn after_hello(error: &io::Error, tcp: TcpStream) -> Self {
        let failure = match tls_error(error) {
            Some(error) => Self::of(error),
            None => Self::new("disconnected", error.to_string()),
        };
        Self { tcp: Some(tcp), ..failure }
    }

    pub(super) fn of(error: &Error) -> Self {
        let detail = error.to_string();
        let (code, alert) = match error {
            Error::AlertReceived(received) => {
                return Self::new("client-alert", alert::name(*received));
            }
            Error::InvalidCertificate(error) => {
                (certificate_code(error), Some(error.clone().into()))
            }
            Error::InvalidMessage(message) => ("tls-error", Some((*message).into())),
            Error::NoApplicationProtocol => {
                ("no-common-protocol", Some(AlertDescription::NoApplicationProtocol))
            }
            Error::NoCertificatesPresented => {
                ("no-certificate", Some(AlertDescription::CertificateRequired))
            }
            Error::PeerIncompatible(_) => ("incompatible", None),
            Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme) => {
                ("bad-client-signature", Some(AlertDescription::IllegalParameter))
            }
            _ => ("tls-error", None),
        };
        Self { alert: alert.map(alert::name), ..Self::new(code, detail) }
    }
}

/// The judge has accepted, so it is the proof of possession that failed: by its signature, or
/// because rustls's own parser cannot take the key from the certificate.
fn certificate_code(error: &CertificateError) -> &'static str {
    #[expect(deprecated, reason = "rustls may still return it")]
    match error {
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithm
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "bad-client-signature"
        }
        _ => "unusable-certificate",
    }
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
