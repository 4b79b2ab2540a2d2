//! The pauses between attempts to reach the agent.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that double up to the longest. Each is cut by up to a half at random, so that the processes of a machine do not
/// come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        let random = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        pause.mul_f64(1.0 - random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_cut_by_a_half_at_most() {
        let mut backoff = Backoff::new();
        for whole in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let pause = backoff.next().as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
    }
}
