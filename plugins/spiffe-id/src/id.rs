//! SPIFFE IDs (SPIFFE-ID, section 2): `spiffe://TRUST-DOMAIN/PATH`.

use std::fmt;

/// The scheme, with what separates it from the trust domain.
const SCHEME: &str = "spiffe://";

/// The longest ID that is taken, in bytes (2.3): every implementation must take so much, and none should make more.
pub const MAXIMUM_BYTES: usize = 2048;

/// The longest name of a trust domain, in bytes (2.3).
pub const MAXIMUM_TRUST_DOMAIN_BYTES: usize = 255;

/// A SPIFFE ID.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    /// Empty, or begins with a `/`.
    path: String,
}

/// The name of a trust domain (2.1).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(try_from = "String")]
#[cfg_attr(test, serde(into = "String"))]
pub struct TrustDomain(String);

/// Why a text is no SPIFFE ID.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// A segment is `.` or `..`.
    #[error("a segment of its path is `.` or `..`")]
    DotSegment,
    /// A segment is empty, as it is with `//` and with a `/` at the end.
    #[error("a segment of its path is empty")]
    EmptySegment,
    /// A character that no path segment has.
    #[error("its path has `{}`: only letters, digits, `.`, `-` and `_` may be there", .0.escape_debug())]
    PathCharacter(char),
    /// Another scheme than `spiffe`, which is written in lower case.
    #[error("it does not begin with `{SCHEME}`")]
    Scheme,
    /// More than [`MAXIMUM_BYTES`].
    #[error("it has {0} bytes: at most {MAXIMUM_BYTES}")]
    TooLong(usize),
    /// What stands for the trust domain is no name of one.
    #[error("its trust domain {0}")]
    TrustDomain(#[from] TrustDomainError),
}

/// Why a text is no name of a trust domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustDomainError {
    /// A character that no trust domain has. A `:` or `@` would be a port or a user.
    #[error("has `{}`: only lower-case letters, digits, `.`, `-` and `_` may be there", .0.escape_debug())]
    Character(char),
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// More than [`MAXIMUM_TRUST_DOMAIN_BYTES`].
    #[error("has {0} bytes: at most {MAXIMUM_TRUST_DOMAIN_BYTES}")]
    TooLong(usize),
}

impl SpiffeId {
    /// Reads an ID. There is one spelling of each: nothing is decoded, folded or normalized.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (trust_domain, path) = split(text)?;
        for segment in segments(path) {
            check_segment(segment)?;
        }
        Ok(Self { trust_domain, path: path.to_owned() })
    }

    /// The trust domain that it is of.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Empty for the ID of the trust domain itself; begins with a `/` otherwise.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The segments of the path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        segments(&self.path)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}{}", self.trust_domain, self.path)
    }
}

/// The trust domain, and whatever follows it from its first `/` on.
pub(crate) fn split(text: &str) -> Result<(TrustDomain, &str), IdError> {
    if text.len() > MAXIMUM_BYTES {
        return Err(IdError::TooLong(text.len()));
    }
    let rest = text.strip_prefix(SCHEME).ok_or(IdError::Scheme)?;
    let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok((TrustDomain::parse(name)?, path))
}

/// The segments of a path that is empty or begins with a `/`.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

/// Whether a path may have this segment (2.2).
pub(crate) fn check_segment(segment: &str) -> Result<(), IdError> {
    let allowed = |one: &char| one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | '_');
    match segment {
        "" => Err(IdError::EmptySegment),
        "." | ".." => Err(IdError::DotSegment),
        _ => segment
            .chars()
            .find(|one| !allowed(one))
            .map_or(Ok(()), |one| Err(IdError::PathCharacter(one))),
    }
}

impl TrustDomain {
    /// Reads a name, as `example.org`.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(name: &str) -> Result<Self, TrustDomainError> {
        let allowed = |one: &char| matches!(one, 'a'..='z' | '0'..='9' | '.' | '-' | '_');
        match name.chars().find(|one| !allowed(one)) {
            Some(character) => Err(TrustDomainError::Character(character)),
            None if name.is_empty() => Err(TrustDomainError::Empty),
            None if name.len() > MAXIMUM_TRUST_DOMAIN_BYTES => {
                Err(TrustDomainError::TooLong(name.len()))
            }
            None => Ok(Self(name.to_owned())),
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let wanted = "expected the name of a trust domain, as `example.org`; this one";
        Self::parse(&name).map_err(|error| format!("{wanted} {error}"))
    }
}

#[cfg(test)]
impl From<TrustDomain> for String {
    fn from(trust_domain: TrustDomain) -> Self {
        trust_domain.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_read_into_its_parts_and_back() {
        for (text, trust_domain, path) in [
            ("spiffe://example.org", "example.org", ""),
            ("spiffe://example.org/agent/billing", "example.org", "/agent/billing"),
            ("spiffe://a_b-c.1/X-Y_Z.0/...", "a_b-c.1", "/X-Y_Z.0/..."),
            ("spiffe://1.2.3.4/.a", "1.2.3.4", "/.a"),
        ] {
            let id = SpiffeId::parse(text).expect("an ID");
            assert_eq!((id.trust_domain().to_string().as_str(), id.path()), (trust_domain, path));
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn what_the_grammar_does_not_have_is_refused() {
        let domain = |character| IdError::TrustDomain(TrustDomainError::Character(character));
        for (text, error) in [
            ("", IdError::Scheme),
            ("spiffe:/example.org/a", IdError::Scheme),
            ("SPIFFE://example.org/a", IdError::Scheme),
            ("https://example.org/a", IdError::Scheme),
            (" spiffe://example.org/a", IdError::Scheme),
            ("spiffe://", IdError::TrustDomain(TrustDomainError::Empty)),
            ("spiffe:///a", IdError::TrustDomain(TrustDomainError::Empty)),
            ("spiffe://Example.org/a", domain('E')),
            ("spiffe://user@example.org/a", domain('@')),
            ("spiffe://example.org:443/a", domain(':')),
            ("spiffe://ex%61mple.org/a", domain('%')),
            ("spiffe://bücher.example/a", domain('ü')),
            ("spiffe://[::1]/a", domain('[')),
            ("spiffe://example.org?q", domain('?')),
            ("spiffe://example.org#f", domain('#')),
            ("spiffe://example.org/", IdError::EmptySegment),
            ("spiffe://example.org/a/", IdError::EmptySegment),
            ("spiffe://example.org//a", IdError::EmptySegment),
            ("spiffe://example.org/./a", IdError::DotSegment),
            ("spiffe://example.org/a/..", IdError::DotSegment),
            ("spiffe://example.org/a%2Fb", IdError::PathCharacter('%')),
            ("spiffe://example.org/a?q=1", IdError::PathCharacter('?')),
            ("spiffe://example.org/a#f", IdError::PathCharacter('#')),
            ("spiffe://example.org/a b", IdError::PathCharacter(' ')),
            ("spiffe://example.org/*", IdError::PathCharacter('*')),
            ("spiffe://example.org/a\\b", IdError::PathCharacter('\\')),
            ("spiffe://example.org/a\0", IdError::PathCharacter('\0')),
            ("spiffe://example.org/é", IdError::PathCharacter('é')),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_longest_id_and_the_longest_trust_domain_are_taken_and_a_byte_more_is_not() {
        let id = |bytes: usize| format!("spiffe://a/{}", "b".repeat(bytes - 11));
        SpiffeId::parse(&id(MAXIMUM_BYTES)).expect("the longest");
        assert_eq!(SpiffeId::parse(&id(MAXIMUM_BYTES + 1)), Err(IdError::TooLong(2049)));

        TrustDomain::parse(&"a".repeat(MAXIMUM_TRUST_DOMAIN_BYTES)).expect("the longest");
        let longer = TrustDomain::parse(&"a".repeat(MAXIMUM_TRUST_DOMAIN_BYTES + 1));
        assert_eq!(longer, Err(TrustDomainError::TooLong(256)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = SpiffeId::parse(&text);
            let _ = SpiffeId::parse(&format!("spiffe://{text}"));
            let _ = SpiffeId::parse(&format!("spiffe://a/{text}"));
        }

        #[test]
        fn what_is_taken_has_one_spelling_and_only_the_characters_of_the_grammar(
            text in "spiffe://[a-zA-Z0-9._%:@/*-]{0,12}/?[a-zA-Z0-9./%?#*_-]{0,20}",
        ) {
            let Ok(id) = SpiffeId::parse(&text) else { return Ok(()) };
            prop_assert_eq!(id.to_string(), text);
            prop_assert!(id.segments().all(|one| !matches!(one, "" | "." | "..")));
            prop_assert!(!id.path().contains(|one: char| "%?#*".contains(one)));
        }

        #[test]
        fn what_the_grammar_has_is_taken(
            domain in "[a-z0-9._-]{1,255}",
            segments in proptest::collection::vec("[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}", 0..8),
        ) {
            let path: String = segments.iter().map(|one| format!("/{one}")).collect();
            let id = SpiffeId::parse(&format!("spiffe://{domain}{path}")).expect("an ID");
            prop_assert_eq!(id.segments().collect::<Vec<_>>(), segments);
        }
    }
}
