//! Why the gate did not answer.

use std::fmt;

use portcullis_core::{Timestamp, rfc_3339};
use rustls::AlertDescription;

use crate::identity::{ClientIdentity, NoIdentity};
use crate::plain_words::{PlainWords, plain_words};

/// Why the gate did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection broke after the request had gone out: whether it was carried out is not known.
    #[error(
        "the connection to the gate broke before it answered ({0}): the request may have been carried out"
    )]
    Broken(String),
    /// There is no certificate to present.
    #[error("there is no certificate to present: {0}")]
    NoIdentity(String),
    /// The gate ended the handshake.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no connection.
    #[error("the gate cannot be reached: {0}")]
    Unreachable(String),
    /// Whoever answers is not the gate that is trusted.
    #[error("the gate's own certificate is not trusted: {0}")]
    Untrusted(String),
}

impl Failure {
    /// One word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Broken(_) => "broken",
            Self::NoIdentity(_) => "no-identity",
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Untrusted(_) => "untrusted",
        }
    }
}

impl From<NoIdentity> for Failure {
    fn from(NoIdentity(why): NoIdentity) -> Self {
        Self::NoIdentity(why)
    }
}

/// The gate's alert, and the certificate that it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    words: PlainWords,
    subject: String,
    serial_number: String,
    not_after: Timestamp,
    is_expired: bool,
}

impl Refusal {
    pub(crate) fn new(alert: AlertDescription, identity: &ClientIdentity, now: Timestamp) -> Self {
        let certificate = identity.certificate();
        Self {
            words: plain_words(alert),
            // The subject of an SVID says nothing.
            subject: certificate
                .claimed_spiffe_id()
                .map_or_else(|| certificate.subject(), str::to_owned),
            serial_number: certificate.serial_number().to_owned(),
            not_after: certificate.not_after(),
            is_expired: certificate.not_after() < now,
        }
    }

    /// The alert's name (RFC 8446, 6).
    #[must_use]
    pub fn alert(&self) -> &'static str {
        self.words.alert
    }

    /// The certificate's serial number, in hexadecimal.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlainWords { alert, meaning, what_to_do } = self.words;
        let (subject, serial) = (&self.subject, &self.serial_number);
        let validity = if self.is_expired { "expired on" } else { "valid until" };
        let until = rfc_3339(self.not_after);
        write!(
            f,
            "the gate refused the connection: {meaning} (TLS alert {alert}). \
             The certificate is `{subject}`, serial number {serial}, {validity} {until}. \
             What to do: {what_to_do}"
        )
    }
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};

    use super::*;

    #[test]
    fn a_refusal_says_which_certificate_until_when_and_what_to_do() {
        let validity = Validity { not_before: 1_795_000_000, not_after: 1_795_521_600 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let issued = root.issue(&Profile::client("alice", validity)).unwrap();
        let identity =
            ClientIdentity::from_pem(0, issued.chain_pem.as_bytes(), issued.key_pem.as_bytes())
                .unwrap();
        let at = |now| Refusal::new(AlertDescription::CertificateExpired, &identity, now);
        let text = at(1_795_521_601).to_string();
        for part in [
            "CN=alice",
            identity.certificate().serial_number(),
            "expired on 2026-11-24T12:00:00Z",
            "certificate_expired",
            "What to do: renew",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(at(1_795_521_600).to_string().contains("valid until 2026-11-24T12:00:00Z"));
    }
}
