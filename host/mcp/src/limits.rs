//! How much one principal may ask for.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};

use crate::caller::Caller;
use crate::reply::{self, Body};

/// Principals whose rates are known at the same time. Those beyond share one rate until others have been quiet.
const MAXIMUM_RATES: usize = 10_000;

/// Requests of all principals, now and lately.
pub(crate) struct Limits<C: Clock = DefaultClock> {
    clock: C,
    maximum_in_flight: usize,
    per_second: NonZeroU32,
    rates: RateLimiter<Account, DefaultKeyedStateStore<Account>, C, NoOpMiddleware<C::Instant>>,
    in_flight: Arc<Mutex<HashMap<Account, usize>>>,
}

/// Whom a request counts for: the principal, or the certificate of a client that has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Account {
    Certificate([u8; 32]),
    /// All who come when too many are known.
    Others,
    Principal(String),
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    account: Account,
    all: Arc<Mutex<HashMap<Account, usize>>>,
}

/// Why a request is not taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// As many as may be are under way.
    InFlight,
    /// As many as may be came lately; the next may come after this time.
    Rate(Duration),
}

impl Limits {
    pub(crate) fn new(maximum_in_flight: usize, per_second: NonZeroU32) -> Self {
        Self::with_clock(maximum_in_flight, per_second, DefaultClock::default())
    }

    /// Other limits, for which the requests under way count as they did. The same limits are the same object.
    pub(crate) fn instead_of(
        old: &Arc<Self>,
        maximum_in_flight: usize,
        per_second: NonZeroU32,
    ) -> Arc<Self> {
        if old.maximum_in_flight == maximum_in_flight && old.per_second == per_second {
            return Arc::clone(old);
        }
        let mut new = Self::new(maximum_in_flight, per_second);
        new.in_flight = Arc::clone(&old.in_flight);
        Arc::new(new)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(maximum_in_flight: usize, per_second: NonZeroU32, clock: C) -> Self {
        let rates = RateLimiter::dashmap_with_clock(Quota::per_second(per_second), clock.clone());
        Self { clock, maximum_in_flight, per_second, rates, in_flight: Arc::default() }
    }

    /// Takes one request of a caller.
    pub(crate) fn take(&self, caller: &Caller) -> Result<InFlight, Excess> {
        let account = match &caller.principal {
            Some(principal) => Account::Principal(principal.clone()),
            None => Account::Certificate(caller.certificate.sha256),
        };
        self.check_rate(&account)?;
        let mut all = lock(&self.in_flight);
        let count = all.entry(account.clone()).or_default();
        if *count >= self.maximum_in_flight {
            return Err(Excess::InFlight);
        }
        *count += 1;
        drop(all);
        Ok(InFlight { account, all: Arc::clone(&self.in_flight) })
    }

    fn check_rate(&self, account: &Account) -> Result<(), Excess> {
        if self.rates.len() >= MAXIMUM_RATES {
            self.rates.retain_recent();
        }
        let account = if self.rates.len() >= MAXIMUM_RATES { &Account::Others } else { account };
        self.rates.check_key(account).map_err(|not_until| {
            let earliest = not_until.earliest_possible();
            Excess::Rate(earliest.duration_since(self.clock.now()).into())
        })
    }
}

impl<C: Clock> std::fmt::Debug for Limits<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accounts = lock(&self.in_flight).len();
        f.debug_struct("Limits").field("accounts", &accounts).finish_non_exhaustive()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(count) = all.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.account);
            }
        }
    }
}

fn lock(
    all: &Mutex<HashMap<Account, usize>>,
) -> std::sync::MutexGuard<'_, HashMap<Account, usize>> {
    // Nothing that can panic runs under the lock.
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Excess {
    /// For the operator.
    fn code(self) -> &'static str {
        match self {
            Self::InFlight => "too-many-in-flight",
            Self::Rate(_) => "too-many-requests",
        }
    }

    /// The answer: status 429, and when to come again.
    pub(crate) fn refusal(self) -> Response<Body> {
        let (text, wait) = match self {
            Self::InFlight => ("too many requests of this client are under way", Duration::ZERO),
            Self::Rate(wait) => ("too many requests of this client in this second", wait),
        };
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut response = reply::error(status, None, reply::TOO_MANY_REQUESTS, text);
        let seconds = wait.as_secs().saturating_add(1);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        reply::because(response, self.code())
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(in_flight: usize, per_second: u32) -> (FakeRelativeClock, Limits<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        let per_second = NonZeroU32::new(per_second).unwrap();
        (clock.clone(), Limits::with_clock(in_flight, per_second, clock))
    }

    #[test]
    fn a_request_counts_until_it_is_over_and_for_its_own_principal_only() {
        let (_, limits) = limits(2, 100);
        let [alice, bob] = ["alice", "bob"].map(|name| Caller::of_principal(Some(name)));
        let (one, _two) = (limits.take(&alice).unwrap(), limits.take(&alice).unwrap());
        assert_eq!(limits.take(&alice).unwrap_err(), Excess::InFlight);
        let _of_another = limits.take(&bob).unwrap();
        drop(one);
        let _three = limits.take(&alice).unwrap();
        assert_eq!(limits.take(&alice).unwrap_err(), Excess::InFlight);
    }

    #[test]
    fn what_is_over_leaves_nothing_behind() {
        let (_, limits) = limits(1, 100);
        for number in 0..50 {
            drop(limits.take(&Caller::of_principal(Some(&number.to_string()))));
        }
        assert!(lock(&limits.in_flight).is_empty());
    }

    #[test]
    fn a_rate_is_filled_up_as_time_passes() {
        let (clock, limits) = limits(100, 2);
        let alice = Caller::of_principal(Some("alice"));
        for _ in 0..2 {
            limits.take(&alice).unwrap();
        }
        let wait = Duration::from_millis(500);
        assert_eq!(limits.take(&alice).unwrap_err(), Excess::Rate(wait));
        clock.advance(wait);
        limits.take(&alice).unwrap();
        assert!(limits.take(&alice).is_err());
    }

    #[test]
    fn a_client_without_a_principal_is_known_by_its_certificate() {
        let (_, limits) = limits(1, 100);
        let mut other = Caller::of_principal(None);
        other.certificate.sha256 = [1; 32];
        let _one = limits.take(&Caller::of_principal(None)).unwrap();
        assert!(limits.take(&Caller::of_principal(None)).is_err());
        limits.take(&other).unwrap();
    }

    #[test]
    fn more_principals_than_are_kept_share_a_rate_until_others_are_quiet() {
        let (clock, limits) = limits(10, 1);
        let named = |number: usize| Caller::of_principal(Some(&number.to_string()));
        for number in 0..MAXIMUM_RATES {
            limits.take(&named(number)).unwrap();
        }
        limits.take(&named(MAXIMUM_RATES)).unwrap();
        assert!(limits.take(&named(MAXIMUM_RATES + 1)).is_err());
        assert!(limits.rates.len() <= MAXIMUM_RATES + 1);
        clock.advance(Duration::from_secs(2));
        limits.take(&named(MAXIMUM_RATES + 1)).unwrap();
        assert_eq!(limits.rates.len(), 1);
    }

    #[test]
    fn requests_under_way_count_for_the_limits_that_replace_others() {
        let per_second = NonZeroU32::new(100).unwrap();
        let old = Arc::new(Limits::new(2, per_second));
        assert!(Arc::ptr_eq(&Limits::instead_of(&old, 2, per_second), &old));
        let alice = Caller::of_principal(Some("alice"));
        let under_way = old.take(&alice).unwrap();
        let new = Limits::instead_of(&old, 1, per_second);
        assert_eq!(new.take(&alice).unwrap_err(), Excess::InFlight);
        drop(under_way);
        new.take(&alice).unwrap();
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let response = Excess::Rate(Duration::from_millis(300)).refusal();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
            (429, &HeaderValue::from(1))
        );
    }
}
