//! What no case brought about.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_engine::{Description, Outcome as Said};
use serde::Serialize;
use serde_json::Value;

use crate::case::Outcome;
use crate::chains::Loaded;

/// What the cases brought about, by policy: by the name that the policy has for itself.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<String, Seen>);

#[derive(Clone, Debug)]
struct Seen {
    description: Description,
    codes: BTreeSet<String>,
    /// Each settings that a case was judged with.
    settings: Vec<Value>,
}

/// What is covered of one policy, and what is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyCoverage {
    /// The name that the policy has for itself.
    pub policy: String,
    /// The rejection codes that its description names.
    pub codes: usize,
    /// Those that no case brought about.
    pub missing_codes: Vec<String>,
    /// The settings of its schema, and the listed values of them.
    pub settings: usize,
    /// Those that no case was judged with: `KEY`, or `KEY = VALUE`.
    pub missing_settings: Vec<String>,
}

impl Coverage {
    /// Adds one case.
    pub(crate) fn add(&mut self, loaded: &Loaded, outcome: &Outcome) {
        for report in &outcome.decision.policies {
            let member = loaded.chain.members().find(|one| one.policy.name() == report.policy);
            let Some(member) = member else { continue };
            let description = member.policy.description();
            let seen = self.0.entry(description.name.clone()).or_insert_with(|| Seen {
                description: description.clone(),
                codes: BTreeSet::new(),
                settings: Vec::new(),
            });
            if let Said::Rejected { code, .. } = &report.outcome {
                seen.codes.insert(code.clone());
            }
            if let Some(settings) = loaded.settings.get(&report.policy)
                && !seen.settings.contains(settings)
            {
                seen.settings.push(settings.clone());
            }
        }
    }

    /// Adds what other cases brought about.
    pub fn merge(&mut self, other: Self) {
        for (name, seen) in other.0 {
            match self.0.get_mut(&name) {
                Some(known) => {
                    known.codes.extend(seen.codes);
                    known.settings.extend(seen.settings);
                }
                None => drop(self.0.insert(name, seen)),
            }
        }
    }

    /// By policy.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyCoverage> {
        self.0.values().map(Seen::coverage).collect()
    }
}

impl PolicyCoverage {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing_codes.is_empty() && self.missing_settings.is_empty()
    }
}

impl Seen {
    fn coverage(&self) -> PolicyCoverage {
        let codes = &self.description.rejection_codes;
        let missing_codes =
            codes.iter().filter(|code| !self.codes.contains(*code)).cloned().collect();
        let (settings, missing_settings) = self.settings();
        PolicyCoverage {
            policy: self.description.name.clone(),
            codes: codes.len(),
            missing_codes,
            settings,
            missing_settings,
        }
    }

    /// How many settings and listed values there are, and those that are missing.
    fn settings(&self) -> (usize, Vec<String>) {
        let schema: Value =
            serde_json::from_str(&self.description.settings_schema).unwrap_or_default();
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return (0, Vec::new());
        };
        let (mut number, mut missing) = (0, Vec::new());
        for (key, property) in properties {
            let values = listed_values(property);
            let given: Vec<Option<&Value>> =
                self.settings.iter().map(|settings| settings.get(key)).collect();
            match values {
                None => {
                    number += 1;
                    if given.iter().all(Option::is_none) {
                        missing.push(key.clone());
                    }
                }
                Some(values) => {
                    number += values.len();
                    let default = property.get("default");
                    let had =
                        |value: &Value| given.iter().any(|one| one.or(default) == Some(value));
                    let missed = values.iter().filter(|value| !had(value));
                    missing.extend(missed.map(|value| format!("{key} = {value}")));
                }
            }
        }
        (number, missing)
    }
}

/// The values of a setting that has only a few.
fn listed_values(property: &Value) -> Option<Vec<Value>> {
    match (property.get("enum"), property.get("type")) {
        (Some(Value::Array(values)), _) => Some(values.clone()),
        (_, Some(Value::String(kind))) if kind == "boolean" => {
            Some(vec![true.into(), false.into()])
        }
        _ => None,
    }
}
