//! From a core module to a component.

use anyhow::{Context as _, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::WorldItem;

/// Makes the component of a core module that carries its WIT, as wit-bindgen leaves it.
///
/// A policy imports nothing but the interfaces of Portcullis. Anything else (WASI, above all) would be linked to
/// nothing by the gate, so it is a fault here and not there.
pub(super) fn component(module: &[u8]) -> Result<Vec<u8>> {
    let component = ComponentEncoder::default()
        .module(module)
        .context("the module carries no WIT world that wit-component reads")?
        .validate(true)
        .encode()?;

    let strangers: Vec<String> = imports(&component)?
        .into_iter()
        .filter(|import| !import.starts_with("portcullis:policy/"))
        .collect();
    if !strangers.is_empty() {
        bail!("it imports {}, which the gate does not offer", strangers.join(", "));
    }
    Ok(component)
}

/// The interfaces and functions that a component imports.
fn imports(component: &[u8]) -> Result<Vec<String>> {
    let (resolve, world) = match wit_component::decode(component)? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => bail!("it is a WIT package"),
    };
    let imports = resolve.worlds[world].imports.iter();
    Ok(imports
        .filter(|(_, item)| !matches!(item, WorldItem::Type { .. }))
        .map(|(key, _)| resolve.name_world_key(key))
        .collect())
}
