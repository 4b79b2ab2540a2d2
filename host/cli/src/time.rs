//! Times on the command line and in reports.

pub(crate) use portcullis_config::time::{format, parse};
use serde::Deserialize;

/// A length of time as a configuration has it: `24h`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Seconds(pub(crate) i64);

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(Self)
    }
}

/// A length of time in seconds: a number with `s`, `m`, `h` or `d`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let units = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
    let seconds = units.iter().find_map(|&(unit, seconds)| {
        let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds).filter(|&seconds| seconds > 0)
    });
    seconds.ok_or_else(|| {
        format!("`{text}` is no length of time; write a number with s, m, h or d, as in 24h")
    })
}

/// A length of time in its two largest units.
pub(crate) fn format_duration(seconds: i64) -> String {
    let (sign, rest) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    let (days, hours, minutes) = (rest / 86_400, rest / 3600 % 24, rest / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{rest}s"),
        (0, 0, _) => format!("{sign}{minutes}m {}s", rest % 60),
        (0, ..) => format!("{sign}{hours}h {minutes}m"),
        _ => format!("{sign}{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::{format_duration, parse_duration};

    #[test]
    fn lengths_of_time_have_a_unit_and_are_positive() {
        assert_eq!(parse_duration("24h"), Ok(86_400));
        assert_eq!(parse_duration("30d"), Ok(2_592_000));
        for wrong in ["24", "h", "-1h", "0s", "1.5h", "1w", "9223372036854775807d", "1 h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_of_time_are_shown_in_two_units() {
        for (seconds, text) in
            [(59, "59s"), (61, "1m 1s"), (86_399, "23h 59m"), (90_000, "1d 1h"), (-61, "-1m 1s")]
        {
            assert_eq!(format_duration(seconds), text);
        }
    }
}
