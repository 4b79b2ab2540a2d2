//! How the responders themselves are doing: who is being asked, and who has just failed.

use std::collections::HashMap;

use portcullis_core::Timestamp;

use super::error::OcspError;
use crate::context::{Due, back_off};
use crate::options::OcspOptions;
use crate::status::ResponderStatus;
use crate::url::Url;

/// How many failing responders are remembered; certificates can name any path of an allowed host.
const MAXIMUM_FAILING: usize = 256;

/// How the responders are doing.
#[derive(Default)]
pub(super) struct Responders {
    /// By URL.
    failing: HashMap<String, Failing>,
    /// Requests under way, by host and port.
    in_flight: HashMap<String, usize>,
}

struct Failing {
    failures: u32,
    last_error: String,
    retry: Due,
}

impl Responders {
    /// Why the responder is not to be asked now, if it has just failed.
    pub(super) fn why_not(&self, url: &Url, now: Timestamp) -> Option<&str> {
        let failing = self.failing.get(&url.to_string())?;
        (!failing.retry.reached(now)).then_some(&failing.last_error)
    }

    /// Whether one more request may be made of its host.
    pub(super) fn has_room(&self, url: &Url, maximum: usize) -> Result<(), String> {
        let authority = url.authority();
        match self.in_flight.get(&authority) {
            Some(&count) if count >= maximum => {
                Err(format!("`{authority}` is being asked {count} times already"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn begin(&mut self, url: &Url) {
        *self.in_flight.entry(url.authority()).or_default() += 1;
    }

    /// A responder that failed is left alone for a while, so that it does not cost every new client its patience.
    pub(super) fn end(
        &mut self,
        url: &Url,
        error: Option<&OcspError>,
        now: Timestamp,
        options: &OcspOptions,
    ) {
        let authority = url.authority();
        if let Some(count) = self.in_flight.get_mut(&authority) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&authority);
            }
        }
        let url = url.to_string();
        let Some(error) = error.filter(|error| error.is_responders()) else {
            self.failing.remove(&url);
            return;
        };
        let known = self.failing.get(&url);
        // Of several requests under way at once only the first failure counts.
        if known.is_some_and(|failing| !failing.retry.reached(now))
            || known.is_none() && self.failing.len() >= MAXIMUM_FAILING
        {
            return;
        }
        let failures = known.map_or(0, |failing| failing.failures).saturating_add(1);
        let seconds = back_off(failures, options.retry_seconds, options.maximum_retry_seconds);
        let last_error = error.to_string();
        tracing::warn!(responder = url, failures, error = last_error, "OCSP responder failed");
        let failing = Failing { failures, last_error, retry: Due::after(now, seconds) };
        self.failing.insert(url, failing);
    }

    /// Drops failures of so long ago that they count no longer.
    pub(super) fn forget(&mut self, now: Timestamp, options: &OcspOptions) {
        let most = Timestamp::from(options.maximum_retry_seconds);
        self.failing.retain(|_, failing| {
            !failing.retry.reached(now) || now <= failing.retry.at.saturating_add(most)
        });
    }

    /// Has every responder asked again.
    pub(super) fn forgive(&mut self) {
        self.failing.clear();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.values().sum()
    }

    pub(super) fn failing(&self) -> Vec<ResponderStatus> {
        let statuses = self.failing.iter().map(|(url, failing)| ResponderStatus {
            url: url.clone(),
            failures: failing.failures,
            last_error: failing.last_error.clone(),
            retry_at: failing.retry.at,
        });
        statuses.collect()
    }
}
