//! `portcullis policy new`.

use std::path::Path;

use anyhow::bail;
use portcullis_project::{Engine, Language};
use serde_json::json;

use super::mistake;
use crate::arguments::{Format, JavaScriptEngine, NewPolicy, PolicyLanguage};
use crate::exit::Exit;
use crate::report;

/// Makes the project in a folder of the policy's name.
pub(crate) fn new(new: &NewPolicy, format: Format) -> anyhow::Result<Exit> {
    let language = language(new)?;
    let folder = Path::new(new.name.as_str());
    portcullis_project::create(folder, &new.name, language)
        .map_err(|error| mistake(folder, &error))?;
    match format {
        Format::Json => report::json(&json!({ "project": folder }))?,
        Format::Text => report::text(&format!(
            "{name}: a policy that builds and passes its own suite\n\n\
             next:\n{first}\n  portcullis policy build {name}\n  portcullis test {name}\n",
            name = new.name,
            first = first_command(&new.name.to_string(), language),
        ))?,
    }
    Ok(Exit::Success)
}

fn language(new: &NewPolicy) -> anyhow::Result<Language> {
    Ok(match (new.language, new.engine) {
        (PolicyLanguage::JavaScript, Some(JavaScriptEngine::StarlingMonkey)) => {
            Language::JavaScript(Engine::StarlingMonkey)
        }
        (PolicyLanguage::JavaScript, _) => Language::JavaScript(Engine::QuickJs),
        (_, Some(_)) => bail!("--engine is for policies in JavaScript"),
        (PolicyLanguage::Python, None) => Language::Python,
        (PolicyLanguage::Rust, None) => Language::Rust,
    })
}

/// What comes before the first build.
fn first_command(name: &str, language: Language) -> String {
    match language {
        Language::JavaScript(_) => format!("  npm install --prefix {name}"),
        Language::Python => format!(
            "  python3 -m venv {name}/.venv\n  {name}/.venv/bin/pip install --requirement {name}/requirements.txt"
        ),
        Language::Rust => format!("  cargo test --manifest-path {name}/Cargo.toml"),
    }
}
