//! What takes effect with a restart only.

use portcullis_config::Document;
use toml::{Table, Value};

/// The sections, and keys above all sections, that a reload puts in force.
const RELOADED: [&str; 9] = [
    "authorize",
    "chain",
    "http",
    "limits",
    "policies",
    "reload",
    "revocation",
    "servers",
    "workload-api",
];
/// The same of keys in other sections.
const RELOADED_KEYS: [&str; 4] =
    ["engine.maximum-decisions", "engine.pagemap-scan", "listen.certificate", "listen.private-key"];

/// The keys that have another value than the run was started with, and keep that one until it is started again.
pub(crate) fn keys(started: &Document, now: &Document) -> Vec<String> {
    let parsed = |document: &Document| document.parse::<Table>().unwrap_or_default();
    let (started, now) = (parsed(started), parsed(now));
    let mut keys = Vec::new();
    for section in names(&started, &now).filter(|name| !RELOADED.contains(name)) {
        let none = Table::new();
        let table = |of: &'_ Table| of.get(section).and_then(Value::as_table).cloned();
        let (old, new) = (table(&started), table(&now));
        let (old, new) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
        let differing = names(old, new).filter(|key| old.get(*key) != new.get(*key));
        let differing = differing.map(|key| format!("{section}.{key}"));
        keys.extend(differing.filter(|key| !RELOADED_KEYS.contains(&key.as_str())));
    }
    keys
}

/// Of both, each once, sorted.
fn names<'a>(one: &'a Table, other: &'a Table) -> impl Iterator<Item = &'a str> {
    let mut names: Vec<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_puts_in_force_needs_no_restart_and_everything_else_does() {
        let document = |text: &str| Document::new("portcullis.toml".into(), text.to_owned());
        let started = document(
            "chain = [\"a\"]\n[listen]\naddress = \"127.0.0.1:1\"\ncertificate = \"a\"\n[metrics]\naddress = \"b\"\n",
        );
        let now = document(
            "chain = [\"b\"]\n[listen]\naddress = \"127.0.0.1:2\"\ncertificate = \"b\"\n[limits]\nx = 1\n[recording]\ndirectory = \"d\"\n",
        );
        assert_eq!(
            keys(&started, &now),
            ["listen.address", "metrics.address", "recording.directory"]
        );
        assert!(keys(&started, &started).is_empty());
    }
}
