//! The one table from a rejection's code to the TLS alert, which is all that a client learns.

use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, OtherError};

/// The name (RFC 8446, 6) of the alert that a client gets when it is rejected with this code.
#[must_use]
pub fn alert_for(code: &str) -> &'static str {
    name(certificate_error(code).into())
}

/// rustls chooses the alert from this error.
pub(super) fn certificate_error(code: &str) -> CertificateError {
    match code {
        "bad-certificate" | "name-not-permitted" | "unknown-critical-extension" => {
            CertificateError::BadEncoding
        }
        "expired" | "not-yet-valid" | "pin-expired" => CertificateError::Expired,
        "revoked" => CertificateError::Revoked,
        "path-too-long"
        | "revocation-stale"
        | "revocation-unknown"
        | "unknown-issuer"
        | "unknown-trust-domain" => CertificateError::UnknownIssuer,
        "bad-signature" | "unsupported-signature-algorithm" => CertificateError::BadSignature,
        "ca-as-leaf" | "wrong-usage" => CertificateError::InvalidPurpose,
        "lifetime-too-long" | "weak-key" => {
            CertificateError::Other(OtherError(Arc::new(Unacceptable)))
        }
        _ => CertificateError::ApplicationVerificationFailure,
    }
}

/// The alert's name (RFC 8446, 6).
pub(super) fn name(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::BadRecordMac => "bad_record_mac",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateRequired => "certificate_required",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::CloseNotify => "close_notify",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::NoApplicationProtocol => "no_application_protocol",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::UserCanceled => "user_canceled",
        _ => "other",
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the certificate is unacceptable")]
struct Unacceptable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_alert() {
        let table = [
            ("bad-certificate", "bad_certificate"),
            ("bad-signature", "decrypt_error"),
            ("ca-as-leaf", "unsupported_certificate"),
            ("expired", "certificate_expired"),
            ("lifetime-too-long", "certificate_unknown"),
            ("name-not-permitted", "bad_certificate"),
            ("not-an-svid", "access_denied"),
            ("not-pinned", "access_denied"),
            ("not-yet-valid", "certificate_expired"),
            ("path-too-long", "unknown_ca"),
            ("pin-expired", "certificate_expired"),
            ("policy-failed", "access_denied"),
            ("policy-memory", "access_denied"),
            ("policy-timeout", "access_denied"),
            ("policy-trapped", "access_denied"),
            ("principal-conflict", "access_denied"),
            ("revocation-stale", "unknown_ca"),
            ("revocation-unknown", "unknown_ca"),
            ("revoked", "certificate_revoked"),
            ("spiffe-id-not-allowed", "access_denied"),
            ("unknown-critical-extension", "bad_certificate"),
            ("unknown-issuer", "unknown_ca"),
            ("unknown-trust-domain", "unknown_ca"),
            ("unsupported-signature-algorithm", "decrypt_error"),
            ("weak-key", "certificate_unknown"),
            ("wrong-usage", "unsupported_certificate"),
            ("a code that nobody has listed", "access_denied"),
            ("", "access_denied"),
        ];
        for (code, alert) in table {
            assert_eq!(alert_for(code), alert, "{code}");
        }
    }
}
