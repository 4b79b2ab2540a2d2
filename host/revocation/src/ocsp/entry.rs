//! What is known of one certificate.

use std::sync::Arc;

use portcullis_core::{Certificate, RevocationAnswer, RevocationStatus, Timestamp};

use super::error::OcspError;
use super::statement::Statement;
use crate::context::{Due, Waiters, back_off};
use crate::options::OcspOptions;

/// The certificate and the key that issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) subject: [u8; 32],
    pub(super) issuer: [u8; 32],
}

/// What is known of one certificate.
pub(super) struct Entry {
    pub(super) subject: Arc<Certificate>,
    pub(super) issuer: Arc<Certificate>,
    pub(super) statement: Option<Statement>,
    /// Whether `statement` could be used when it was last looked at.
    pub(super) was_usable: bool,
    /// When the responder may be asked again.
    pub(super) due: Due,
    pub(super) asking: bool,
    /// Those who wait for the asking to end.
    pub(super) waiters: Waiters,
    /// In a row.
    failures: u32,
    last_error: Option<String>,
}

impl Key {
    pub(super) fn of(subject: &Certificate, issuer: &Certificate) -> Self {
        Self { subject: *subject.sha256(), issuer: issuer.public_key().spki_sha256 }
    }
}

impl Entry {
    pub(super) fn new(subject: Arc<Certificate>, issuer: Arc<Certificate>, now: Timestamp) -> Self {
        Self {
            subject,
            issuer,
            statement: None,
            was_usable: false,
            due: Due::after(now, 0),
            asking: false,
            waiters: Waiters::default(),
            failures: 0,
            last_error: None,
        }
    }

    pub(super) fn answer(&self, time: Timestamp, skew: Timestamp) -> Option<RevocationAnswer> {
        let statement = self.statement.filter(|statement| statement.is_usable(time, skew))?;
        Some(RevocationAnswer {
            status: match statement.revoked_at {
                Some(_) => RevocationStatus::Revoked,
                None => RevocationStatus::Good,
            },
            source: "ocsp".to_owned(),
            detail: String::new(),
            revoked_at: statement.revoked_at,
            this_update: Some(statement.this_update),
            next_update: statement.next_update,
            pending: false,
        })
    }

    pub(super) fn why_not(&self) -> String {
        match &self.last_error {
            Some(error) => error.clone(),
            None if self.asking => "the responder has not answered yet".to_owned(),
            None => "the last answer has expired".to_owned(),
        }
    }

    /// Takes the result of one asking; returns the answer if it is to be kept.
    ///
    /// An answer that cannot be used leaves the one at hand in force until it expires; a responder that says with its
    /// signature that it does not know the certificate takes it away.
    pub(super) fn note(
        &mut self,
        result: Result<(Statement, Vec<u8>), OcspError>,
        now: Timestamp,
        options: &OcspOptions,
    ) -> Option<Vec<u8>> {
        self.asking = false;
        let error = match (result, self.statement) {
            (Ok((new, _)), Some(old)) if new.this_update < old.this_update => {
                OcspError::Older(new.this_update)
            }
            (Ok((statement, answer)), _) => {
                let half_way = (statement.expires - now) / 2;
                self.due = Due::after(now, half_way.max(options.retry_seconds.into()));
                self.statement = Some(statement);
                self.failures = 0;
                self.last_error = None;
                return Some(answer);
            }
            (Err(error), _) => error,
        };
        if matches!(error, OcspError::Unknown) {
            self.statement = None;
        }
        self.failures = self.failures.saturating_add(1);
        let seconds = back_off(self.failures, options.retry_seconds, options.maximum_retry_seconds);
        self.due = Due::after(now, seconds);
        self.last_error = Some(error.to_string());
        None
    }
}
