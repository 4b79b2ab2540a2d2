//! One line of the pin list: `spki-sha256 DIGEST [expires=…] [label=…]`.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use portcullis_guest::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The longest line that is taken, in bytes.
pub const MAXIMUM_LINE_BYTES: usize = 1024;

/// A pin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// What the digest is of.
    pub kind: PinKind,
    /// SHA-256 of it.
    pub digest: Digest,
    /// The first second at which the pin no longer holds.
    pub expires: Option<Timestamp>,
    /// A name for the pin's owner.
    pub label: Option<Box<str>>,
}

/// What a pin is the digest of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinKind {
    /// The DER of the certificate.
    Certificate,
    /// The DER of SubjectPublicKeyInfo.
    SubjectPublicKey,
}

impl PinKind {
    /// The word that a line begins with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Certificate => "cert-sha256",
            Self::SubjectPublicKey => "spki-sha256",
        }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The digest is not one.
    #[error(
        "`{0}` is no SHA-256 digest: expected 64 hexadecimal digits, colons allowed, or 44 characters of base64"
    )]
    Digest(String),
    /// The expiry is not a date.
    #[error("`{0}` is no expiry: expected a date as 2027-01-31, or a time as 2027-01-31T12:00:00Z")]
    Expires(String),
    /// The first word is unknown.
    #[error("`{0}` is no kind of pin: expected `spki-sha256` or `cert-sha256`")]
    Kind(String),
    /// The label cannot name anybody.
    #[error("`{0}` is no label: expected text without control characters")]
    Label(String),
    /// No digest follows the first word.
    #[error("no digest follows `{0}`")]
    NoDigest(&'static str),
    /// An option stands twice.
    #[error("`{0}` stands twice")]
    Repeated(String),
    /// More than [`MAXIMUM_LINE_BYTES`].
    #[error("{0} bytes are more than the {MAXIMUM_LINE_BYTES} that a line may have")]
    TooLong(usize),
    /// A quotation mark is open at the end.
    #[error("a quotation mark is not closed")]
    UnclosedQuote,
    /// A word that is no option.
    #[error("`{0}` is no option: expected `expires=…` or `label=…`")]
    UnknownOption(String),
}

/// Reads one line; none for one that is blank or a comment.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &str) -> Result<Option<Pin>, LineError> {
    if line.len() > MAXIMUM_LINE_BYTES {
        return Err(LineError::TooLong(line.len()));
    }
    let words = words(line)?;
    let mut words = words.iter();
    let Some(kind) = words.next() else { return Ok(None) };
    let kind = match kind.as_str() {
        "cert-sha256" => PinKind::Certificate,
        "spki-sha256" => PinKind::SubjectPublicKey,
        other => return Err(LineError::Kind(other.to_owned())),
    };
    let digest = words.next().ok_or_else(|| LineError::NoDigest(kind.word()))?;
    let mut pin = Pin { kind, digest: parse_digest(digest)?, expires: None, label: None };

    for word in words {
        match word.split_once('=') {
            Some(("expires", _)) if pin.expires.is_some() => return Err(repeated("expires")),
            Some(("label", _)) if pin.label.is_some() => return Err(repeated("label")),
            Some(("expires", value)) => pin.expires = Some(parse_expires(value)?),
            Some(("label", value)) => pin.label = Some(parse_label(value)?),
            _ => return Err(LineError::UnknownOption(word.clone())),
        }
    }
    Ok(Some(pin))
}

fn repeated(option: &str) -> LineError {
    LineError::Repeated(option.to_owned())
}

/// The words of a line, up to a `#` that begins one. Quotation marks keep blanks and `#` in a word, and are dropped.
fn words(line: &str) -> Result<Vec<String>, LineError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if word.is_none() => break,
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    if quoted {
        return Err(LineError::UnclosedQuote);
    }
    words.extend(word);
    Ok(words)
}

fn parse_digest(text: &str) -> Result<Digest, LineError> {
    let decoded = match text.len() {
        64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        95 => colon_separated(text),
        _ => BASE64.decode(text.as_bytes()).ok(),
    };
    decoded
        .and_then(|bytes| Digest::try_from(bytes).ok())
        .ok_or_else(|| LineError::Digest(text.to_owned()))
}

/// 32 pairs of digits with a colon between each two, as `openssl x509 -fingerprint -sha256` prints them.
fn colon_separated(text: &str) -> Option<Vec<u8>> {
    let pairs: Vec<&str> = text.split(':').collect();
    if pairs.iter().any(|pair| pair.len() != 2) {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode(pairs.concat().as_bytes()).ok()
}

/// A date holds to its end, in UTC: what expires on the 31st is good on the 31st.
fn parse_expires(text: &str) -> Result<Timestamp, LineError> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
    let first_second_after = match day {
        Ok(day) => day.next_day().map(|next| OffsetDateTime::new_utc(next, Time::MIDNIGHT)),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    };
    first_second_after
        .map(OffsetDateTime::unix_timestamp)
        .ok_or_else(|| LineError::Expires(text.to_owned()))
}

fn parse_label(text: &str) -> Result<Box<str>, LineError> {
    match text.is_empty() || text.contains(char::is_control) {
        true => Err(LineError::Label(text.to_owned())),
        false => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests;
