//! `portcullis policy inspect`.

use portcullis_config::{Mistake, read_bounded};
use portcullis_engine::{Engine, EngineOptions, ImportStatus, Inspection, Preparation};
use serde_json::Value;

use crate::arguments::{Format, InspectPolicy};
use crate::cache;
use crate::exit::Exit;
use crate::report::{self, Table, printable};
use portcullis_engine::with_causes;

/// One more than the engine takes, so that the engine says what is too much.
const MAXIMUM_BYTES: u64 = 64 * 1024 * 1024 + 1;

/// Looks at a component. One that would not load as a policy is shown too, and counts as a rejection.
pub(crate) fn inspect(inspect: &InspectPolicy, format: Format) -> anyhow::Result<Exit> {
    let path = &inspect.component;
    let bytes =
        read_bounded(path, MAXIMUM_BYTES).map_err(|problem| Mistake::file(path, &problem))?;
    let options = EngineOptions { maximum_decisions: 1, ..EngineOptions::default() };
    let engine = Engine::with_cache(options, cache::of_user())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let inspection = portcullis_engine::inspect(&engine, &name, &bytes)
        .map_err(|error| Mistake::file(path, &with_causes(&error)))?;
    match format {
        Format::Json => report::json(&json(&inspection)?)?,
        Format::Text => report::text(&describe(&inspection))?,
    }
    Ok(if inspection.refusal.is_none() { Exit::Success } else { Exit::Rejected })
}

/// The inspection, its settings schema as JSON inside JSON and not as text.
fn json(inspection: &Inspection) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(inspection)?;
    if let Some(description) = &inspection.description
        && let Ok(schema) = serde_json::from_str(&description.settings_schema)
    {
        value["description"]["settings_schema"] = schema;
    }
    Ok(value)
}

fn describe(inspection: &Inspection) -> String {
    let mut out = String::new();
    let mut facts = Table::default();
    if let Some(description) = &inspection.description {
        facts.row(["policy", &printable(&description.name)]);
        facts.row(["version", &printable(&description.version)]);
        facts.row(["accepts if", &printable(&description.summary)]);
    }
    facts.row(["contract", inspection.contract.as_deref().unwrap_or("none imported")]);
    facts.row(["size", &format!("{} KiB", inspection.bytes.div_ceil(1024))]);
    facts.row(["SHA-256", &inspection.digest]);
    facts.row(["runs", runs(inspection)]);
    out.push_str(&facts.to_string());

    section(&mut out, "imports");
    let mut imports = Table::default();
    for import in &inspection.imports {
        imports.row([&printable(&import.name), &gets(&import.status)]);
    }
    out.push_str(&imports.to_string());

    if let Some(description) = &inspection.description {
        section(&mut out, "rejection codes");
        list(&mut out, &description.rejection_codes);
        section(&mut out, "assets");
        list(&mut out, &description.assets);
        section(&mut out, "settings");
        out.push_str(&settings(&description.settings_schema));
    }
    if let Some(refusal) = &inspection.refusal {
        out.push_str(&format!("\nno policy: {}\n", printable(refusal)));
    }
    out
}

fn section(out: &mut String, title: &str) {
    out.push_str(&format!("\n{title}\n"));
}

fn list(out: &mut String, texts: &[String]) {
    let texts: Vec<String> = texts.iter().map(|text| printable(text)).collect();
    let text = if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    out.push_str(&format!("  {text}\n"));
}

fn runs(inspection: &Inspection) -> &'static str {
    match inspection.preparation {
        Some(Preparation::Snapshot) => "snapshot: from the memory that `configure` left",
        Some(Preparation::ReadyAhead) => {
            "ready-ahead: in instances that are configured ahead of need, each for one use"
        }
        None => "not at all",
    }
}

fn gets(status: &ImportStatus) -> String {
    match status {
        ImportStatus::Contract => "granted: the contract".to_owned(),
        ImportStatus::FrozenWasi => "granted, frozen: the same to every call".to_owned(),
        ImportStatus::Refused { why } => format!("refused: {}", printable(why)),
    }
}

/// The properties of the schema, one a line; the schema as it is where it has none.
fn settings(schema: &str) -> String {
    let parsed: Value = serde_json::from_str(schema).unwrap_or_default();
    let Some(properties) = parsed["properties"].as_object() else {
        return format!("  {}\n", printable(schema));
    };
    let required: Vec<&str> =
        parsed["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = Table::default();
    for (key, property) in properties {
        let default = match property.get("default") {
            Some(default) => format!("default {default}"),
            None if required.contains(&key.as_str()) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        let description = property["description"].as_str().unwrap_or_default();
        table.row([
            &printable(key),
            &printable(&kind(property)),
            &printable(&default),
            &printable(description),
        ]);
    }
    if properties.is_empty() { "  none\n".to_owned() } else { table.to_string() }
}

/// What a setting takes: its listed values, or its type.
fn kind(property: &Value) -> String {
    let words = |value: &Value| match value {
        Value::Array(values) => values
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" or "),
        Value::String(word) => word.clone(),
        _ => "any".to_owned(),
    };
    words(property.get("enum").unwrap_or(&property["type"]))
}
