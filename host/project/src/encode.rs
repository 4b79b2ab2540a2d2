//! From a core module to a component.

use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::WorldItem;

/// Makes the component of a core module that carries its WIT, as wit-bindgen leaves it.
///
/// A policy imports nothing but the interfaces of Portcullis. Anything else would be linked to nothing by the gate, so it is
/// a fault here and not there.
///
/// # Errors
/// What is wrong with the module.
pub(crate) fn component(module: &[u8]) -> Result<Vec<u8>, String> {
    let component = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))?;

    let strangers: Vec<String> = imports(&component)?
        .into_iter()
        .filter(|import| !import.starts_with("portcullis:policy/"))
        .collect();
    if !strangers.is_empty() {
        return Err(format!("it imports {}, which the gate does not offer", strangers.join(", ")));
    }
    Ok(component)
}

/// The interfaces and functions that a component imports.
fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    let decoded = wit_component::decode(component).map_err(|error| format!("{error:#}"))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err("it is a WIT package".to_owned());
    };
    let imports = resolve.worlds[world].imports.iter();
    Ok(imports
        .filter(|(_, item)| !matches!(item, WorldItem::Type { .. }))
        .map(|(key, _)| resolve.name_world_key(key))
        .collect())
}
