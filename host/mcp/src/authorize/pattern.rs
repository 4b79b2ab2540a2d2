//! Patterns of names.
//!
//! `*` stands for any characters but `/`, `**` for any characters, and everything else for itself.

/// The longest pattern, and the longest name that one with a `*` matches, in bytes.
const MAXIMUM_BYTES: usize = 2048;

/// A pattern of principals, attributes, servers, methods, tools, prompts or resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    /// What is before the first star, in bytes.
    prefix: usize,
    /// From the first star on.
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    AnyOfSegment,
    Anything,
    This(char),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It would match nothing.
    #[error("it is empty")]
    Empty,
    /// More than 2,048 bytes.
    #[error("it has more than {MAXIMUM_BYTES} bytes")]
    TooLong,
    /// Three `*` or more in a row.
    #[error("`***` means nothing: `*` stands for any characters but `/`, `**` for any characters")]
    Stars,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAXIMUM_BYTES {
            return Err(PatternError::TooLong);
        }
        if text.contains("***") {
            return Err(PatternError::Stars);
        }
        let prefix = text.find('*').unwrap_or(text.len());
        let mut pieces = Vec::new();
        for c in text[prefix..].chars() {
            match (c, pieces.last_mut()) {
                ('*', Some(last @ Piece::AnyOfSegment)) => *last = Piece::Anything,
                ('*', _) => pieces.push(Piece::AnyOfSegment),
                (c, _) => pieces.push(Piece::This(c)),
            }
        }
        Ok(Self { text: text.to_owned(), prefix, pieces })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it stands for one name only.
    pub(crate) fn is_literal(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether it matches a name. A name with a control character is matched by nothing but itself.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if self.is_literal() {
            return self.text == name;
        }
        let rest = name.strip_prefix(&self.text[..self.prefix]);
        rest.is_some_and(|rest| {
            name.len() <= MAXIMUM_BYTES && !name.chars().any(char::is_control) && self.fits(rest)
        })
    }

    /// Whether it matches a URI. A URI which a server could resolve to another one that starts differently, for it has `..` in
    /// it or something encoded that could be one, is matched by nothing but itself.
    pub(crate) fn matches_uri(&self, uri: &str) -> bool {
        self.matches(uri) && (self.is_literal() || stays_where_it_is(uri))
    }

    /// Walks all ways to match at the same time, so that no pattern takes more than its length times the name's.
    fn fits(&self, rest: &str) -> bool {
        let mut reached = vec![false; self.pieces.len() + 1];
        let mut next = reached.clone();
        reached[0] = true;
        self.skip_stars(&mut reached);
        for c in rest.chars() {
            next.fill(false);
            for (at, piece) in self.pieces.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match piece {
                    Piece::Anything => next[at] = true,
                    Piece::AnyOfSegment => next[at] |= c != '/',
                    Piece::This(wanted) => next[at + 1] |= c == *wanted,
                }
            }
            self.skip_stars(&mut next);
            std::mem::swap(&mut reached, &mut next);
        }
        reached.last() == Some(&true)
    }

    /// A star may stand for nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (at, piece) in self.pieces.iter().enumerate() {
            if reached[at] && !matches!(piece, Piece::This(_)) {
                reached[at + 1] = true;
            }
        }
    }
}

fn stays_where_it_is(uri: &str) -> bool {
    let mut decoded = uri.as_bytes().to_vec();
    loop {
        let once: Vec<u8> = percent_encoding::percent_decode(&decoded).collect();
        if once == decoded {
            break;
        }
        if [b'/', b'\\'].iter().any(|byte| count(&once, *byte) != count(&decoded, *byte)) {
            return false;
        }
        decoded = once;
    }
    let is_dots = |segment: &[u8]| {
        let end = segment.iter().position(|byte| matches!(byte, b';' | b'?' | b'#'));
        matches!(&segment[..end.unwrap_or(segment.len())], b"." | b"..")
    };
    !decoded.contains(&b'\\')
        && !decoded.iter().any(u8::is_ascii_control)
        && !decoded.split(|byte| *byte == b'/').any(is_dots)
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|byte| **byte == wanted).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_stays_in_its_segment_and_two_do_not() {
        for (text, matching, other) in [
            ("get_*", &["get_", "get_time"][..], &["get", "set_get_", "get_a/b", "Get_time"][..]),
            ("spiffe://a/*/b", &["spiffe://a/x/b"], &["spiffe://a/x/y/b", "spiffe://a/b"]),
            ("file:///a/**", &["file:///a/", "file:///a/b/c"], &["file:///ab", "file:///a"]),
            ("**", &["", "a/b"], &[]),
            ("*", &["", "ab"], &["a/b"]),
            ("a*b**c", &["abc", "aXbY/Zc"], &["a/bc", "ab"]),
            ("a.c", &["a.c"], &["abc"]),
        ] {
            for name in matching {
                assert!(pattern(text).matches(name), "{text} {name}");
            }
            for name in other {
                assert!(!pattern(text).matches(name), "{text} {name}");
            }
        }
    }

    #[test]
    fn what_means_nothing_is_no_pattern() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse("a***"), Err(PatternError::Stars));
        assert_eq!(Pattern::parse(&"a".repeat(2049)), Err(PatternError::TooLong));
    }

    #[test]
    fn a_name_with_a_control_character_is_matched_by_itself_only() {
        assert!(!pattern("**_public").matches("secret\0_public"));
        assert!(pattern("secret\0_public").matches("secret\0_public"));
    }

    #[test]
    fn a_uri_that_could_lead_elsewhere_is_matched_by_itself_only() {
        let public = pattern("file:///public/**");
        for uri in
            ["file:///public/a/b.txt", "file:///public/..a/%20b?q=1#f", "file:///public/a%2eb"]
        {
            assert!(public.matches_uri(uri), "{uri}");
        }
        for uri in [
            "file:///public/../secret",
            "file:///public/%2e%2E/secret",
            "file:///public/%252e%252e/secret",
            "file:///public/..%2fsecret",
            "file:///public/..%5csecret",
            "file:///public/..\\secret",
            "file:///public/..;x/secret",
            "file:///public/x?/../../secret",
            "file:///public/.",
            "file:///public/%00",
        ] {
            assert!(!public.matches_uri(uri), "{uri}");
            assert!(pattern(uri).matches_uri(uri), "{uri}");
        }
    }

    #[test]
    fn a_name_longer_than_any_pattern_is_matched_by_no_star() {
        assert!(!pattern("**").matches(&"a".repeat(MAXIMUM_BYTES + 1)));
    }

    proptest! {
        #[test]
        fn a_pattern_of_stars_between_parts_matches_what_is_put_in_their_place(
            parts in proptest::collection::vec("[ab]{0,3}", 1..5), within in "[abc]{0,4}", across in "[abc/]{0,4}",
        ) {
            prop_assume!(parts.iter().skip(1).all(|part| !part.is_empty()));
            let with = |star: &str| parts.join(star);
            if !with("*").is_empty() {
                prop_assert!(pattern(&with("*")).matches(&with(&within)));
                prop_assert!(pattern(&with("**")).matches(&with(&across)));
            }
        }
    }
}
