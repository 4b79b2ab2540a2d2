//! Has the client's certificate renewed while it is still good (EST; RFC 7030, 4.2.2), and replaces its files.

mod enroll;
mod error;
mod schedule;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use portcullis_core::{Clock, Timestamp, rfc_3339};

pub use self::error::{RenewalError, RenewalSetUpError};
use self::schedule::Schedule;
use crate::identity::ClientIdentity;
use crate::pem_files::PemFiles;
use crate::upstream::{Upstream, UpstreamError, UpstreamOptions};

/// The longest wait until the clock is looked at again. A machine that slept is noticed as soon.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A certificate in files, and who renews it.
pub struct Renewal {
    files: Arc<PemFiles>,
    authority: Upstream,
    url: Uri,
    clock: Clock,
    schedule: Mutex<Option<Schedule>>,
}

/// What came of a look at the clock.
#[derive(Debug)]
pub struct Step {
    /// The identity that is in the files now, if it was renewed.
    pub renewed: Option<Arc<ClientIdentity>>,
    /// How long to wait until the next look.
    pub wait: Duration,
}

impl Renewal {
    /// Connects to nothing yet. The URL is that of an EST server, `https://ca.example.org:8890`; a path may follow if it
    /// begins with `/.well-known/est`. A client presents the certificate that it has.
    ///
    /// # Errors
    ///
    /// When the options name no such server.
    pub fn new(
        options: UpstreamOptions,
        files: Arc<PemFiles>,
        clock: Clock,
    ) -> Result<Self, RenewalSetUpError> {
        let url = enroll::url(&options.url)?;
        let source = Arc::clone(&files);
        let authority =
            Upstream::new(options, source, clock.clone()).map_err(|error| match error {
                UpstreamError::Url(url) => RenewalSetUpError::Url(url),
                error => RenewalSetUpError::Upstream(error),
            })?;
        Ok(Self { files, authority, url, clock, schedule: Mutex::new(None) })
    }

    /// Renews now. Whatever goes wrong, the files hold a certificate and its key.
    ///
    /// # Errors
    ///
    /// Any [`RenewalError`]: the certificate that there was stays.
    pub async fn renew(&self) -> Result<Arc<ClientIdentity>, RenewalError> {
        let identity = self.files.identity();
        self.on_blocking_thread(PemFiles::check_writable).await?;
        let renewed = enroll::enroll(&self.authority, &self.url, &identity, &self.clock).await?;
        self.on_blocking_thread(move |files| files.replace(&renewed.chain_pem, &renewed.key_pem))
            .await?;
        Ok(self.files.identity())
    }

    /// Renews if it is time to: at two thirds of the lifetime, give or take a tenth, and after a failure with growing
    /// pauses. Says in the log what happens.
    pub async fn step(&self) -> Step {
        let (identity, now) = (self.files.identity(), self.clock.now());
        let due = {
            let mut schedule = self.schedule();
            let known = schedule.take();
            let next = Schedule::of(known, &identity, now);
            let due = next.due();
            *schedule = Some(next);
            due
        };
        if now < due {
            return Step { renewed: None, wait: wait(now, due) };
        }
        match self.renew().await {
            Ok(renewed) => {
                let now = self.clock.now();
                let schedule = Schedule::after_renewal(&renewed, now);
                let due = schedule.due();
                *self.schedule() = Some(schedule);
                let certificate = renewed.certificate();
                tracing::info!(
                    subject = certificate.subject(),
                    serial = certificate.serial_number(),
                    until = rfc_3339(certificate.not_after()),
                    next_renewal = rfc_3339(due),
                    "the certificate was renewed"
                );
                Step { renewed: Some(renewed), wait: wait(now, due) }
            }
            Err(error) => Step { renewed: None, wait: self.put_off(&identity, &error) },
        }
    }

    /// Goes on with [`Renewal::step`] until it is dropped.
    pub async fn watch(&self) {
        loop {
            let step = self.step().await;
            tokio::time::sleep(step.wait).await;
        }
    }

    fn put_off(&self, identity: &ClientIdentity, error: &RenewalError) -> Duration {
        let (now, until) = (self.clock.now(), identity.certificate().not_after());
        let mut schedule = self.schedule();
        let Some(schedule) = schedule.as_mut() else { return LONGEST_WAIT };
        let due = schedule.put_off(until, now);
        let (until_text, next_attempt) = (rfc_3339(until), rfc_3339(due));
        if now > until {
            tracing::error!(
                until = until_text,
                next_attempt,
                "the certificate has expired and was not renewed: {error}"
            );
        } else {
            tracing::warn!(
                until = until_text,
                next_attempt,
                "the certificate was not renewed, and the one that there is lasts until then: {error}"
            );
        }
        wait(now, due)
    }

    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PemFiles) -> Result<T, RenewalError> + Send + 'static,
    ) -> Result<T, RenewalError> {
        let files = Arc::clone(&self.files);
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        done.unwrap_or_else(|error| Err(RenewalError::Broken(error.to_string())))
    }

    fn schedule(&self) -> std::sync::MutexGuard<'_, Option<Schedule>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(now: Timestamp, due: Timestamp) -> Duration {
    let seconds = u64::try_from(due.saturating_sub(now)).unwrap_or(0).max(1);
    Duration::from_secs(seconds).min(LONGEST_WAIT)
}
