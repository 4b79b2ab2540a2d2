//! When it is time to say that a certificate, or a CRL, ends.

use crate::clock::Timestamp;

const DAY: i64 = 24 * 60 * 60;

/// How long before its end something is warned of: the shorter of two times, so that what lives for a day is not warned
/// of all day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarnBefore {
    /// In seconds. Default: 24 hours.
    pub seconds: i64,
    /// Of the lifetime, from 0 to 1. Default: a third.
    pub fraction: f64,
}

/// What there is to say about an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It is far away.
    None,
    /// It is near: there is time to renew.
    ExpiresSoon,
    /// It has passed.
    Expired,
}

impl Default for WarnBefore {
    fn default() -> Self {
        Self { seconds: DAY, fraction: 1.0 / 3.0 }
    }
}

impl WarnBefore {
    /// Of what is good from its first to its last second, both included (RFC 5280, 4.1.2.5).
    #[must_use]
    pub fn urgency(&self, first: Timestamp, last: Timestamp, now: Timestamp) -> Urgency {
        if now > last {
            Urgency::Expired
        } else if now >= last.saturating_sub(self.ahead(last.saturating_sub(first))) {
            Urgency::ExpiresSoon
        } else {
            Urgency::None
        }
    }

    fn ahead(&self, lifetime: i64) -> i64 {
        // Rounded, a third of an hour is 1,200 seconds. Lifetimes are far from what an f64 cannot count.
        let part = (lifetime as f64 * self.fraction).round() as i64;
        part.min(self.seconds).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = 1_795_000_000;

    fn urgency(lifetime: i64, left: i64) -> Urgency {
        WarnBefore::default().urgency(START, START + lifetime, START + lifetime - left)
    }

    #[test]
    fn what_lives_for_a_year_is_warned_of_a_day_ahead() {
        assert_eq!(urgency(365 * DAY, DAY + 1), Urgency::None);
        assert_eq!(urgency(365 * DAY, DAY), Urgency::ExpiresSoon);
    }

    #[test]
    fn what_lives_for_a_day_is_not_warned_of_before_its_last_third() {
        assert_eq!(urgency(DAY, DAY), Urgency::None);
        assert_eq!(urgency(DAY, 8 * 60 * 60 + 1), Urgency::None);
        assert_eq!(urgency(DAY, 8 * 60 * 60), Urgency::ExpiresSoon);
        assert_eq!(urgency(60 * 60, 20 * 60), Urgency::ExpiresSoon);
    }

    #[test]
    fn the_last_second_is_still_good_and_the_next_is_not() {
        assert_eq!(urgency(DAY, 0), Urgency::ExpiresSoon);
        assert_eq!(urgency(DAY, -1), Urgency::Expired);
    }

    #[test]
    fn both_bounds_can_be_set() {
        let rule = WarnBefore { seconds: 100, fraction: 0.5 };
        assert_eq!(rule.urgency(0, 1000, 899), Urgency::None);
        assert_eq!(rule.urgency(0, 1000, 900), Urgency::ExpiresSoon);
        assert_eq!(rule.urgency(0, 100, 49), Urgency::None);
        assert_eq!(rule.urgency(0, 100, 50), Urgency::ExpiresSoon);
    }

    #[test]
    fn extreme_and_reversed_validities_do_not_overflow() {
        let rule = WarnBefore::default();
        assert_eq!(rule.urgency(i64::MIN, i64::MAX, 0), Urgency::None);
        assert_eq!(rule.urgency(i64::MAX, i64::MIN, 0), Urgency::Expired);
        assert_eq!(rule.urgency(10, 5, 4), Urgency::None);
    }
}
