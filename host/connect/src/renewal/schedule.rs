//! When a certificate is renewed.

use portcullis_core::Timestamp;

use crate::identity::ClientIdentity;

/// The pauses after failures, in seconds; doubled from the first to the longest.
const FIRST_PAUSE: i64 = 10;
const LONGEST_PAUSE: i64 = 900;

/// When one identity is to be renewed.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    generation: u64,
    due: Timestamp,
    failures: u32,
}

impl Schedule {
    /// What was known, if it is about this identity. Of one that came with the start of the program its certificate's
    /// whole lifetime counts, and of one that came since, what is left of it: somebody else renews as well, and a
    /// certificate that was short from the beginning is not renewed again and again.
    pub(super) fn of(known: Option<Self>, identity: &ClientIdentity, now: Timestamp) -> Self {
        match known {
            Some(known) if known.generation == identity.generation() => known,
            Some(_) => Self::after_renewal(identity, now),
            None => Self::new(identity, identity.certificate().not_before()),
        }
    }

    /// Of an identity that is new.
    pub(super) fn after_renewal(identity: &ClientIdentity, now: Timestamp) -> Self {
        Self::new(identity, now.max(identity.certificate().not_before()))
    }

    fn new(identity: &ClientIdentity, from: Timestamp) -> Self {
        let due = due(from, identity.certificate().not_after(), random());
        Self { generation: identity.generation(), due, failures: 0 }
    }

    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    /// After a failure; gives the time of the next attempt.
    pub(super) fn put_off(&mut self, until: Timestamp, now: Timestamp) -> Timestamp {
        self.due = now.saturating_add(pause(self.failures, until.saturating_sub(now), random()));
        self.failures = self.failures.saturating_add(1);
        self.due
    }
}

/// At two thirds of the time, a tenth earlier or later.
fn due(from: Timestamp, until: Timestamp, random: f64) -> Timestamp {
    let span = until.saturating_sub(from).max(0) as f64 * 2.0 / 3.0;
    from.saturating_add((span * (0.9 + 0.2 * random)) as i64)
}

/// Up to half as long again by chance; while the certificate lasts, at most a quarter of what is left, so that there is
/// time for more attempts.
fn pause(failures: u32, left: i64, random: f64) -> i64 {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
    let pause = if left > 0 { doubled.min((left / 4).max(FIRST_PAUSE)) } else { doubled };
    pause + (pause as f64 / 2.0 * random) as i64
}

/// From 0 to 1.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};

    use super::*;

    const HOUR: i64 = 3600;
    const START: i64 = 1_795_000_000;

    fn identity(generation: u64, not_before: i64, lifetime: i64) -> ClientIdentity {
        let validity = Validity { not_before, not_after: not_before + lifetime };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let issued = root.issue(&Profile::client("alice", validity)).unwrap();
        ClientIdentity::from_pem(generation, issued.chain_pem.as_bytes(), issued.key_pem.as_bytes())
            .unwrap()
    }

    #[test]
    fn a_certificate_of_a_day_is_renewed_after_16_hours_give_or_take_a_tenth() {
        let at = |random| (due(START, START + 24 * HOUR, random) - START) as f64 / HOUR as f64;
        assert_eq!((at(0.0), at(0.5)), (14.4, 16.0));
        assert!((at(1.0) - 17.6).abs() < 0.001);
    }

    #[test]
    fn one_that_was_short_from_the_beginning_is_not_renewed_over_and_over() {
        // Issued with a minute of the past and 20 seconds to come: at the start, it is time.
        let now = START + 60;
        let first = Schedule::of(None, &identity(0, START, 80), now);
        assert!(first.due() <= now);
        let second = Schedule::of(Some(first), &identity(1, START, 80), now);
        assert!((now + 12..=now + 15).contains(&second.due()), "{second:?}");
    }

    #[test]
    fn a_schedule_stays_until_the_identity_changes_whoever_changed_it() {
        let first = Schedule::of(None, &identity(0, START, 24 * HOUR), START);
        let due = first.due();
        let same = Schedule::of(Some(first), &identity(0, START, 24 * HOUR), START + HOUR);
        assert_eq!(same.due(), due);
        let next = Schedule::of(Some(same), &identity(1, START, 48 * HOUR), START + HOUR);
        assert!(next.due() > START + 28 * HOUR);
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour_and_leave_time_for_more_attempts() {
        let pauses: Vec<_> = (0..9).map(|failures| pause(failures, 100 * HOUR, 0.0)).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(pause(8, 400, 0.0), 100);
        assert_eq!(pause(8, 8, 0.0), 10);
        assert_eq!(pause(8, -1, 1.0), 1350);
    }

    #[test]
    fn a_failure_puts_the_renewal_off() {
        let mut schedule = Schedule::of(None, &identity(0, START, 24 * HOUR), START);
        let now = START + 20 * HOUR;
        let first = schedule.put_off(START + 24 * HOUR, now);
        let second = schedule.put_off(START + 24 * HOUR, first);
        assert!((10..=15).contains(&(first - now)) && (20..=30).contains(&(second - first)));
        assert_eq!(schedule.due(), second);
    }
}
