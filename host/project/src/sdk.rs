//! The SDK for policies in Rust, as a project has it: a folder of its own, which depends on nothing of this repository.

use std::path::Path;

use toml::{Table, Value};

use crate::ProjectError;
use crate::template::{File, files};

/// Where it is in a project. Its bindings are generated from `../../wit`.
pub(crate) const FOLDER: &str = "vendor/portcullis-guest";

const SOURCES: &[File] = files!(
    "../../../plugins/sdk/src/":
    "assets.rs", "bindings.rs", "lib.rs", "log.rs", "paths.rs", "paths/anchors.rs", "paths/codes.rs", "paths/facts.rs",
    "paths/pem.rs", "paths/rules.rs", "policy.rs", "settings.rs", "signatures.rs", "testing.rs", "timestamp.rs",
    "verdict.rs"
);
const MANIFEST: &str = include_str!("../../../plugins/sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const LICENSE: &str = include_str!("../../../LICENSE");

/// Writes it into a project.
pub(crate) fn write(project: &Path) -> Result<(), ProjectError> {
    let folder = project.join(FOLDER);
    for file in SOURCES {
        file.write(&folder.join("src"), str::to_owned)?;
    }
    let manifest_path = folder.join("Cargo.toml");
    let manifest = manifest()
        .ok_or_else(|| ProjectError::manifest(&manifest_path, "it cannot stand alone"))?;
    std::fs::write(&manifest_path, manifest).map_err(ProjectError::io(&manifest_path))?;
    let license = folder.join("LICENSE");
    std::fs::write(&license, LICENSE).map_err(ProjectError::io(&license))
}

/// The manifest with everything that it takes from this repository's workspace written out.
fn manifest() -> Option<String> {
    let workspace: Table = WORKSPACE.parse().ok()?;
    let workspace = workspace.get("workspace")?.as_table()?;
    let mut manifest: Table = MANIFEST.parse().ok()?;
    manifest.remove("dev-dependencies");
    manifest.remove("lints");
    for (section, inherited) in [("package", "package"), ("dependencies", "dependencies")] {
        let inherited = workspace.get(inherited)?.as_table()?;
        for (key, value) in manifest.get_mut(section)?.as_table_mut()? {
            write_out(value, inherited.get(key))?;
        }
    }
    toml::to_string(&manifest).ok()
}

/// Replaces `{ workspace = true, … }` by what the workspace says; what stands beside it is added.
fn write_out(value: &mut Value, inherited: Option<&Value>) -> Option<()> {
    let Some(own) = value.as_table_mut() else { return Some(()) };
    if own.remove("workspace").is_none() {
        return Some(());
    }
    let mut whole = inherited?.clone();
    if !own.is_empty() {
        let mut table = match whole {
            Value::Table(table) => table,
            version => Table::from_iter([("version".to_owned(), version)]),
        };
        table.extend(std::mem::take(own));
        whole = Value::Table(table);
    }
    *value = whole;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_sdk_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk/src");
        crate::template::assert_complete(SOURCES, &folder);
    }

    #[test]
    fn its_manifest_takes_nothing_from_a_workspace_and_keeps_features_and_versions() {
        let text = manifest().expect("a manifest");
        assert!(!text.contains("workspace"), "{text}");
        let manifest: Table = text.parse().expect("TOML");
        let workspace: Table = WORKSPACE.parse().expect("TOML");
        let of_workspace = &workspace["workspace"]["dependencies"];
        assert_eq!(manifest["package"]["edition"], workspace["workspace"]["package"]["edition"]);
        assert_eq!(manifest["dependencies"]["wit-bindgen"], of_workspace["wit-bindgen"]);
        let parser = &manifest["dependencies"]["x509-parser"];
        assert_eq!(parser["version"], of_workspace["x509-parser"]);
        assert_eq!(parser["optional"], Value::Boolean(true));
        assert_eq!(manifest["features"]["testing"][0].as_str(), Some("dep:x509-parser"));
    }
}
