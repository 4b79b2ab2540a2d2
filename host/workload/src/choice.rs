//! Which SVID is meant, where the agent gives several.

use std::fmt;

use spiffe::SpiffeId;

/// Which of several SVIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first: the default identity (SPIFFE Workload API, section 5.3).
    #[default]
    First,
    /// The first with this hint, which the agent's operator gave it (section 5.2.1).
    Hint(String),
    /// That of this SPIFFE ID.
    Id(SpiffeId),
}

/// Reads the SPIFFE ID of somebody who may have an SVID.
///
/// # Errors
///
/// When it is none, or has no path: only a trust domain's own ID has none. Says why, with the ID.
pub fn parse_id(text: &str) -> Result<SpiffeId, String> {
    match SpiffeId::new(text) {
        Ok(id) if id.path().is_empty() => {
            Err(format!("`{text}` has no path: it is the ID of a trust domain"))
        }
        Ok(id) => Ok(id),
        Err(error) => Err(format!("`{text}` is no SPIFFE ID: {error}")),
    }
}

impl Choice {
    pub(crate) fn fits(&self, id: &SpiffeId, hint: Option<&str>) -> bool {
        match self {
            Self::First => true,
            Self::Hint(wanted) => hint == Some(wanted),
            Self::Id(wanted) => id == wanted,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("no SVID"),
            Self::Hint(hint) => write!(f, "no SVID with the hint `{hint}`"),
            Self::Id(id) => write!(f, "no SVID of `{id}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_a_trust_domain_and_a_path() {
        assert!(parse_id("spiffe://example.org/gate").is_ok());
        for text in ["spiffe://example.org", "https://example.org/gate", "gate", ""] {
            let error = parse_id(text).unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
