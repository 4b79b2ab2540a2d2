//! What a policy may be called.

use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes. It is part of file names, and of a code's prefix.
const MAXIMUM_BYTES: usize = 64;

/// A policy's name: lower-case letters, digits and single hyphens between them, beginning with a letter. So it is a package
/// name in every language, and a file's name anywhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyName(String);

impl PolicyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        if begins && text.len() <= MAXIMUM_BYTES && text.split('-').all(is_word) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "expected at most {MAXIMUM_BYTES} lower-case letters, digits and hyphens, as `office-hours`"
        ))
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_of_lower_case_letters_and_digits() {
        for good in ["a", "office-hours", "tier2", "a-2", &"a".repeat(64)] {
            assert_eq!(good.parse::<PolicyName>().expect("a name").as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "2a",
            "A",
            "a_b",
            "a.b",
            "a/b",
            "..",
            "ä",
            "a b",
            &"a".repeat(65),
        ] {
            bad.parse::<PolicyName>().expect_err(bad);
        }
    }
}
