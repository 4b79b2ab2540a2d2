//! Warns while there is still time to renew.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Certificate, Clock, Timestamp};

use crate::failure::rfc_3339;
use crate::identity::IdentitySource;

/// How often the clock is looked at. A machine that slept is noticed as soon.
const INTERVAL: Duration = Duration::from_secs(60);
const DAY: i64 = 24 * 60 * 60;

/// What there is to say about a certificate's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    None,
    ExpiresSoon,
    Expired,
}

/// Writes to the log when an identity is about to expire, and when it has: each once. Runs until it is dropped.
pub async fn watch(source: Arc<dyn IdentitySource>, clock: Clock) {
    let mut said = (None, Urgency::None);
    loop {
        let Ok(identity) = source.current() else {
            tokio::time::sleep(INTERVAL).await;
            continue;
        };
        let certificate = identity.certificate();
        if said.0 != Some(identity.generation()) {
            said = (Some(identity.generation()), Urgency::None);
        }
        let urgency = urgency(certificate, clock.now());
        if urgency > said.1 {
            said.1 = urgency;
            let (subject, until) = (certificate.subject(), rfc_3339(certificate.not_after()));
            let serial = certificate.serial_number();
            if urgency == Urgency::Expired {
                tracing::error!(subject, serial, until, "the certificate has expired: renew it");
            } else {
                tracing::warn!(subject, serial, until, "the certificate expires soon: renew it");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Soon is in a day, or in a third of the lifetime if that is shorter.
fn urgency(certificate: &Certificate, now: Timestamp) -> Urgency {
    let (start, end) = (certificate.not_before(), certificate.not_after());
    let ahead = (end.saturating_sub(start) / 3).clamp(0, DAY);
    match now {
        now if now > end => Urgency::Expired,
        now if now >= end.saturating_sub(ahead) => Urgency::ExpiresSoon,
        _ => Urgency::None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};

    use super::*;

    fn certificate(lifetime: i64) -> Certificate {
        let validity = Validity { not_before: 1_795_000_000, not_after: 1_795_000_000 + lifetime };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        Certificate::from_der(root.certificate_der().to_vec()).unwrap()
    }

    #[test]
    fn a_certificate_of_a_year_is_warned_of_a_day_ahead() {
        let (certificate, end) = (certificate(365 * DAY), 1_795_000_000 + 365 * DAY);
        assert_eq!(urgency(&certificate, end - DAY - 1), Urgency::None);
        assert_eq!(urgency(&certificate, end - DAY), Urgency::ExpiresSoon);
        assert_eq!(urgency(&certificate, end), Urgency::ExpiresSoon);
        assert_eq!(urgency(&certificate, end + 1), Urgency::Expired);
    }

    #[test]
    fn a_certificate_of_an_hour_is_warned_of_20_minutes_ahead() {
        let (certificate, end) = (certificate(3600), 1_795_003_600);
        assert_eq!(urgency(&certificate, end - 1201), Urgency::None);
        assert_eq!(urgency(&certificate, end - 1200), Urgency::ExpiresSoon);
    }
}
