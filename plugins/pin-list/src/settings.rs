//! The settings, typed.

use portcullis_guest::settings::SettingsError;

use crate::list::PinList;

/// JSON Schema (2020-12) of the settings.
pub const SCHEMA: &str = include_str!("settings.schema.json");

/// The settings of pin-list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Who the client is.
    pub principal: Principal,
}

/// What names the client.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// The label of its pin.
    Label,
    /// Nothing: this policy establishes no principal.
    #[default]
    None,
}

impl Settings {
    /// Reads the settings from JSON.
    ///
    /// # Errors
    /// A key is unknown, or a value not one that the key takes.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        portcullis_guest::settings::parse(text)
    }

    /// Whether the pins have what the settings need.
    ///
    /// # Errors
    /// The labels are to name the clients, and a pin has none.
    pub fn check(self, pins: &PinList) -> Result<(), SettingsError> {
        match (self.principal, pins.line_without_label()) {
            (Principal::Label, Some(line)) => Err(SettingsError::value(
                "principal",
                &"\"label\"",
                format!("expected a label on every pin, and the pin of line {line} has none"),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_and_the_type_have_the_same_keys_and_defaults() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        let defaults = serde_json::to_value(Settings::default()).expect("JSON");
        let properties = schema["properties"].as_object().expect("properties");
        let from_schema: serde_json::Map<_, _> = properties
            .iter()
            .map(|(key, property)| (key.clone(), property["default"].clone()))
            .collect();
        assert_eq!(serde_json::Value::Object(from_schema), defaults);
    }

    #[test]
    fn every_value_that_the_schema_lists_is_taken_and_another_is_refused() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        for value in schema["properties"]["principal"]["enum"].as_array().expect("values") {
            Settings::parse(&format!(r#"{{ "principal": {value} }}"#)).expect("taken");
        }
        let error = Settings::parse(r#"{ "principal": "subject" }"#).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "setting `principal` is \"subject\": unknown variant `subject`, expected `label` or `none`"
        );
    }

    #[test]
    fn a_label_as_principal_needs_a_label_on_every_pin() {
        let pins = format!("\nspki-sha256 {}\n", "ab".repeat(32));
        let pins = PinList::parse(pins.as_bytes()).expect("a list");
        Settings::default().check(&pins).expect("no label is needed");
        let error = Settings { principal: Principal::Label }.check(&pins).expect_err("a fault");
        assert!(error.to_string().ends_with("the pin of line 2 has none"), "{error}");
    }
}
