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
    let other = if key == "accept" { "reject" } else { "accept" };
    let old = table.remove(other).or_else(|| table.remove(key));
    let mut value = value;
    // A comment behind the old expectation stays behind the new one.
    if let Some(old) = old.as_ref().and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(key, Item::Value(value));
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
