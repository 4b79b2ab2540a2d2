//! A certificate's validity against a time, for people.

use portcullis_engine::Timestamp;

/// Columns of a bar between its ends.
const COLUMNS: i64 = 20;

/// The validity as a bar, what is over as `#`, with a `|` where the time is: `[#####|..............]`.
pub(super) fn bar(not_before: Timestamp, not_after: Timestamp, at: Timestamp) -> String {
    let whole = |fill: &str| fill.repeat(usize::try_from(COLUMNS).unwrap_or_default());
    if at < not_before {
        return format!("| [{}]", whole("."));
    }
    if at > not_after {
        return format!("[{}] |", whole("#"));
    }
    let total = not_after.saturating_sub(not_before).max(1);
    let gone = at.saturating_sub(not_before);
    let position = i128::from(gone) * i128::from(COLUMNS - 1) / i128::from(total);
    let over = usize::try_from(position).unwrap_or_default();
    let left = usize::try_from(COLUMNS - 1).unwrap_or_default().saturating_sub(over);
    format!("[{}|{}]", "#".repeat(over), ".".repeat(left))
}

/// Where the time stands: "12 h left", "expired 3 h ago".
pub(super) fn standing(not_before: Timestamp, not_after: Timestamp, at: Timestamp) -> String {
    if at < not_before {
        format!("begins in {}", span(not_before.saturating_sub(at)))
    } else if at > not_after {
        format!("expired {} ago", span(at.saturating_sub(not_after)))
    } else {
        format!("{} left", span(not_after.saturating_sub(at)))
    }
}

/// A length of time in its two largest units: "3 d 4 h", "12 min".
pub(super) fn span(seconds: i64) -> String {
    let units = [(365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds.max(0);
    let mut parts = Vec::new();
    for (size, name) in units {
        if parts.len() < 2 && left >= size {
            parts.push(format!("{} {name}", left / size));
            left %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::{bar, span, standing};

    #[test]
    fn the_mark_moves_from_one_end_to_the_other_and_beyond() {
        assert_eq!(bar(100, 200, 99), "| [....................]");
        assert_eq!(bar(100, 200, 100), "[|...................]");
        assert_eq!(bar(100, 200, 150), "[#########|..........]");
        assert_eq!(bar(100, 200, 200), "[###################|]");
        assert_eq!(bar(100, 200, 201), "[####################] |");
        assert_eq!(bar(i64::MIN, i64::MAX, 0).len(), 22);
        assert_eq!(bar(100, 100, 100), "[|...................]");
    }

    #[test]
    fn times_are_told_in_two_units() {
        assert_eq!(span(0), "0 s");
        assert_eq!(span(3 * 3600), "3 h");
        assert_eq!(span(86400 + 3 * 3600 + 59), "1 d 3 h");
        assert_eq!(span(400 * 86400), "1 y 35 d");
        assert_eq!(span(3600 + 5), "1 h");
        assert_eq!(standing(0, 10, 5), "5 s left");
        assert_eq!(standing(0, 10, 70), "expired 1 min ago");
        assert_eq!(standing(60, 100, 0), "begins in 1 min");
    }
}
