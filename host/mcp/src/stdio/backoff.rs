//! How soon a command is started again that ended before it answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The failures in a row of one server's command.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// For how much longer the command is not started.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let remaining = self.state().not_before?.saturating_duration_since(Instant::now());
        (!remaining.is_zero()).then_some(remaining)
    }

    /// It could not be started, or ended before it answered: doubles the wait.
    pub(super) fn failed(&self) {
        let mut state = self.state();
        let wait = FIRST.saturating_mul(1 << state.failures.min(16)).min(LONGEST);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(Instant::now() + wait);
    }

    /// It answered.
    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_failure_doubles_the_wait_up_to_the_longest_and_an_answer_ends_it() {
        let backoff = Backoff::default();
        assert_eq!(backoff.remaining(), None);
        let mut waits = Vec::new();
        for _ in 0..10 {
            backoff.failed();
            waits.push(backoff.remaining().unwrap().as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
        tokio::time::advance(LONGEST).await;
        assert_eq!(backoff.remaining(), None);
        backoff.failed();
        backoff.succeeded();
        assert_eq!(backoff.remaining(), None);
        backoff.failed();
        assert_eq!(backoff.remaining(), Some(FIRST));
    }
}
