//! Writing what was got into a suite.

use portcullis_config::{Mistake, time};
use portcullis_engine::{Identity, Rejection, Verdict};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use crate::case::{Case, Outcome};
use crate::expectation::{Expectation, values};
use crate::suite::Suite;

/// The text of the suite with what each of these cases came to as its expectation. The rest of the text, its comments
/// included, stays as it is.
///
/// # Errors
/// When the cases are not written as `[[case]]`.
pub fn updated(suite: &Suite, cases: &[(&Case, &Outcome)]) -> Result<String, Mistake> {
    let document = suite.document();
    let mistake = |problem: &str| Mistake::file(document.path(), problem);
    let mut edited: DocumentMut =
        document.text().parse().map_err(|_| mistake("the suite cannot be edited"))?;
    let tables = edited
        .get_mut("case")
        .and_then(Item::as_array_of_tables_mut)
        .ok_or_else(|| mistake("only cases that are written as [[case]] can be updated"))?;
    for (case, outcome) in cases {
        if let Some(table) = table_of(tables, &case.name) {
            set(table, case.expectation.as_ref(), &outcome.decision.verdict);
        }
    }
    Ok(edited.to_string())
}

fn table_of<'a>(tables: &'a mut ArrayOfTables, name: &str) -> Option<&'a mut Table> {
    tables.iter_mut().find(|table| table.get("name").and_then(Item::as_str) == Some(name))
}

fn set(table: &mut Table, expected: Option<&Expectation>, verdict: &Verdict) {
    let (key, value) = match verdict {
        Verdict::Accept(identity) => ("accept", accept(expected, identity)),
        Verdict::Reject(rejection) => ("reject", reject(expected, rejection)),
    };
    if let Some(old) = table.get_mut(key) {
        return merge(old, value);
    }
    let other = if key == "accept" { "reject" } else { "accept" };
    // What is written above and behind the old expectation stays with the new one.
    let above = table.key(other).map(|key| key.leaf_decor().clone());
    let old = table.remove(other);
    let behind = old.as_ref().and_then(Item::as_value).map(|value| value.decor().clone());
    let mut value = value;
    if let Some(decor) = behind {
        *value.decor_mut() = decor;
    }
    table.insert(key, Item::Value(value));
    if let (Some(mut new), Some(decor)) = (table.key_mut(key), above) {
        *new.leaf_decor_mut() = decor;
    }
}

/// Puts `new` in the place of `old`, key by key where both are tables, so that comments and layout stay.
fn merge(old: &mut Item, new: Value) {
    let new = match (old.as_table_like_mut(), new) {
        (Some(table), Value::InlineTable(new)) => {
            let gone: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
            for key in gone.iter().filter(|key| !new.contains_key(key)) {
                table.remove(key);
            }
            for (key, value) in new {
                match table.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => drop(table.insert(&key, Item::Value(value))),
                }
            }
            return;
        }
        (_, new) => new,
    };
    let decor = old.as_value().map(|value| value.decor().clone());
    *old = Item::Value(new);
    if let (Some(value), Some(decor)) = (old.as_value_mut(), decor) {
        *value.decor_mut() = decor;
    }
}

/// Where the case compared something, that alone; where it had no such expectation, all but the time.
fn accept(expected: Option<&Expectation>, identity: &Identity) -> Value {
    let mut table = InlineTable::new();
    let principal = identity.principal.as_deref().unwrap_or("");
    let mut attributes = InlineTable::new();
    let mut attribute = |name: &str| attributes.insert(name, one_or_many(&values(identity, name)));
    match expected {
        Some(Expectation::Accept { principal: compared, attributes: names, valid_until }) => {
            names.keys().for_each(|name| drop(attribute(name)));
            if compared.is_some() {
                table.insert("principal", principal.into());
            }
            if valid_until.is_some()
                && let Some(until) = identity.valid_until
            {
                table.insert("valid-until", time::format(until).into());
            }
        }
        _ => {
            identity.attributes.iter().for_each(|one| drop(attribute(&one.name)));
            table.insert("principal", principal.into());
        }
    }
    if !attributes.is_empty() {
        table.insert("attributes", attributes.into());
    }
    table.into()
}

fn one_or_many(values: &[String]) -> Value {
    match values {
        [one] => one.as_str().into(),
        many => many.iter().map(String::as_str).collect::<Array>().into(),
    }
}

/// As much as the case compared; where it had no such expectation, the code and who decided.
fn reject(expected: Option<&Expectation>, rejection: &Rejection) -> Value {
    let (policy, detail) = match expected {
        Some(Expectation::Reject { policy, detail, .. }) => (policy.is_some(), detail.as_deref()),
        _ => (true, None),
    };
    if !policy && detail.is_none() {
        return rejection.code.as_str().into();
    }
    let mut table = InlineTable::new();
    table.insert("code", rejection.code.as_str().into());
    if policy {
        table.insert("policy", rejection.policy.as_deref().unwrap_or("").into());
    }
    if let Some(part) = detail {
        let kept = if rejection.detail.contains(part) { part } else { &rejection.detail };
        table.insert("detail", kept.into());
    }
    table.into()
}
