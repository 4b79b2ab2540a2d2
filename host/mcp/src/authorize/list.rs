//! Answers that list things, with only those that a caller may use.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::Grants;
use crate::call::Thing;
use crate::json::Members;

/// What a name is the name of.
type Named = fn(String) -> Thing;

/// Not a JSON object, so nobody can tell what is in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// A message without the tools, prompts, resources and templates that the caller may not use. None if it lists nothing:
/// then it stays as it is.
pub(crate) fn shown(message: &[u8], grants: &Grants<'_>) -> Result<Option<Bytes>, Unreadable> {
    let message: Members<'_> = serde_json::from_slice(message).map_err(|_| Unreadable)?;
    let mut lists = false;
    let shown = rewritten(&message, |key, value| {
        if key != "result" || !value.starts_with('{') {
            return Ok(value.to_owned());
        }
        let result: Members<'_> = serde_json::from_str(value).map_err(|_| Unreadable)?;
        rewritten(&result, |key, value| match thing_of(key) {
            Some((name, thing)) => {
                lists = true;
                items(value, name, thing, grants)
            }
            None => Ok(value.to_owned()),
        })
    })?;
    Ok(lists.then(|| Bytes::from(shown)))
}

/// What a list is of: the member that names an item, and what that names.
fn thing_of(key: &str) -> Option<(&'static str, Named)> {
    Some(match key {
        "prompts" => ("name", Thing::Prompt),
        "resourceTemplates" => ("uriTemplate", Thing::Resource),
        "resources" => ("uri", Thing::Resource),
        "tools" => ("name", Thing::Tool),
        _ => return None,
    })
}

fn items(list: &str, name: &str, thing: Named, grants: &Grants<'_>) -> Result<String, Unreadable> {
    let all: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| Unreadable)?;
    let mut shown = Vec::with_capacity(all.len());
    for item in all {
        let members: Members<'_> = serde_json::from_str(item.get()).map_err(|_| Unreadable)?;
        let mut names = members.0.iter().filter(|(key, _)| key == name).peekable();
        let is_named = names.peek().is_some();
        let may = |value: &RawValue| {
            serde_json::from_str(value.get()).is_ok_and(|name| grants.thing(&thing(name)))
        };
        if is_named && names.all(|(_, value)| may(value)) {
            shown.push(item.get());
        }
    }
    Ok(format!("[{}]", shown.join(",")))
}

/// The object again, with each value replaced.
fn rewritten(
    object: &Members<'_>,
    mut replace: impl FnMut(&str, &str) -> Result<String, Unreadable>,
) -> Result<String, Unreadable> {
    let mut members = Vec::with_capacity(object.0.len());
    for (key, value) in &object.0 {
        let quoted = serde_json::to_string(key).map_err(|_| Unreadable)?;
        members.push(format!("{quoted}:{}", replace(key, value.get())?));
    }
    Ok(format!("{{{}}}", members.join(",")))
}
