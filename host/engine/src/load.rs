//! From bytes to a configured policy: checks, `describe`, `configure`, snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use portcullis_core::printable;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, types::ComponentItem};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use crate::bindings::{PolicyWorld, PolicyWorldPre, handshakes};
use crate::engine::{self, Engine};
use crate::error::LoadError;
use crate::host::CallState;
use crate::limits::PolicyLimits;
use crate::log;
use crate::settings::{self, Fault, SchemaError};

/// The package of the contract, and the version of it that this host has.
pub(crate) const PACKAGE: &str = "portcullis:policy";
/// The contract's version: components built for 1.x and nothing newer load.
pub const CONTRACT_VERSION: &str = "1.0.0";
const INTERFACES: [&str; 5] = ["certificates", "crypto", "handshakes", "log", "revocation"];
const EXPORTS: [&str; 3] = ["configure", "describe", "evaluate"];
/// The largest component, in bytes.
pub(crate) const MAXIMUM_COMPONENT_BYTES: usize = 64 * 1024 * 1024;
/// The largest asset, in bytes.
pub(crate) const MAXIMUM_ASSET_BYTES: usize = 16 * 1024 * 1024;
/// How much of what a guest says goes into an error.
const MAXIMUM_DETAIL_BYTES: usize = 1024;

/// What a policy is made from.
#[derive(Clone, Debug)]
pub struct PolicySource {
    /// Its name in the configuration, for logs and errors.
    pub name: String,
    /// The component, as its tool chain wrote it.
    pub component: Vec<u8>,
    /// The settings: a JSON object as text.
    pub settings: String,
    /// The files that the operator named for it.
    pub assets: Vec<Asset>,
    /// What it may use.
    pub limits: PolicyLimits,
}

/// A file that the operator named for a policy.
#[derive(Clone, Debug)]
pub struct Asset {
    /// The name under which the policy takes it.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// What a policy says that it is and takes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What an acceptance proves, in one sentence.
    pub summary: String,
    /// JSON Schema (2020-12) of the settings.
    pub settings_schema: String,
    /// The assets that it takes; one that ends in `?` may be left out.
    pub assets: Vec<String>,
    /// The codes that it rejects with.
    pub rejection_codes: Vec<String>,
}

/// How a policy comes by its configured state at each evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preparation {
    /// Each instance starts from the memory that `configure` left.
    Snapshot,
    /// No snapshot could be taken of this component, so `configure` runs in each instance, within the deadline.
    ConfigureEach,
}

/// A component ready to be instantiated for evaluations.
pub(crate) struct Loaded {
    pub(crate) description: Description,
    pub(crate) world: PolicyWorldPre<CallState>,
    pub(crate) preparation: Preparation,
}

/// Checks, describes, configures and compiles.
pub(crate) fn load(engine: &Engine, source: &PolicySource) -> Result<Loaded, LoadError> {
    check_bytes(source)?;
    let (loading, linker) = engine.loading();
    let component =
        Component::new(loading, &source.component).map_err(|error| invalid(source, error))?;
    check_world(source, &component)?;
    let world = linker
        .instantiate_pre(&component)
        .and_then(PolicyWorldPre::new)
        .map_err(|error| wrong_type(source, error))?;

    let description = describe(source, loading, &world)?;
    check_settings(source, &description)?;
    check_assets(source, &description)?;
    let (bytes, preparation) = match snapshot(engine, source)? {
        Some(bytes) => (bytes, Preparation::Snapshot),
        None => {
            let mut store = loading_store(loading, source);
            let world = world.instantiate(&mut store).map_err(|error| wrong_type(source, error))?;
            configure(source, &mut store, &world)?;
            (source.component.clone(), Preparation::ConfigureEach)
        }
    };

    let (pooled, linker) = engine.pooled();
    let world = Component::new(pooled, bytes)
        .and_then(|component| linker.instantiate_pre(&component))
        .and_then(PolicyWorldPre::new)
        .map_err(|error| wrong_type(source, error))?;
    Ok(Loaded { description, world, preparation })
}

fn check_bytes(source: &PolicySource) -> Result<(), LoadError> {
    let policy = source.name.clone();
    if source.component.len() > MAXIMUM_COMPONENT_BYTES {
        return Err(LoadError::ComponentTooLarge { policy, bytes: source.component.len() });
    }
    // The preamble's last two bytes tell a component (layer 1) from a core module (layer 0).
    let what = match source.component.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => return Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => {
            "this is a core WebAssembly module (`wasm-tools component new` makes a component of one)"
        }
        None => "the file has less than 8 bytes",
        Some(_) => "this is not WebAssembly",
    };
    Err(LoadError::NotAComponent { policy, what })
}

fn check_world(source: &PolicySource, component: &Component) -> Result<(), LoadError> {
    let policy = || source.name.clone();
    let component_type = component.component_type();
    for (import, item) in component_type.imports(component.engine()) {
        // The world's `use` of a type shows as an import of that type.
        if matches!(item.ty, ComponentItem::Type(_) | ComponentItem::Resource(_)) {
            continue;
        }
        let import = import.to_owned();
        let (interface, version) = import.split_once('@').unwrap_or((&import, ""));
        match interface.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) {
            Some(known) if INTERFACES.contains(&known) && version.starts_with("1.") => {}
            Some(_) => return Err(LoadError::OtherContract { policy: policy(), import }),
            None => return Err(LoadError::UnknownImport { policy: policy(), import }),
        }
    }
    match EXPORTS.iter().find(|export| component.get_export_index(None, **export).is_none()) {
        Some(export) => {
            Err(LoadError::MissingExport { policy: policy(), export: (*export).to_owned() })
        }
        None => Ok(()),
    }
}

fn describe(
    source: &PolicySource,
    engine: &wasmtime::Engine,
    world: &PolicyWorldPre<CallState>,
) -> Result<Description, LoadError> {
    let mut store = loading_store(engine, source);
    let description = world
        .instantiate(&mut store)
        .and_then(|world| world.call_describe(&mut store))
        .map_err(|error| failed(source, "describe", &error))?;
    Ok(Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        settings_schema: description.settings_schema,
        assets: description.assets,
        rejection_codes: description.rejection_codes,
    })
}

fn check_settings(source: &PolicySource, description: &Description) -> Result<(), LoadError> {
    let policy = source.name.clone();
    settings::check(&description.settings_schema, &source.settings).map_err(|error| match error {
        SchemaError::Fault(Fault { key, problem }) => {
            LoadError::Setting { policy, key, problem: printable(&problem, MAXIMUM_DETAIL_BYTES) }
        }
        SchemaError::Unusable(detail) => {
            LoadError::Schema { policy, detail: printable(&detail, MAXIMUM_DETAIL_BYTES) }
        }
    })
}

fn check_assets(source: &PolicySource, description: &Description) -> Result<(), LoadError> {
    let given = |name: &str| source.assets.iter().any(|asset| asset.name == name);
    for asset in &source.assets {
        let (policy, bytes) = (source.name.clone(), asset.content.len());
        if bytes > MAXIMUM_ASSET_BYTES {
            return Err(LoadError::AssetTooLarge { policy, asset: asset.name.clone(), bytes });
        }
        if !description.assets.iter().any(|known| known.trim_end_matches('?') == asset.name) {
            return Err(LoadError::UnknownAsset {
                policy,
                asset: asset.name.clone(),
                known: description.assets.clone(),
            });
        }
    }
    match description.assets.iter().find(|name| !name.ends_with('?') && !given(name)) {
        Some(asset) => {
            Err(LoadError::MissingAsset { policy: source.name.clone(), asset: asset.clone() })
        }
        None => Ok(()),
    }
}

/// Configures an instrumented copy and makes a component of the memory that it leaves; none where the snapshot
/// tool cannot handle this component.
fn snapshot(engine: &Engine, source: &PolicySource) -> Result<Option<Vec<u8>>, LoadError> {
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    // The tool asserts what it expects of a component, so a strange one can make it panic.
    let instrumented =
        catch_unwind(AssertUnwindSafe(|| wizer.instrument_component(&source.component)));
    let Ok(Ok((context, instrumented))) = instrumented else { return Ok(None) };
    let (loading, linker) = engine.loading();
    let Ok(component) = Component::new(loading, instrumented) else { return Ok(None) };

    let mut store = loading_store(loading, source);
    let instance: Instance = linker
        .instantiate(&mut store, &component)
        .map_err(|error| failed(source, "configure", &error))?;
    let world =
        PolicyWorld::new(&mut store, &instance).map_err(|error| wrong_type(source, error))?;
    configure(source, &mut store, &world)?;

    // Reading the memory out is the host's work, not the guest's: no bound applies to it.
    store.set_epoch_deadline(u64::from(u32::MAX));
    store.set_hostcall_fuel(usize::MAX);
    let _ = store.set_fuel(u64::MAX);
    let taken = catch_unwind(AssertUnwindSafe(|| {
        pollster::block_on(wizer.snapshot_component(
            &context,
            &mut WasmtimeWizerComponent { store: &mut store, instance },
        ))
    }));
    Ok(taken.ok().and_then(Result::ok))
}

/// Runs `configure`, and gives the operator what the policy says on the way.
fn configure(
    source: &PolicySource,
    store: &mut Store<CallState>,
    world: &PolicyWorld,
) -> Result<(), LoadError> {
    let assets = wit_assets(&source.assets);
    let result = world.call_configure(&mut *store, &source.settings, &assets);
    log::forward(&source.name, &store.data().log);
    store.data_mut().log.clear();
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(detail)) => Err(LoadError::Configure {
            policy: source.name.clone(),
            detail: printable(&detail, MAXIMUM_DETAIL_BYTES),
        }),
        Err(error) => Err(failed(source, "configure", &error)),
    }
}

pub(crate) fn wit_assets(assets: &[Asset]) -> Vec<handshakes::Asset> {
    assets
        .iter()
        .map(|asset| handshakes::Asset { name: asset.name.clone(), content: asset.content.clone() })
        .collect()
}

fn loading_store(engine: &wasmtime::Engine, source: &PolicySource) -> Store<CallState> {
    let deadline: Duration = source.limits.configure_deadline;
    engine::store(engine, CallState::new(source.limits.memory_bytes), deadline)
}

fn invalid(source: &PolicySource, error: wasmtime::Error) -> LoadError {
    LoadError::Invalid { policy: source.name.clone(), source: error }
}

fn wrong_type(source: &PolicySource, error: wasmtime::Error) -> LoadError {
    LoadError::WrongType { policy: source.name.clone(), source: error }
}

fn failed(source: &PolicySource, function: &'static str, error: &wasmtime::Error) -> LoadError {
    LoadError::Failed {
        policy: source.name.clone(),
        function,
        detail: printable(&format!("{error:#}"), MAXIMUM_DETAIL_BYTES),
    }
}
