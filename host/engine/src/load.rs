//! From bytes to a configured policy: checks, `describe`, `configure`, snapshot.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use portcullis_core::{LogLine, printable};
use serde::{Deserialize, Serialize};
use wasmtime::Store;
use wasmtime::component::Instance;
use wasmtime_wizer::{ComponentContext, WasmtimeWizerComponent, Wizer};

use crate::bindings::{PolicyWorld, PolicyWorldPre, handshakes};
use crate::engine::{self, Engine};
use crate::error::LoadError;
use crate::host::CallState;
use crate::instances::{Configuration, Instances, Shelf};
use crate::kept::{self, Configured};
use crate::limits::PolicyLimits;
use crate::log;
use crate::settings::{self, Fault, SchemaError};
use crate::world;

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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preparation {
    /// Each instance starts from the memory that `configure` left.
    Snapshot,
    /// No snapshot can be taken of this component, so a few instances are kept configured ahead of need. A decision that
    /// finds none ready configures one itself, within as long as its deadline; by work nothing is made ahead, and each
    /// does so within the deadline of `configure`.
    ReadyAhead,
}

/// A component that is configured, and what it says of itself.
pub(crate) struct Loaded {
    pub(crate) description: Description,
    pub(crate) instances: Instances,
}

/// Checks, describes, configures and compiles; or takes what came of it before.
pub(crate) fn load(engine: &Engine, source: &PolicySource) -> Result<Loaded, LoadError> {
    world::check_bytes(&source.name, &source.component)?;
    let Some(cache) = engine.cache() else { return Ok(configure(engine, source)?.0) };
    let key = kept::configured_key([engine.loading().0, engine.pooled().0], source);
    if let Some(loaded) =
        Configured::find(cache, &key).and_then(|kept| restored(engine, source, kept))
    {
        return Ok(loaded);
    }
    let (loaded, configured) = configure(engine, source)?;
    configured.keep(cache, &key);
    Ok(loaded)
}

/// What came of loading the same policy before; none where the compiled component has gone from the cache.
fn restored(engine: &Engine, source: &PolicySource, kept: Configured) -> Option<Loaded> {
    let (own, linker) = match kept.preparation {
        Preparation::Snapshot => engine.pooled(),
        Preparation::ReadyAhead => engine.loading(),
    };
    let component = kept.component(engine.cache()?, own)?;
    world::check(&source.name, &component).ok()?;
    let linked = world::link(&source.name, linker, &component, world::is_frozen).ok()?;
    log::forward(&source.name, &kept.log());
    let instances = match kept.preparation {
        Preparation::Snapshot => Instances::Snapshot(linked),
        Preparation::ReadyAhead => ready_ahead(engine, source, linked),
    };
    Some(Loaded { description: kept.description, instances })
}

fn configure(engine: &Engine, source: &PolicySource) -> Result<(Loaded, Configured), LoadError> {
    let (_, linker) = engine.loading();
    let wizer = wizer();
    // Where a copy can be made whose memory can be read, it is the copy that is described and configured.
    let copy = instrument(&wizer, &source.component).and_then(|(context, copy)| {
        let component = engine.compile_for_loading(&copy).ok()?;
        Some((Some(context), Cow::Owned(copy), component))
    });
    let (context, bytes, component) = match copy {
        Some(copy) => copy,
        None => {
            let component = world::compile(engine, &source.name, &source.component)?;
            (None, Cow::Borrowed(source.component.as_slice()), component)
        }
    };
    world::check(&source.name, &component)?;
    let linked = world::link(&source.name, linker, &component, world::is_frozen)?;
    let (description, mut log) = describe(&source.name, &linked, &source.limits)?;
    check_settings(source, &description)?;
    check_assets(source, &description)?;

    let (store, instance, lines) = configured(source, &linked)?;
    log.extend(lines);
    let snapshot = context.and_then(|context| snapshot(&wizer, &context, store, instance));
    let (bytes, instances) = match snapshot {
        Some(snapshot) => {
            let (pooled, linker) = engine.pooled();
            let component = engine
                .compile(pooled, &snapshot)
                .map_err(|error| wrong_type(&source.name, error))?;
            let linked = world::link(&source.name, linker, &component, world::is_frozen)?;
            (Cow::Owned(snapshot), Instances::Snapshot(linked))
        }
        None => (bytes, ready_ahead(engine, source, linked)),
    };
    let configured = Configured::new(&description, instances.preparation(), &log, &bytes);
    Ok((Loaded { description, instances }, configured))
}

fn ready_ahead(
    engine: &Engine,
    source: &PolicySource,
    linked: PolicyWorldPre<CallState>,
) -> Instances {
    Instances::ReadyAhead(Shelf::new(engine, linked, configuration(source), source.limits))
}

/// Asks a component what it is, in an instance of its own.
pub(crate) fn describe(
    policy: &str,
    world: &PolicyWorldPre<CallState>,
    limits: &PolicyLimits,
) -> Result<(Description, Vec<LogLine>), LoadError> {
    let mut store = loading_store(world.engine(), limits);
    let result = world.instantiate(&mut store).and_then(|world| world.call_describe(&mut store));
    let lines = store.data_mut().log.take();
    log::forward(policy, &lines);
    let description = result.map_err(|error| failed(policy, "describe", &error))?;
    let description = Description {
        name: description.name,
        version: description.version,
        summary: description.summary,
        settings_schema: description.settings_schema,
        assets: description.assets,
        rejection_codes: description.rejection_codes,
    };
    Ok((description, lines))
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

/// Runs `configure` in an instance of its own, and gives the operator what the policy says on the way.
fn configured(
    source: &PolicySource,
    linked: &PolicyWorldPre<CallState>,
) -> Result<(Store<CallState>, Instance, Vec<LogLine>), LoadError> {
    let mut store = loading_store(linked.engine(), &source.limits);
    let instance = linked
        .instance_pre()
        .instantiate(&mut store)
        .map_err(|error| failed(&source.name, "configure", &error))?;
    let world =
        PolicyWorld::new(&mut store, &instance).map_err(|error| wrong_type(&source.name, error))?;
    let Configuration { settings, assets } = configuration(source);
    let result = world.call_configure(&mut store, &settings, &assets);
    let lines = store.data_mut().log.take();
    log::forward(&source.name, &lines);
    match result {
        Ok(Ok(())) => Ok((store, instance, lines)),
        Ok(Err(detail)) => Err(LoadError::Configure {
            policy: source.name.clone(),
            detail: printable(&detail, MAXIMUM_DETAIL_BYTES),
        }),
        Err(error) => Err(failed(&source.name, "configure", &error)),
    }
}

/// Makes a component of the memory that `configure` left; none where the snapshot tool cannot handle it after all.
fn snapshot(
    wizer: &Wizer,
    context: &ComponentContext<'_>,
    mut store: Store<CallState>,
    instance: Instance,
) -> Option<Vec<u8>> {
    // Reading the memory out is the host's work, not the guest's: no bound applies to it.
    store.set_epoch_deadline(u64::from(u32::MAX));
    store.set_hostcall_fuel(usize::MAX);
    let _ = store.set_fuel(u64::MAX);
    let taken = catch_unwind(AssertUnwindSafe(|| {
        pollster::block_on(wizer.snapshot_component(
            context,
            &mut WasmtimeWizerComponent { store: &mut store, instance },
        ))
    }));
    taken.ok().and_then(Result::ok)
}

fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    wizer
}

/// A copy whose memory the snapshot tool can read.
fn instrument<'a>(wizer: &Wizer, component: &'a [u8]) -> Option<(ComponentContext<'a>, Vec<u8>)> {
    // The tool asserts what it expects of a component, so a strange one can make it panic.
    catch_unwind(AssertUnwindSafe(|| wizer.instrument_component(component))).ok()?.ok()
}

/// Which way a component will go, as far as it shows without running `configure`.
pub(crate) fn foreseen(component: &[u8]) -> Preparation {
    match instrument(&wizer(), component) {
        Some(_) => Preparation::Snapshot,
        None => Preparation::ReadyAhead,
    }
}

fn configuration(source: &PolicySource) -> Configuration {
    let assets = source.assets.iter();
    let assets = assets.map(|asset| handshakes::Asset {
        name: asset.name.clone(),
        content: asset.content.clone(),
    });
    Configuration { settings: source.settings.clone(), assets: assets.collect() }
}

fn loading_store(engine: &wasmtime::Engine, limits: &PolicyLimits) -> Store<CallState> {
    engine::store(engine, CallState::new(limits.memory_bytes), limits.configure_deadline)
}

fn wrong_type(policy: &str, error: wasmtime::Error) -> LoadError {
    LoadError::WrongType { policy: policy.to_owned(), source: error }
}

fn failed(policy: &str, function: &'static str, error: &wasmtime::Error) -> LoadError {
    LoadError::Failed {
        policy: policy.to_owned(),
        function,
        detail: printable(&format!("{error:#}"), MAXIMUM_DETAIL_BYTES),
    }
}
