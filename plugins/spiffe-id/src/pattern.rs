//! Patterns of SPIFFE IDs: `*` stands for one whole segment, `/**` at the end for one segment or more.
//!
//! There is no matching of parts of a segment: `/agent/*` does not let `/agentish/x` in, nor `/agent/x/y`.

use crate::id::{self, IdError, SpiffeId, TrustDomain};

/// A pattern.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(try_from = "String")]
#[cfg_attr(test, serde(into = "String"))]
pub struct Pattern {
    text: String,
    trust_domain: TrustDomain,
    segments: Vec<Segment>,
    /// It ends in `/**`, which is not among the segments.
    and_below: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Any,
    Exactly(String),
}

/// Why a text is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing follows the trust domain.
    #[error("it has no path, which the ID of every client has: `/**` stands for any")]
    NoPath,
    /// Without its wildcards it would be no SPIFFE ID.
    #[error(transparent)]
    NotAnId(#[from] IdError),
    /// A `*` beside other characters of its segment.
    #[error("`{0}` is part text and part `*`, which stands for a whole segment")]
    PartOfSegment(String),
    /// A `**` before the end.
    #[error("`**` stands before its end")]
    WildcardNotLast,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (trust_domain, path) = id::split(text)?;
        if path.is_empty() {
            return Err(PatternError::NoPath);
        }
        let (path, and_below) = match path.strip_suffix("/**") {
            Some(before) => (before, true),
            None => (path, false),
        };
        let segments = id::segments(path).map(segment).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), trust_domain, segments, and_below })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The trust domain of everything that matches.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Whether it matches an ID.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        let mut of_id = id.segments();
        let fits = |segment: &Segment| match (segment, of_id.next()) {
            (_, None) => false,
            (Segment::Any, Some(_)) => true,
            (Segment::Exactly(wanted), Some(found)) => wanted == found,
        };
        self.trust_domain == *id.trust_domain()
            && self.segments.iter().all(fits)
            && of_id.next().is_some() == self.and_below
    }
}

fn segment(text: &str) -> Result<Segment, PatternError> {
    match text {
        "*" => Ok(Segment::Any),
        "**" => Err(PatternError::WildcardNotLast),
        part if part.contains('*') => Err(PatternError::PartOfSegment(part.to_owned())),
        exact => {
            id::check_segment(exact)?;
            Ok(Segment::Exactly(exact.to_owned()))
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wanted = "expected a pattern, as `spiffe://example.org/agent/*`; of this one,";
        Self::parse(&text).map_err(|error| format!("{wanted} {error}"))
    }
}

#[cfg(test)]
impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, id: &str) -> bool {
        let pattern = Pattern::parse(&format!("spiffe://example.org{pattern}")).expect("a pattern");
        pattern.matches(&SpiffeId::parse(&format!("spiffe://example.org{id}")).expect("an ID"))
    }

    #[test]
    fn a_pattern_without_wildcards_matches_itself_only() {
        assert!(matches("/agent/billing", "/agent/billing"));
        for other in ["", "/agent", "/agent/Billing", "/agent/billing/x", "/agent/billin", "/x"] {
            assert!(!matches("/agent/billing", other), "{other}");
        }
    }

    #[test]
    fn one_star_is_exactly_one_whole_segment() {
        assert!(matches("/agent/*", "/agent/billing"));
        assert!(matches("/*/billing", "/agent/billing"));
        for other in ["", "/agent", "/agent/a/b", "/agentish/billing", "/x/agent/billing"] {
            assert!(!matches("/agent/*", other), "{other}");
        }
    }

    #[test]
    fn two_stars_at_the_end_are_one_segment_or_more() {
        for id in ["/agent/a", "/agent/a/b", "/agent/a/b/c"] {
            assert!(matches("/agent/**", id), "{id}");
        }
        for other in ["", "/agent", "/agents", "/agentish/a"] {
            assert!(!matches("/agent/**", other), "{other}");
        }
        assert!(matches("/**", "/a") && matches("/**", "/a/b") && !matches("/**", ""));
        assert!(matches("/*/**", "/a/b") && !matches("/*/**", "/a"));
    }

    #[test]
    fn a_pattern_is_of_one_trust_domain() {
        let pattern = Pattern::parse("spiffe://example.org/**").expect("a pattern");
        for other in ["spiffe://example.com/a", "spiffe://a.example.org/a"] {
            assert!(!pattern.matches(&SpiffeId::parse(other).expect("an ID")), "{other}");
        }
    }

    #[test]
    fn what_could_be_mistaken_for_a_pattern_is_refused() {
        let part = |text: &str| PatternError::PartOfSegment(text.to_owned());
        for (text, error) in [
            ("spiffe://example.org", PatternError::NoPath),
            ("spiffe://example.org/agent*", part("agent*")),
            ("spiffe://example.org/***", part("***")),
            ("spiffe://example.org/a/**/b", PatternError::WildcardNotLast),
            ("spiffe://example.org/**/**", PatternError::WildcardNotLast),
            ("spiffe://example.org/a/", PatternError::NotAnId(IdError::EmptySegment)),
            ("spiffe://example.org//**", PatternError::NotAnId(IdError::EmptySegment)),
            ("spiffe://example.org/a/../b", PatternError::NotAnId(IdError::DotSegment)),
            ("/agent/*", PatternError::NotAnId(IdError::Scheme)),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        assert!(Pattern::parse("spiffe://*.example.org/a").is_err(), "a wildcard trust domain");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Pattern::parse(&text);
            let _ = Pattern::parse(&format!("spiffe://a/{text}"));
        }

        #[test]
        fn an_id_matches_the_pattern_that_it_is_and_those_with_a_segment_left_open(
            segments in proptest::collection::vec("[a-z]{1,3}", 1..6),
            open in any::<prop::sample::Index>(),
        ) {
            let path = |segments: &[String]| -> String {
                segments.iter().map(|one| format!("/{one}")).collect()
            };
            let id = path(&segments);
            prop_assert!(matches(&id, &id));
            let mut starred = segments.clone();
            starred[open.index(segments.len())] = "*".to_owned();
            prop_assert!(matches(&path(&starred), &id));
            let below = &segments[..open.index(segments.len())];
            let below = format!("{}/**", path(below));
            prop_assert!(matches(&below, &id));
        }
    }
}
