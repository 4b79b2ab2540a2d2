//! The two ways in which X.509 writes a time (RFC 5280, 4.1.2.5), to the second and in UTC only; and one for people.

use std::fmt;

use portcullis_core::Timestamp;

/// A time as messages write it: `2026-11-24T12:00:00Z`.
pub(crate) struct Utc(pub(crate) Timestamp);

/// `YYMMDDHHMMSSZ`, of the years 1950 to 2049.
pub(crate) fn utc(text: &[u8]) -> Option<Timestamp> {
    let (year, rest) = text.split_at_checked(2)?;
    let year = i64::from(number(year)?);
    timestamp(if year < 50 { 2000 + year } else { 1900 + year }, rest)
}

/// `YYYYMMDDHHMMSSZ`.
pub(crate) fn generalized(text: &[u8]) -> Option<Timestamp> {
    let (year, rest) = text.split_at_checked(4)?;
    timestamp(i64::from(number(year)?), rest)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

fn timestamp(year: i64, rest: &[u8]) -> Option<Timestamp> {
    if rest.len() != 11 || rest[10] != b'Z' {
        return None;
    }
    let field = |at: usize| number(&rest[at..at + 2]);
    let (month, day) = (field(0)?, field(2)?);
    let (hour, minute, second) = (field(4)?, field(6)?, field(8)?);
    if hour > 23 || minute > 59 || second > 59 || day < 1 || day > days_in(year, month)? {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(days_since_1970(year, month, day) * 86_400 + seconds)
}

fn days_in(year: i64, month: u32) -> Option<u32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    Some(match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    })
}

/// Counts from 1 March, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // The months from March on have 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31 days before the last.
    let days_of_months = i64::from((153 * month + 2) / 5);
    year * 365 + leap_days + days_of_months + i64::from(day) - 1 - 719_468
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.div_euclid(86_400) + 719_468, self.0.rem_euclid(86_400));
        // Years are counted in cycles of 400, which all have 146,097 days.
        let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_cycle = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
        let (carry, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
        let year = cycle * 400 + year_of_cycle + carry;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(utc(b"700101000000Z"), Some(0));
        assert_eq!(utc(b"000229235959Z"), Some(951_868_799));
        assert_eq!(utc(b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(utc(b"500101000000Z"), Some(-631_152_000));
        assert_eq!(generalized(b"20261124120000Z"), Some(1_795_521_600));
        assert_eq!(generalized(b"99991231235959Z"), Some(253_402_300_799));
        assert_eq!(generalized(b"00000101000000Z"), Some(-62_167_219_200));
    }

    #[test]
    fn times_are_written_for_people() {
        for text in ["20000229235959Z", "20261124120000Z", "19691231235959Z", "21000301000000Z"] {
            let written = Utc(generalized(text.as_bytes()).unwrap()).to_string();
            assert_eq!(written.replace(['-', 'T', ':'], ""), text);
        }
    }

    #[test]
    fn other_writings_are_refused() {
        for text in ["20230229000000Z", "20231301000000Z", "20230100000000Z", "20230101240000Z"] {
            assert_eq!(generalized(text.as_bytes()), None, "{text}");
        }
        for text in ["2302010000Z", "230201000000+0000", "23020100000aZ", "230201000060Z", ""] {
            assert_eq!(utc(text.as_bytes()), None, "{text}");
        }
        assert_eq!(generalized(b"20230101000000.5Z"), None);
    }
}
