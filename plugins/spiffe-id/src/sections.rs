//! The two formats of bundles, read into the same parts: certificates, by trust domain.

mod json;
mod pem;

/// The certificates of one trust domain, as they stand.
#[derive(Debug)]
pub(crate) struct Section {
    /// Where it is, for people.
    pub(crate) place: String,
    /// The name that the asset gives, unchecked; none when it gives none.
    pub(crate) trust_domain: Option<String>,
    /// What is to be a CA of it.
    pub(crate) certificates: Vec<Found>,
}

/// One certificate, or what is wrong with its entry.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it is, for people.
    pub(crate) place: String,
    /// Its DER.
    pub(crate) der: Result<Vec<u8>, String>,
}

/// Why an asset is in neither format.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It begins as JSON does, and is no SPIFFE bundle.
    #[error("it is no SPIFFE bundle, and no map of them: {0}")]
    Json(String),
    /// There is no entry.
    #[error("it is neither PEM nor JSON: expected certificates, or a SPIFFE bundle")]
    Neither,
    /// Text between the entries of a bundle with several trust domains, where it could be a name mistyped.
    #[error(
        "line {0} is neither `spiffe://` with a trust domain, nor a `#` comment, nor of a certificate"
    )]
    Stray(usize),
}

/// Reads an asset.
pub(crate) fn read(content: &[u8]) -> Result<Vec<Section>, FormatError> {
    let text = String::from_utf8_lossy(content);
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().starts_with('{') {
        true => json::read(text),
        false => pem::read(text),
    }
}
