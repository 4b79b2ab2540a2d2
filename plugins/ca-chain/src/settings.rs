//! The settings, typed.

use portcullis_guest::settings::{SettingsError, within};

use crate::oid;

/// JSON Schema (2020-12) of the settings.
pub const SCHEMA: &str = include_str!("settings.schema.json");

/// The settings of ca-chain.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(test, derive(PartialEq, serde::Serialize))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Accept a leaf without the extended key usage extension.
    pub allow_absent_extended_key_usage: bool,
    /// Let `minimum_rsa_bits` be less than 2048.
    pub allow_rsa_below_2048_bits: bool,
    /// What the leaf must be meant for.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// How many certificates a client may send beside its own.
    pub maximum_intermediates: u32,
    /// The longest validity of the leaf.
    pub maximum_validity_hours: Option<u32>,
    /// The smallest RSA modulus.
    pub minimum_rsa_bits: u32,
    /// Which name is the principal.
    pub principal: Principal,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_absent_extended_key_usage: false,
            allow_rsa_below_2048_bits: false,
            extended_key_usages: vec![ExtendedKeyUsage::client_auth()],
            maximum_intermediates: 6,
            maximum_validity_hours: None,
            minimum_rsa_bits: 2048,
            principal: Principal::None,
        }
    }
}

/// Which name of the leaf is the principal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// The common name of the subject.
    CommonName,
    /// The DNS name among the subject alternative names.
    Dns,
    /// The mail address among the subject alternative names.
    Email,
    /// None: this policy establishes no principal.
    None,
    /// The URI among the subject alternative names.
    Uri,
}

/// An extended key usage.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(try_from = "String")]
#[cfg_attr(test, serde(into = "String"))]
pub struct ExtendedKeyUsage {
    /// As the settings have it.
    pub name: String,
    /// As the host has it: a dotted OID.
    pub oid: String,
    /// As webpki has it: the content of the DER.
    pub der: Vec<u8>,
}

impl ExtendedKeyUsage {
    fn client_auth() -> Self {
        let (oid, der) = ("1.3.6.1.5.5.7.3.2", &[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        Self { name: "clientAuth".to_owned(), oid: oid.to_owned(), der: der.to_vec() }
    }
}

impl TryFrom<String> for ExtendedKeyUsage {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let oid = match name.as_str() {
            "clientAuth" => "1.3.6.1.5.5.7.3.2",
            "serverAuth" => "1.3.6.1.5.5.7.3.1",
            other => other,
        };
        match oid::encode(oid) {
            Some(der) => Ok(Self { oid: oid.to_owned(), der, name }),
            None => Err("expected `clientAuth`, `serverAuth` or a dotted OID".to_owned()),
        }
    }
}

#[cfg(test)]
impl From<ExtendedKeyUsage> for String {
    fn from(usage: ExtendedKeyUsage) -> Self {
        usage.name
    }
}

impl Settings {
    /// Reads the settings from JSON.
    ///
    /// # Errors
    /// A key is unknown, or a value not one that the key takes.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = portcullis_guest::settings::parse(text)?;
        if settings.extended_key_usages.is_empty() {
            let expected = "expected at least one, such as \"clientAuth\"";
            return Err(SettingsError::value("extended-key-usages", &"[]", expected));
        }
        within("maximum-intermediates", settings.maximum_intermediates, 0..=15, "")?;
        if let Some(hours) = settings.maximum_validity_hours {
            within("maximum-validity-hours", hours, 1..=876_600, "")?;
        }
        let (lowest, hint) = match settings.allow_rsa_below_2048_bits {
            false => (2048, "; `allow-rsa-below-2048-bits` makes it less"),
            true => (1024, ""),
        };
        within("minimum-rsa-bits", settings.minimum_rsa_bits, lowest..=8192, hint)?;
        Ok(settings)
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
    fn a_fault_names_the_key_the_value_and_the_expectation() {
        assert_eq!(
            fault(r#"{ "minimum-rsa-bits": 1024 }"#),
            "setting `minimum-rsa-bits` is 1024: expected a number from 2048 to 8192; \
             `allow-rsa-below-2048-bits` makes it less"
        );
        assert_eq!(
            fault(r#"{ "extended-key-usages": ["clientAuth", "client"] }"#),
            "setting `extended-key-usages[1]` is \"client\": \
             expected `clientAuth`, `serverAuth` or a dotted OID"
        );
        assert!(fault(r#"{ "extended-key-usages": [] }"#).contains("at least one"));
        assert!(fault(r#"{ "minimum-rsa-bit": 4096 }"#).contains("unknown field"));
        assert!(fault(r#"{ "principal": "cn" }"#).contains("expected one of `common-name`"));
    }

    #[test]
    fn less_than_2048_bits_take_a_relaxation_and_less_than_1024_are_never_taken() {
        let relaxed =
            |bits: u32| json!({ "allow-rsa-below-2048-bits": true, "minimum-rsa-bits": bits });
        Settings::parse(&relaxed(1024).to_string()).expect("relaxed");
        assert!(fault(&relaxed(1023).to_string()).contains("from 1024 to 8192"));
    }

    #[test]
    fn the_default_usage_is_what_its_name_reads_as() {
        let parsed = ExtendedKeyUsage::try_from("clientAuth".to_owned());
        assert_eq!(parsed, Ok(ExtendedKeyUsage::client_auth()));
    }
}
