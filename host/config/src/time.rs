//! Times as people write them.

use portcullis_engine::Timestamp;
pub use portcullis_engine::rfc_3339 as format;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339, or seconds since 1970.
///
/// # Errors
/// It is neither.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    OffsetDateTime::parse(text, &Rfc3339).map(OffsetDateTime::unix_timestamp).map_err(|_| {
        format!("`{text}` is neither RFC 3339 (2026-11-24T12:00:00Z) nor seconds since 1970")
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_forms_of_a_time_are_read() {
        assert_eq!(parse("2026-11-24T12:00:00Z"), Ok(1_795_521_600));
        assert_eq!(parse("1795521600"), Ok(1_795_521_600));
        assert!(parse("yesterday").is_err());
    }
}
