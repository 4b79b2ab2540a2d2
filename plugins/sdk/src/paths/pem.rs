//! Bundles of certificates in PEM (RFC 7468).

use data_encoding::BASE64;

/// One `BEGIN` of a bundle, with what follows it up to the next.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The line of the `BEGIN`, counted from 1.
    pub line: usize,
    label: &'a str,
    rest: &'a str,
}

/// The entries of a bundle. Text around them is passed over.
///
/// A bundle is cut at its `BEGIN`s, so that an entry that lost its end does not take the next one with it.
pub fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut line = 1;
    text.split("-----BEGIN ").enumerate().filter_map(move |(index, piece)| {
        let begin = line;
        line += piece.matches('\n').count();
        let (label, rest) = piece.split_once("-----").unwrap_or((piece, ""));
        (index > 0).then_some(Entry { line: begin, label, rest })
    })
}

impl Entry<'_> {
    /// The DER of the certificate that the entry holds.
    ///
    /// # Errors
    /// What is wrong with the entry, for people.
    pub fn certificate(&self) -> Result<Vec<u8>, String> {
        if self.label != "CERTIFICATE" {
            let label: String = self.label.chars().take(40).collect();
            return Err(format!("it is `{label}`, not `CERTIFICATE`"));
        }
        let end = "-----END CERTIFICATE-----";
        let (body, _) = self.rest.split_once(end).ok_or_else(|| format!("it has no `{end}`"))?;
        let body: String = body.split_ascii_whitespace().collect();
        BASE64.decode(body.as_bytes()).map_err(|error| format!("it is not base64: {error}"))
    }
}
