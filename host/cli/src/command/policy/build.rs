//! `portcullis policy build`.

use std::env;

use portcullis_engine::sha256;
use portcullis_project::Project;
use portcullis_project::toolchain::{self, Choice};
use serde_json::json;

use super::mistake;
use crate::arguments::{BuildPolicy, Format};
use crate::exit::Exit;
use crate::report;

/// Builds the component of the project.
pub(crate) fn build(build: &BuildPolicy, format: Format) -> anyhow::Result<Exit> {
    let folder = &build.project;
    let fault = |error| mistake(folder, &error);
    let project = Project::open(folder).map_err(fault)?;
    let component = build.output.clone().unwrap_or_else(|| project.component());

    let way = build.toolchain.clone().or_else(|| env::var(toolchain::VARIABLE).ok());
    // A package of the system is installed only for who asks for that way.
    let install_packages = way.as_deref() == Some("debian");
    let choice = Choice { way: way.as_deref(), install_packages };
    project.build(&component, &[], choice).map_err(fault)?;
    project.write_types(&[]).map_err(fault)?;

    let bytes = std::fs::read(&component)?;
    let digest = report::hexadecimal(&sha256(&bytes));
    match format {
        Format::Json => report::json(&json!({
            "policy": project.name().as_str(),
            "component": component,
            "bytes": bytes.len(),
            "digest": digest,
        }))?,
        Format::Text => report::text(&format!(
            "{} ({} KiB, SHA-256 {digest})\n",
            component.display(),
            bytes.len().div_ceil(1024)
        ))?,
    }
    Ok(Exit::Success)
}
