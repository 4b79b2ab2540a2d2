//! Whether something is in use, and since when it is not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts what is under way.
#[derive(Debug)]
pub(crate) struct Usage(Mutex<Count>);

#[derive(Clone, Copy, Debug)]
struct Count {
    under_way: usize,
    last_change: Instant,
}

/// Something under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse(Arc<Usage>);

impl Usage {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Count { under_way: 0, last_change: Instant::now() })))
    }

    pub(crate) fn enter(self: &Arc<Self>) -> InUse {
        self.count().under_way += 1;
        InUse(Arc::clone(self))
    }

    /// Since when nothing is under way; none while something is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let count = self.count();
        (count.under_way == 0).then_some(count.last_change)
    }

    /// Waits until nothing was under way for that long.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        loop {
            let due = self.idle_since().unwrap_or_else(Instant::now) + limit;
            tokio::time::sleep_until(due).await;
            if self.idle_since().is_some_and(|since| since.elapsed() >= limit) {
                return;
            }
        }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut count = self.0.count();
        count.under_way = count.under_way.saturating_sub(1);
        count.last_change = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_idle_time_begins_when_the_last_use_ends() {
        let usage = Usage::new();
        let begin = Instant::now();
        let in_use = usage.enter();
        let user = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(25)).await;
            drop(in_use);
        });
        usage.idle_for(Duration::from_secs(10)).await;
        user.await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 35);
    }
}
