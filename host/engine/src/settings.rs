//! Settings, checked against the JSON Schema that a policy describes itself with.

use serde_json::Value;

/// A setting that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The setting, as a path with dots; empty for the settings as a whole.
    pub(crate) key: String,
    /// What is wrong with it, and what was expected.
    pub(crate) problem: String,
}

/// Why a schema cannot be used.
pub(crate) enum SchemaError {
    Fault(Fault),
    Unusable(String),
}

/// Checks `settings` against `schema` (JSON Schema 2020-12). A schema that refers to others is unusable: nothing is
/// fetched.
pub(crate) fn check(schema: &str, settings: &str) -> Result<(), SchemaError> {
    let unusable = |error: &dyn std::fmt::Display| SchemaError::Unusable(error.to_string());
    let schema: Value = serde_json::from_str(schema).map_err(|error| unusable(&error))?;
    let validator = jsonschema::draft202012::new(&schema).map_err(|error| unusable(&error))?;
    let settings: Value = serde_json::from_str(settings).map_err(|error| {
        SchemaError::Fault(Fault { key: String::new(), problem: error.to_string() })
    })?;
    match validator.iter_errors(&settings).next() {
        None => Ok(()),
        Some(error) => {
            let path = error.instance_path().to_string();
            let key = path.trim_start_matches('/').replace('/', ".");
            Err(SchemaError::Fault(Fault { key, problem: error.to_string() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{ "type": "object", "additionalProperties": false,
        "properties": { "bits": { "type": "integer", "minimum": 2048 } } }"#;

    fn fault(settings: &str) -> Fault {
        match check(SCHEMA, settings) {
            Err(SchemaError::Fault(fault)) => fault,
            _ => panic!("no fault in `{settings}`"),
        }
    }

    #[test]
    fn settings_that_the_schema_allows_pass() {
        assert!(check(SCHEMA, r#"{ "bits": 4096 }"#).is_ok());
    }

    #[test]
    fn a_fault_names_its_setting_and_what_was_expected() {
        let fault = fault(r#"{ "bits": 1024 }"#);
        assert_eq!(fault.key, "bits");
        assert!(fault.problem.contains("2048"), "{}", fault.problem);
    }

    #[test]
    fn an_unknown_setting_is_a_fault() {
        assert!(fault(r#"{ "bit": 1 }"#).problem.contains("bit"));
    }

    #[test]
    fn a_schema_that_is_none_is_unusable() {
        assert!(matches!(check("no JSON", "{}"), Err(SchemaError::Unusable(_))));
        let remote = r#"{ "$ref": "https://example.org/schema.json" }"#;
        assert!(matches!(check(remote, "{}"), Err(SchemaError::Unusable(_))));
    }
}
