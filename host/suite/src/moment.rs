//! Times as a suite has them.

use portcullis_config::time;
use portcullis_engine::Timestamp;
use serde::Deserialize;

/// A time, or how far from the suite's time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) enum Moment {
    At(Timestamp),
    /// In seconds.
    After(i64),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a time as RFC 3339 (2026-01-15T12:00:00Z), or relative to the suite's (\"+2h\")"
)]
enum Raw {
    Text(String),
    Date(toml::value::Datetime),
}

impl TryFrom<Raw> for Moment {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let text = match raw {
            Raw::Text(text) => text,
            Raw::Date(date) => date.to_string(),
        };
        if let Some(seconds) = relative(&text) {
            return Ok(Self::After(seconds));
        }
        match time::parse(&text) {
            Ok(time) if (FIRST..=LAST).contains(&time) => Ok(Self::At(time)),
            _ => Err(format!(
                "`{text}` is neither RFC 3339 (2026-01-15T12:00:00Z) nor relative to the suite's time: a sign, a \
                 number and `s`, `m`, `h` or `d` (\"+2h\")"
            )),
        }
    }
}

/// The years that a certificate can be written in, 0 to 9999.
const FIRST: Timestamp = -62_167_219_200;
const LAST: Timestamp = 253_402_300_799;

/// A thousand years, in seconds: so that no sum of them overflows.
const FARTHEST: i64 = 1000 * 366 * 24 * 60 * 60;

impl Moment {
    /// In seconds since 1970, where `base` is the suite's time.
    pub(crate) fn from(self, base: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::After(seconds) => base.saturating_add(seconds),
        }
    }
}

fn relative(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (number, unit) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<i64>().ok()?.checked_mul(unit)?;
    (seconds <= FARTHEST).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Moment, String> {
        #[derive(Deserialize)]
        struct Table {
            time: Moment,
        }
        toml::from_str::<Table>(&format!("time = {text}"))
            .map(|table| table.time)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_time_is_absolute_in_quotes_or_without_or_relative() {
        assert_eq!(parse("\"2026-01-15T12:00:00Z\""), Ok(Moment::At(1_768_478_400)));
        assert_eq!(parse("2026-01-15T12:00:00Z"), Ok(Moment::At(1_768_478_400)));
        assert_eq!(parse("\"-30d\""), Ok(Moment::After(-30 * 86_400)));
        assert_eq!(Moment::After(-5).from(100), 95);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "\"\"",
            "\"+\"",
            "\"2h\"",
            "\"+h\"",
            "\"+-2h\"",
            "\"+2w\"",
            "\"+99999999d\"",
            "\"é\"",
            "\"+é\"",
            "[]",
            "2026-01-15",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
