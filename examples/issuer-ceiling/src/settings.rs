//! The settings, typed.

use std::collections::BTreeMap;

use portcullis_guest::settings::SettingsError;

/// JSON Schema (2020-12) of the settings. The gate holds them to it, so ranges are not checked again.
pub const SCHEMA: &str = include_str!("settings.schema.json");

/// The settings of issuer-ceiling.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The longest validity, by SHA-256 of the issuer's key in hexadecimal.
    pub ceilings: BTreeMap<String, u32>,
    /// The longest validity of what other issuers issue.
    pub maximum_validity_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ceilings: BTreeMap::new(), maximum_validity_hours: 72 }
    }
}

impl Settings {
    /// Reads the settings from JSON.
    ///
    /// # Errors
    /// A key is unknown, or a value not one that the key takes.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        portcullis_guest::settings::parse(text)
    }
}
