//! Warns while there is still time to renew.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Clock, Urgency, WarnBefore, rfc_3339};

use crate::identity::IdentitySource;

/// How often the clock is looked at. A machine that slept is noticed as soon.
const INTERVAL: Duration = Duration::from_secs(60);

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
        let (first, last) = (certificate.not_before(), certificate.not_after());
        let urgency = WarnBefore::default().urgency(first, last, clock.now());
        if urgency > said.1 {
            said.1 = urgency;
            let (subject, until) = (certificate.subject(), rfc_3339(last));
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
