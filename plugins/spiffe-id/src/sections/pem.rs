//! Bundles in PEM. Those of several trust domains stand each below a line with the ID of theirs: `spiffe://example.org`.

use portcullis_guest::paths::pem;

use super::{FormatError, Found, Section};

/// What begins the line that names a trust domain. No line of a PEM entry has a colon.
const NAME: &str = "spiffe://";

pub(super) fn read(text: &str) -> Result<Vec<Section>, FormatError> {
    let mut sections = Vec::new();
    let mut begin = 1;
    let mut name = None;
    let mut piece = String::new();
    let named = text.lines().any(|line| line.starts_with(NAME));
    let mut inside = false;
    // Cut at the names before anything else: an entry that lost its end must not take one with it.
    for (index, line) in text.lines().enumerate() {
        if let Some(next) = line.strip_prefix(NAME) {
            sections.extend(section(begin, name.replace(next.trim_end().to_owned()), &piece));
            (begin, inside) = (index + 1, false);
            piece.clear();
        } else if named {
            let is_entry = line.starts_with("-----");
            let is_nothing = line.trim().is_empty() || line.starts_with('#');
            if !(inside || is_entry || is_nothing) {
                return Err(FormatError::Stray(index + 1));
            }
            inside = if is_entry { line.starts_with("-----BEGIN ") } else { inside };
        }
        piece.push_str(line);
        piece.push('\n');
    }
    sections.extend(section(begin, name, &piece));
    match sections.is_empty() {
        true => Err(FormatError::Neither),
        false => Ok(sections),
    }
}

/// None for what has neither a name nor an entry.
fn section(begin: usize, trust_domain: Option<String>, text: &str) -> Option<Section> {
    let certificates: Vec<Found> = pem::entries(text)
        .map(|entry| Found {
            place: format!("the entry of line {}", begin + entry.line - 1),
            der: entry.certificate(),
        })
        .collect();
    if trust_domain.is_none() && certificates.is_empty() {
        return None;
    }
    let place = match (&trust_domain, certificates.first()) {
        (None, Some(first)) => first.place.clone(),
        _ => format!("line {begin}"),
    };
    Some(Section { place, trust_domain, certificates })
}
