//! TLS alerts (RFC 8446, 6) in plain words: what the gate means, and what to do.

use rustls::AlertDescription;

/// What an alert means for a client, and the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainWords {
    /// The alert's name.
    pub(crate) alert: &'static str,
    /// Follows "the gate refused the connection: ".
    pub(crate) meaning: &'static str,
    pub(crate) what_to_do: &'static str,
}

const ASK: &str = "ask the gate's operator, whose audit log has the reason under the serial number";

/// The words for an alert that the gate sent.
pub(crate) fn plain_words(alert: AlertDescription) -> PlainWords {
    let (alert, meaning, what_to_do) = match alert {
        AlertDescription::AccessDenied => (
            "access_denied",
            "its policies do not let this certificate in",
            "ask the gate's operator to allow this certificate; the audit log has the reason under \
             the serial number",
        ),
        AlertDescription::BadCertificate => (
            "bad_certificate",
            "it cannot make sense of a certificate, or a CA may not issue for this name",
            "have a new certificate issued, and give the whole chain",
        ),
        AlertDescription::CertificateExpired => (
            "certificate_expired",
            "the certificate, a CA above it or its pin has expired or is not valid yet",
            "renew the certificate, and check that the clocks are right",
        ),
        AlertDescription::CertificateRequired => (
            "certificate_required",
            "no certificate reached it",
            "check that nothing between here and the gate ends TLS",
        ),
        AlertDescription::CertificateRevoked => (
            "certificate_revoked",
            "the certificate or a CA above it was revoked",
            "have a new certificate issued, with a new key",
        ),
        AlertDescription::CertificateUnknown => (
            "certificate_unknown",
            "its key is too weak, its lifetime too long, or something else in it unacceptable",
            ASK,
        ),
        AlertDescription::DecryptError => (
            "decrypt_error",
            "a signature in the chain is wrong, or made with an algorithm that is not taken",
            "give the chain that belongs to the certificate, or have a new one issued",
        ),
        AlertDescription::HandshakeFailure => (
            "handshake_failure",
            "the two sides have no TLS parameters in common, or no acceptable certificate reached it",
            ASK,
        ),
        AlertDescription::InternalError => {
            ("internal_error", "it failed itself", "try again, then ask the gate's operator")
        }
        AlertDescription::NoApplicationProtocol => (
            "no_application_protocol",
            "it speaks neither HTTP/2 nor HTTP/1.1",
            "check the address: this may be no gate",
        ),
        AlertDescription::ProtocolVersion => (
            "protocol_version",
            "it speaks neither TLS 1.3 nor TLS 1.2",
            "check the address: this may be no gate",
        ),
        AlertDescription::UnknownCA => (
            "unknown_ca",
            "it does not trust the CA that issued the certificate, an intermediate certificate is \
             missing, or nobody knows whether the certificate was revoked",
            "give the whole chain with the certificate, or ask the gate's operator to trust its CA",
        ),
        AlertDescription::UnrecognisedName => (
            "unrecognized_name",
            "it does not serve the name that was asked for",
            "check the host in the URL, or give another server name",
        ),
        AlertDescription::UnsupportedCertificate => (
            "unsupported_certificate",
            "the certificate is not one for a client",
            "have one issued for client authentication",
        ),
        _ => ("other", "it broke off the handshake", ASK),
    };
    PlainWords { alert, meaning, what_to_do }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gate_answers_with_has_words_of_its_own() {
        for alert in [
            AlertDescription::AccessDenied,
            AlertDescription::BadCertificate,
            AlertDescription::CertificateExpired,
            AlertDescription::CertificateRequired,
            AlertDescription::CertificateRevoked,
            AlertDescription::CertificateUnknown,
            AlertDescription::DecryptError,
            AlertDescription::HandshakeFailure,
            AlertDescription::InternalError,
            AlertDescription::UnknownCA,
            AlertDescription::UnsupportedCertificate,
        ] {
            let words = plain_words(alert);
            let name = format!("{alert:?}").to_lowercase();
            assert_eq!(words.alert.replace('_', ""), name);
            assert_ne!(words.meaning, plain_words(AlertDescription::UserCanceled).meaning);
        }
    }
}
