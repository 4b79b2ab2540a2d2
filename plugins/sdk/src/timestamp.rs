//! Points in time, for people.

use time::OffsetDateTime;

use crate::Timestamp;

/// A timestamp as RFC 3339 text in UTC: `2026-11-24T07:30:00Z`. One that no calendar holds is given as its number.
pub fn to_text(timestamp: Timestamp) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(timestamp) else {
        return timestamp.to_string();
    };
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_as_rfc_3339() {
        assert_eq!(to_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(to_text(1_795_505_400), "2026-11-24T07:30:00Z");
        assert_eq!(to_text(-1), "1969-12-31T23:59:59Z");
        assert_eq!(to_text(i64::MAX), i64::MAX.to_string());
    }
}
