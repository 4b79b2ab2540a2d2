//! The settings, typed.

use portcullis_guest::settings::{SettingsError, within};

/// JSON Schema (2020-12) of the settings.
pub const SCHEMA: &str = include_str!("settings.schema.json");

/// The settings of revocation.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(test, derive(PartialEq, serde::Serialize))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Accept a certificate of which the sources do not know whether it was revoked.
    pub allow_unknown: bool,
    /// Which certificates are checked.
    pub check: Depth,
    /// The longest validity of a leaf that needs no check.
    pub exempt_validity_hours: Option<u32>,
    /// A leaf with the extension noRevAvail (RFC 9608) needs no check.
    pub honour_no_rev_avail: bool,
    /// How long ago a source may have said that a certificate is good.
    pub maximum_age_hours: Option<u32>,
    /// How many sources must know.
    pub mode: Mode,
    /// Who is asked, in this order.
    pub sources: Vec<Source>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_unknown: false,
            check: Depth::Path,
            exempt_validity_hours: None,
            honour_no_rev_avail: false,
            maximum_age_hours: None,
            mode: Mode::Prefer,
            sources: vec![Source::Crl, Source::Ocsp],
        }
    }
}

/// Which certificates are checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The client's own.
    Leaf,
    /// All but the anchor.
    Path,
}

/// How many sources must know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One: the first that knows decides.
    Prefer,
    /// All of them.
    Require,
}

/// Who knows whether a certificate was revoked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A certificate revocation list (RFC 5280, 5).
    Crl,
    /// An OCSP responder (RFC 6960).
    Ocsp,
}

impl Source {
    /// As the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crl => "crl",
            Self::Ocsp => "ocsp",
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
        if let Some(hours) = settings.exempt_validity_hours {
            within("exempt-validity-hours", hours, 1..=744, "")?;
        }
        if let Some(hours) = settings.maximum_age_hours {
            within("maximum-age-hours", hours, 1..=8760, "")?;
        }
        match settings.sources.as_slice() {
            [] => {
                let expected = "expected `crl`, `ocsp` or both";
                Err(SettingsError::value("sources", &"[]", expected))
            }
            [one, rest @ ..] if rest.contains(one) || rest.len() > 1 => {
                let value = format!("a list of {}", settings.sources.len());
                Err(SettingsError::value("sources", &value, "expected each source once"))
            }
            _ => Ok(settings),
        }
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
        Settings::parse(&json!({ key: value }).to_string())
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
    fn the_limits_and_values_of_the_schema_are_those_that_are_taken() {
        for (key, property) in properties() {
            for value in property["enum"].as_array().into_iter().flatten() {
                parse(&key, value).expect("a value of the schema");
            }
            for (limit, beyond) in [("minimum", -1), ("maximum", 1)] {
                let Some(limit) = property[limit].as_i64() else { continue };
                parse(&key, &json!(limit)).expect("a limit of the schema");
                parse(&key, &json!(limit + beyond)).expect_err("beyond a limit of the schema");
            }
        }
    }

    #[test]
    fn sources_are_one_or_both_in_either_order() {
        for good in [json!(["crl"]), json!(["ocsp"]), json!(["ocsp", "crl"])] {
            parse("sources", &good).expect("sources");
        }
        for bad in [
            json!([]),
            json!(["crl", "crl"]),
            json!(["crl", "ocsp", "ocsp"]),
            json!(["ocsp", "crl", "ocsp"]),
            json!(["crlite"]),
        ] {
            parse("sources", &bad).expect_err("no sources");
        }
    }

    #[test]
    fn a_fault_names_the_key_the_value_and_the_expectation() {
        let fault = |text| Settings::parse(text).expect_err("a fault").to_string();
        assert_eq!(
            fault(r#"{ "exempt-validity-hours": 745 }"#),
            "setting `exempt-validity-hours` is 745: expected a number from 1 to 744"
        );
        assert_eq!(
            fault(r#"{ "sources": ["crl", "crl"] }"#),
            "setting `sources` is a list of 2: expected each source once"
        );
        assert!(fault(r#"{ "mode": "any" }"#).contains("expected `prefer` or `require`"));
        assert!(fault(r#"{ "unknown": "reject" }"#).contains("unknown field"));
    }
}
