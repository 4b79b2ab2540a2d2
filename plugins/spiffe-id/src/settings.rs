//! The settings, typed.

use portcullis_guest::settings::{SettingsError, within};

use crate::bundles::Bundles;
use crate::id::TrustDomain;
use crate::pattern::Pattern;

/// JSON Schema (2020-12) of the settings.
pub const SCHEMA: &str = include_str!("settings.schema.json");

/// How many patterns there may be: each is tried on every client.
const MAXIMUM_PATTERNS: usize = 1000;

/// The settings of spiffe-id.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(test, derive(PartialEq, serde::Serialize))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Let `minimum_rsa_bits` be less than 2048.
    pub allow_rsa_below_2048_bits: bool,
    /// How many certificates a client may send beside its own.
    pub maximum_intermediates: u32,
    /// The longest validity of the leaf.
    pub maximum_validity_hours: Option<u32>,
    /// The smallest RSA modulus.
    pub minimum_rsa_bits: u32,
    /// What the ID must match; none for every ID of a trust domain that has a bundle.
    pub patterns: Option<Vec<Pattern>>,
    /// The trust domain of a bundle that names none.
    pub trust_domain: Option<TrustDomain>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_rsa_below_2048_bits: false,
            maximum_intermediates: 6,
            maximum_validity_hours: None,
            minimum_rsa_bits: 2048,
            patterns: None,
            trust_domain: None,
        }
    }
}

impl Settings {
    /// Reads the settings from JSON.
    ///
    /// # Errors
    /// A key is unknown, or a value not one that the key takes.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = portcullis_guest::settings::parse(text)?;
        within("maximum-intermediates", settings.maximum_intermediates, 0..=15, "")?;
        if let Some(hours) = settings.maximum_validity_hours {
            within("maximum-validity-hours", hours, 1..=876_600, "")?;
        }
        let (lowest, hint) = match settings.allow_rsa_below_2048_bits {
            false => (2048, "; `allow-rsa-below-2048-bits` makes it less"),
            true => (1024, ""),
        };
        within("minimum-rsa-bits", settings.minimum_rsa_bits, lowest..=8192, hint)?;
        match settings.patterns.as_ref().map(Vec::len) {
            Some(0) => {
                let expected = "expected at least one, or none at all for every ID";
                Err(SettingsError::value("patterns", &"[]", expected))
            }
            Some(number) if number > MAXIMUM_PATTERNS => {
                let expected = format!("expected at most {MAXIMUM_PATTERNS}");
                Err(SettingsError::value("patterns", &format!("{number} patterns"), expected))
            }
            _ => Ok(settings),
        }
    }

    /// A line for each pattern that can match nobody.
    pub fn patterns_without_bundle(&self, bundles: &Bundles) -> Vec<String> {
        let patterns = self.patterns.iter().flatten();
        patterns
            .filter(|pattern| bundles.of(pattern.trust_domain()).is_none())
            .map(|pattern| {
                let text = pattern.text();
                format!("the pattern `{text}` matches nobody: its trust domain has no bundle")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn properties() -> Map<String, Value> {
        let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        schema["properties"].as_object().expect("properties").clone()
    }

    fn parse(key: &str, value: &Value) -> Result<Settings, SettingsError> {
        // The limits are those of the relaxed settings.
        Settings::parse(&json!({ key: value, "allow-rsa-below-2048-bits": true }).to_string())
    }

    fn fault(text: &str) -> String {
        Settings::parse(text).expect_err("a fault").to_string()
    }

    #[test]
    fn the_schema_and_the_type_have_the_same_keys_and_defaults() {
        let from_schema: Map<_, _> = properties()
            .into_iter()
            .map(|(key, property)| (key, property["default"].clone()))
            .collect();
        let defaults = serde_json::to_value(Settings::default()).expect("JSON");
        assert_eq!(Value::Object(from_schema), defaults);
        assert_eq!(Settings::parse("{}"), Ok(Settings::default()));
        assert_eq!(Settings::parse(&defaults.to_string()), Ok(Settings::default()));
    }

    #[test]
    fn the_limits_of_the_schema_are_those_that_are_taken() {
        for (key, property) in properties() {
            for (limit, beyond) in [("minimum", -1), ("maximum", 1)] {
                let Some(limit) = property[limit].as_i64() else { continue };
                parse(&key, &json!(limit)).expect("a limit of the schema");
                parse(&key, &json!(limit + beyond)).expect_err("beyond a limit of the schema");
            }
        }
        let patterns = |number| json!(vec!["spiffe://example.org/a"; number]);
        let most = properties()["patterns"]["maxItems"].as_u64().expect("a limit");
        let most = usize::try_from(most).expect("a size");
        parse("patterns", &patterns(most)).expect("the most");
        parse("patterns", &patterns(most + 1)).expect_err("one more");
    }

    #[test]
    fn a_fault_names_the_key_the_value_and_the_expectation() {
        assert_eq!(
            fault(r#"{ "minimum-rsa-bits": 1024 }"#),
            "setting `minimum-rsa-bits` is 1024: expected a number from 2048 to 8192; \
             `allow-rsa-below-2048-bits` makes it less"
        );
        assert_eq!(
            fault(r#"{ "patterns": ["spiffe://example.org/a", "spiffe://example.org/b*"] }"#),
            "setting `patterns[1]` is \"spiffe://example.org/b*\": expected a pattern, as \
             `spiffe://example.org/agent/*`; of this one, `b*` is part text and part `*`, which \
             stands for a whole segment"
        );
        assert_eq!(
            fault(r#"{ "trust-domain": "spiffe://example.org" }"#),
            "setting `trust-domain` is \"spiffe://example.org\": expected the name of a trust \
             domain, as `example.org`; this one has `:`: only lower-case letters, digits, `.`, \
             `-` and `_` may be there"
        );
        assert!(fault(r#"{ "patterns": [] }"#).contains("at least one"));
        assert!(fault(r#"{ "pattern": [] }"#).contains("unknown field"));
    }
}
