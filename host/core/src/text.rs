//! Text made fit for a log line.

use std::error::Error;

/// `text` with control characters escaped, cut at a character's end to at most `maximum` bytes and marked when cut.
#[must_use]
pub fn printable(text: &str, maximum: usize) -> String {
    if text.len() <= maximum && !text.contains(misleads) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(maximum));
    for c in text.chars() {
        let whole = out.len();
        if misleads(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > maximum {
            out.truncate(whole);
            out.push('…');
            return out;
        }
    }
    out
}

/// An error and what caused it, on one line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Control characters, and those that reorder, hide or break the text around them.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_line_break_cannot_forge_a_second_line() {
        assert_eq!(printable("a\nverdict=accepted\u{202e}", 100), "a\\nverdict=accepted\\u{202e}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(printable("ééé", 4), "éé…");
        assert_eq!(printable("ééé", 5), "éé…");
        assert_eq!(printable("ééé", 6), "ééé");
    }
}
