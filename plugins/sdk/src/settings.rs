//! Settings: JSON text to a policy's own type, with messages that name the key.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

/// What is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The text is not JSON.
    #[error("the settings are not JSON: {problem}")]
    NotJson {
        /// What the JSON parser says.
        problem: String,
    },
    /// The settings as a whole are not what the policy takes: an unknown key, for instance.
    #[error("settings: {problem}")]
    Shape {
        /// What was found and what was expected.
        problem: String,
    },
    /// One setting has a value that the policy does not take.
    #[error("setting `{key}` is {value}: {problem}")]
    Value {
        /// The key, with the path to it: `limits.depth`, `names[2]`.
        key: String,
        /// The value, as JSON.
        value: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
}

impl SettingsError {
    /// A fault that the policy found itself.
    pub fn value(key: &str, value: &dyn Display, problem: impl Into<String>) -> Self {
        Self::Value { key: key.to_owned(), value: value.to_string(), problem: problem.into() }
    }
}

/// Reads settings from their JSON text.
///
/// Derive `Deserialize` with `#[serde(deny_unknown_fields, rename_all = "kebab-case")]`, so that a key with a typing
/// error is a fault and not a setting silently left at its default.
///
/// # Errors
/// The text is not JSON, or `T` does not take it.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, SettingsError> {
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| SettingsError::NotJson { problem: error.to_string() })?;
    if !json.is_object() {
        // serde would take a list for a struct, its values in the order of the fields.
        let problem = format!("expected an object, found {json}");
        return Err(SettingsError::Shape { problem });
    }
    serde_path_to_error::deserialize(&json).map_err(|error| {
        let key = error.path().to_string();
        let problem = error.inner().to_string();
        match value_at(&json, error.path()) {
            Some(value) => SettingsError::Value { key, value: value.to_string(), problem },
            None => SettingsError::Shape { problem },
        }
    })
}

/// Whether a number is in its range. `hint` follows the expectation, for a way to extend the range.
///
/// # Errors
/// It is not.
pub fn within(
    key: &str,
    value: u32,
    range: RangeInclusive<u32>,
    hint: &str,
) -> Result<(), SettingsError> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("expected a number from {} to {}{hint}", range.start(), range.end());
    Err(SettingsError::value(key, &value, expected))
}

/// The value at a path; none for the settings themselves and for a key that is not known.
fn value_at<'a>(
    json: &'a serde_json::Value,
    path: &serde_path_to_error::Path,
) -> Option<&'a serde_json::Value> {
    use serde_path_to_error::Segment;

    let mut value = None;
    for segment in path {
        let parent = value.unwrap_or(json);
        value = match segment {
            Segment::Map { key } => Some(parent.get(key)?),
            Segment::Seq { index } => Some(parent.get(*index)?),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Example {
        #[serde(default)]
        minimum_bits: u32,
        #[serde(default)]
        names: Vec<String>,
    }

    fn fault(text: &str) -> String {
        parse::<Example>(text).expect_err("a fault").to_string()
    }

    #[test]
    fn good_settings_are_read() {
        let example: Example = parse(r#"{ "minimum-bits": 2048, "names": ["a"] }"#).expect("good");
        assert_eq!((example.minimum_bits, example.names.len()), (2048, 1));
    }

    #[test]
    fn a_fault_names_the_key_the_value_and_the_expectation() {
        assert_eq!(
            fault(r#"{ "minimum-bits": "many" }"#),
            "setting `minimum-bits` is \"many\": invalid type: string \"many\", expected u32"
        );
        assert_eq!(
            fault(r#"{ "names": ["a", 7] }"#),
            "setting `names[1]` is 7: invalid type: integer `7`, expected a string"
        );
    }

    #[test]
    fn an_unknown_key_is_a_fault_that_lists_the_known_ones() {
        let text = fault(r#"{ "minimum-bit": 1 }"#);
        assert!(text.contains("unknown field `minimum-bit`"), "{text}");
        assert!(text.contains("`minimum-bits`"), "{text}");
    }

    #[test]
    fn text_that_is_not_a_json_object_is_a_fault() {
        assert!(fault("{").starts_with("the settings are not JSON: "));
        assert_eq!(fault("[1]"), "settings: expected an object, found [1]");
    }
}
