//! A mistake of the operator's: where it is, what it is, and the way out.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

/// Something in a file that the operator can put right.
#[derive(Debug, Serialize)]
pub struct Mistake {
    file: String,
    #[serde(flatten)]
    place: Option<Box<Place>>,
    key: Option<String>,
    problem: String,
    hint: Option<String>,
}

/// A place in a file.
#[derive(Debug, Serialize)]
struct Place {
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    /// The line itself, for the text form.
    #[serde(skip)]
    excerpt: String,
}

impl Mistake {
    /// In the file as a whole.
    #[must_use]
    pub fn file(path: &Path, problem: &str) -> Self {
        Self {
            file: path.display().to_string(),
            place: None,
            key: None,
            problem: problem.to_owned(),
            hint: None,
        }
    }

    /// At a place in a file.
    #[must_use]
    pub fn at(path: &Path, text: &str, span: Range<usize>, key: &str, problem: &str) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let excerpt = text.get(line_start..).and_then(|rest| rest.lines().next());
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            excerpt: excerpt.unwrap_or("").to_owned(),
        };
        Self { place: Some(Box::new(place)), ..Self::file(path, problem) }.key(key)
    }

    /// What the TOML reader found.
    #[must_use]
    pub fn toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim_end();
        let mistake = match error.span() {
            Some(span) => {
                let key = enclosing_key(text, span.start);
                Self::at(path, text, span, &key, message)
            }
            None => Self::file(path, message),
        };
        match hint_for(text, &mistake) {
            Some(hint) => mistake.hint(&hint),
            None => mistake,
        }
    }

    /// With the key that it is about.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = (!key.is_empty()).then(|| key.to_owned());
        self
    }

    /// With the way out.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

impl Mistake {
    /// For a log: one line, without that of the file, which may hold a secret.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!("; hint: {hint}"));
        format!("{}{hint}", self.head())
    }

    fn head(&self) -> String {
        let mut head = self.file.clone();
        if let Some(place) = &self.place {
            head.push_str(&format!(":{}:{}", place.line, place.column));
        }
        if let Some(key) = &self.key {
            head.push_str(&format!(": {key}"));
        }
        head.push_str(&format!(": {}", self.problem));
        head
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        if let Some(place) = &self.place {
            let (margin, column) = (place.line.to_string(), place.column);
            let gap = " ".repeat(margin.len());
            write!(f, "\n {gap} |\n {margin} | {}\n {gap} | {:>column$}", place.excerpt, "^")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Error for Mistake {}

/// The section that a place stands in, and the key of its line.
fn enclosing_key(text: &str, at: usize) -> String {
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let section = text
        .get(..line_start)
        .unwrap_or("")
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix('[')?.split(']').next())
        .map(|section| section.trim_start_matches('[').to_owned());
    let key = line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let section = section.filter(|_| !line.trim_start().starts_with('['));
    [section, key].into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// What the commonest mistakes want.
fn hint_for(text: &str, mistake: &Mistake) -> Option<String> {
    let quoted: Vec<&str> = mistake.problem.split('`').skip(1).step_by(2).collect();
    let (unknown, known) = quoted.split_first()?;
    if mistake.problem.starts_with("missing field") {
        return (*unknown == "chain" && text.contains("chain")).then(|| {
            "`chain` belongs above the first [section], or TOML reads it as a key of that section"
                .to_owned()
        });
    }
    if !mistake.problem.starts_with("unknown") {
        return None;
    }
    if *unknown == "chain" {
        return Some("`chain` belongs above the first [section]".to_owned());
    }
    let nearest = known.iter().max_by(|a, b| {
        strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
    })?;
    (strsim::jaro_winkler(unknown, nearest) > 0.8).then(|| format!("did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the shape matters")]
    struct Config {
        chain: Vec<String>,
        listen: Listen,
        #[serde(default)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the shape matters")]
    struct Rule {
        tools: Vec<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the shape matters")]
    struct Listen {
        address: std::net::SocketAddr,
        certificate: String,
    }

    fn toml_mistake(text: &str) -> Mistake {
        let error = toml::from_str::<Config>(text).expect_err("a mistake");
        Mistake::toml(Path::new("portcullis.toml"), text, &error)
    }

    fn line_and_column(mistake: &Mistake) -> Option<(usize, usize)> {
        mistake.place.as_ref().map(|place| (place.line, place.column))
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line_and_the_nearest_known_one() {
        let text = "chain = [\"a\"]\n[listen]\nadress = \"127.0.0.1:1\"\ncertificate = \"c\"\n";
        let mistake = toml_mistake(text);
        assert_eq!(line_and_column(&mistake), Some((3, 1)));
        assert_eq!(mistake.key.as_deref(), Some("listen.adress"));
        assert_eq!(mistake.hint.as_deref(), Some("did you mean `address`?"));
    }

    #[test]
    fn a_chain_below_a_section_is_recognized() {
        let text = "[listen]\naddress = \"127.0.0.1:1\"\ncertificate = \"c\"\nchain = [\"a\"]\n";
        let mistake = toml_mistake(text);
        assert_eq!(line_and_column(&mistake), Some((4, 1)));
        assert_eq!(mistake.hint.as_deref(), Some("`chain` belongs above the first [section]"));
    }

    #[test]
    fn a_key_of_one_of_several_sections_is_named_after_them() {
        let text = "chain = []\n[listen]\naddress = \"[::1]:1\"\ncertificate = \"c\"\n[[rules]]\ntool = []\n";
        let mistake = toml_mistake(text);
        assert_eq!(line_and_column(&mistake), Some((6, 1)));
        assert_eq!(mistake.key.as_deref(), Some("rules.tool"));
        assert_eq!(mistake.hint.as_deref(), Some("did you mean `tools`?"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_shown_where_it_stands() {
        let text = "chain = [\"a\"]\n[listen]\naddress = \"nowhere\"\ncertificate = \"c\"\n";
        let mistake = toml_mistake(text);
        assert_eq!(line_and_column(&mistake), Some((3, 11)));
        assert_eq!(mistake.key.as_deref(), Some("listen.address"));
    }

    #[test]
    fn the_text_form_points_at_the_place() {
        let text = "ä = 1\nb = 2\n";
        let mistake = Mistake::at(Path::new("f.toml"), text, 7..8, "b", "no").hint("yes");
        assert_eq!(mistake.to_string(), "f.toml:2:1: b: no\n   |\n 2 | b = 2\n   | ^\n\nhint: yes");
        assert_eq!(mistake.in_one_line(), "f.toml:2:1: b: no; hint: yes");
    }
}
