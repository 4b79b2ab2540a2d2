//! What a component is, before anybody trusts it with a decision.

use data_encoding::HEXLOWER;
use portcullis_core::{sha256, with_causes};
use wasmtime::component::{Component, Linker};

use crate::engine::Engine;
use crate::error::LoadError;
use crate::host::CallState;
use crate::limits::PolicyLimits;
use crate::load::{self, Description, Preparation};
use crate::world::{self, ImportStatus, PACKAGE};

/// What a component is, and what would become of it as a policy.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Inspection {
    /// SHA-256 of the component, in lower-case hexadecimal.
    pub digest: String,
    /// Its size.
    pub bytes: usize,
    /// The version of the contract that it was built for; none when it imports nothing of any.
    pub contract: Option<String>,
    /// What it imports, in its own order.
    pub imports: Vec<Import>,
    /// What it exports, in its own order.
    pub exports: Vec<String>,
    /// What it says of itself; none when it cannot be asked.
    pub description: Option<Description>,
    /// How it would come by its configured state; none when it would not load.
    pub preparation: Option<Preparation>,
    /// Why it would not load, whatever its settings; none when nothing is known against it.
    pub refusal: Option<String>,
}

/// Something that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Import {
    /// The name, with the version: `portcullis:policy/log@1.0.0`.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub status: ImportStatus,
}

/// Looks at a component, and asks it to describe itself. `name` is for errors.
///
/// A component that would not load is inspected too: what it would not get traps when it calls it.
///
/// # Errors
///
/// When the bytes are not a WebAssembly component, or more than 64 MiB.
pub fn inspect(engine: &Engine, name: &str, component: &[u8]) -> Result<Inspection, LoadError> {
    world::check_bytes(name, component)?;
    let (loading, linker) = engine.loading();
    let compiled = world::compile(engine, name, component)?;
    let names = world::imports(&compiled);
    let contract = names.iter().find_map(|import| {
        let (interface, version) = import.split_once('@')?;
        (interface.split_once('/')?.0 == PACKAGE).then(|| version.to_owned())
    });
    let imports = names.into_iter().map(|name| Import { status: world::status(&name), name });
    let exports = compiled.component_type();
    let exports = exports.exports(loading).map(|(export, _)| export.to_owned()).collect();
    let (description, refusal) = match world::check(name, &compiled) {
        Ok(()) => match describe(name, linker, &compiled, world::is_frozen) {
            Ok(description) => (Some(description), None),
            Err(error) => (None, Some(error)),
        },
        Err(error) => (describe(name, linker, &compiled, |_| true).ok(), Some(error)),
    };
    Ok(Inspection {
        digest: HEXLOWER.encode(&sha256(component)),
        bytes: component.len(),
        contract,
        imports: imports.collect(),
        exports,
        description,
        preparation: refusal.is_none().then(|| load::foreseen(component)),
        refusal: refusal.map(|error| with_causes(&error)),
    })
}

fn describe(
    name: &str,
    linker: &Linker<CallState>,
    component: &Component,
    trapping: fn(&ImportStatus) -> bool,
) -> Result<Description, LoadError> {
    let world = world::link(name, linker, component, trapping)?;
    Ok(load::describe(name, &world, &PolicyLimits::default())?.0)
}
