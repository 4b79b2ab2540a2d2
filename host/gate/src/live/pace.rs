//! How much of the machine judging clients again may take.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Work goes on for so long before it rests, so that neither is too short for the operating system's clock.
const STRETCH: Duration = Duration::from_millis(2);

/// Has one thread rest such that over time it takes its share.
#[derive(Debug)]
pub(super) struct Pace {
    /// The rest that each second of work costs, in seconds.
    rest_per_work: f64,
    worked: Duration,
    rests_until: Option<Instant>,
}

impl Pace {
    /// So many percent of all processors; of one thread at most all.
    pub(super) fn new(percent: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::of_cores(percent, u32::try_from(cores).unwrap_or(u32::MAX))
    }

    fn of_cores(percent: u32, cores: u32) -> Self {
        let share = (f64::from(percent) / 100.0 * f64::from(cores)).clamp(0.001, 1.0);
        Self { rest_per_work: 1.0 / share - 1.0, worked: Duration::ZERO, rests_until: None }
    }

    /// Notes work that has just ended.
    pub(super) fn spent(&mut self, work: Duration, now: Instant) {
        self.worked += work;
        if self.worked >= STRETCH {
            let rest = self.worked.mul_f64(self.rest_per_work);
            self.worked = Duration::ZERO;
            self.rests_until = now.checked_add(rest);
        }
    }

    /// How much longer to rest.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_rested_for_by_the_share_of_all_processors() {
        for (percent, cores, rest_ms) in
            [(10, 2, 40), (10, 1, 90), (50, 1, 10), (10, 10, 0), (100, 4, 0)]
        {
            let (mut pace, now) = (Pace::of_cores(percent, cores), Instant::now());
            pace.spent(Duration::from_millis(10), now);
            let rest = pace.rest(now).as_secs_f64() * 1000.0;
            assert!((rest - f64::from(rest_ms)).abs() < 0.1, "{percent} % of {cores}: {rest} ms");
            assert_eq!(pace.rest(now + Duration::from_millis(91)), Duration::ZERO);
        }
    }

    #[test]
    fn short_work_adds_up_before_there_is_a_rest() {
        let (mut pace, now) = (Pace::of_cores(10, 2), Instant::now());
        pace.spent(STRETCH / 2, now);
        assert_eq!(pace.rest(now), Duration::ZERO);
        pace.spent(STRETCH / 2, now);
        assert!(pace.rest(now) >= STRETCH * 3);
    }
}
