//! The engine: wasmtime with the settings that policies run under.

use std::collections::HashMap;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use portcullis_core::sha256;
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store, Strategy,
};

use crate::cache::CompileCache;
use crate::host::{self, CallState};
use crate::instances::{self, Shelf};
use crate::kept;
use crate::limits::{
    MAXIMUM_CORE_INSTANCES, MAXIMUM_MEMORIES, MAXIMUM_TABLE_ELEMENTS, MAXIMUM_TABLES,
};
use crate::signatures::Signatures;

/// How often the epoch advances, and so how exactly a deadline is kept.
const TICK: Duration = Duration::from_millis(5);
/// What a millisecond of a deadline is worth in fuel: about what a core of 2026 gets through, an instruction a unit.
const FUEL_PER_MILLISECOND: u128 = 1_000_000;
/// What a guest may hand to the host in one call, in bytes.
const MAXIMUM_CALL_BYTES: usize = 16 * 1024 * 1024;

/// How an engine is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Decisions made at the same time; more wait. Default: four a core, so that a deadline, which is in real
    /// time, is not used up by waiting for a core.
    pub maximum_decisions: u32,
    /// The most linear memory, in bytes, that a policy's limits can give it. Default: 64 MiB.
    pub maximum_memory_bytes: usize,
    /// Whether to find the pages that a guest wrote with the kernel's PAGEMAP_SCAN (Linux 6.7). Default: where
    /// the kernel has it.
    pub pagemap_scan: PagemapScan,
    /// How a policy's deadline is kept. Default: by time.
    pub metering: Metering,
    /// Whether policies load quickly rather than run quickly: they are compiled without optimization, and what was
    /// compiled to configure a component is kept for when it is loaded with other settings. For many chains that judge
    /// a few handshakes each. Verdicts are the same, and so is the fuel that they take; only the depth at which a guest's
    /// recursion ends may be another. Default: no.
    pub quick_loading: bool,
}

/// How a policy's deadline is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metering {
    /// By time: nobody waits longer than the deadline, and what fits into it depends on the machine.
    Time,
    /// By work: a million instructions for each millisecond of the deadline, on every machine alike, so that a verdict
    /// can be repeated; and as much again for what the host does on the way. Some 16 % slower.
    Fuel,
}

/// Whether to use the kernel's PAGEMAP_SCAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagemapScan {
    /// Where the kernel has it.
    Automatic,
    /// Never.
    Off,
    /// Always; making the engine fails where the kernel lacks it.
    Required,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            maximum_decisions: u32::try_from(cores * 4).unwrap_or(u32::MAX),
            maximum_memory_bytes: 64 * 1024 * 1024,
            pagemap_scan: PagemapScan::Automatic,
            metering: Metering::Time,
            quick_loading: false,
        }
    }
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The pool's address space could not be reserved, or an option does not fit this machine.
    #[error(
        "cannot make an engine for {maximum_decisions} decisions at a time with {maximum_memory_bytes} bytes \
         each; lower `maximum-decisions` or `maximum-memory-bytes`"
    )]
    Wasmtime {
        /// From the options.
        maximum_decisions: u32,
        /// From the options.
        maximum_memory_bytes: usize,
        /// What wasmtime says.
        #[source]
        source: wasmtime::Error,
    },
    /// A thread of the engine's own did not start.
    #[error("cannot start a thread of the engine")]
    Thread(#[source] std::io::Error),
}

/// Where policies are compiled and run. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    /// Runs evaluations from a snapshot: instances from a pool that is reserved once.
    pooled: wasmtime::Engine,
    /// Runs `describe` and `configure`, of components that may be anything yet; and instances that are made ahead, which
    /// take no place of the pool while they wait.
    loading: wasmtime::Engine,
    pooled_linker: Linker<CallState>,
    loading_linker: Linker<CallState>,
    /// Where instances are asked for that are made ahead.
    requests: Option<Sender<Weak<Shelf>>>,
    options: EngineOptions,
    free_decisions: Mutex<u32>,
    freed: Condvar,
    cache: Option<CompileCache>,
    signatures: Arc<Signatures>,
    /// By the digest of the component.
    compiled: Mutex<HashMap<[u8; 32], Component>>,
}

impl Engine {
    /// Reserves the pool and starts the threads that keep deadlines and make instances ahead.
    ///
    /// # Errors
    ///
    /// When the pool does not fit this machine, or a thread cannot start.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        Self::with_cache(options, None)
    }

    /// As [`Engine::new`]. What is compiled is taken from the cache where it is in it, and put there where it is not.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn with_cache(
        options: EngineOptions,
        cache: Option<CompileCache>,
    ) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Wasmtime {
            maximum_decisions: options.maximum_decisions,
            maximum_memory_bytes: options.maximum_memory_bytes,
            source,
        };
        let mut config = base_config(&options);
        let loading = wasmtime::Engine::new(&config).map_err(failed)?;
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(&options)));
        let pooled = wasmtime::Engine::new(&config).map_err(failed)?;
        // Where nobody waits, nothing is made ahead: a verdict is the same from run to run.
        let requests = match options.metering {
            Metering::Time => {
                start_ticker(&[&pooled, &loading]).map_err(EngineError::Thread)?;
                Some(start_making_ahead().map_err(EngineError::Thread)?)
            }
            Metering::Fuel => None,
        };
        Ok(Self(Arc::new(Inner {
            pooled_linker: linker(&pooled).map_err(failed)?,
            loading_linker: linker(&loading).map_err(failed)?,
            pooled,
            loading,
            requests,
            free_decisions: Mutex::new(options.maximum_decisions),
            freed: Condvar::new(),
            cache,
            signatures: Arc::default(),
            compiled: Mutex::default(),
            options,
        })))
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn pooled(&self) -> (&wasmtime::Engine, &Linker<CallState>) {
        (&self.0.pooled, &self.0.pooled_linker)
    }

    pub(crate) fn loading(&self) -> (&wasmtime::Engine, &Linker<CallState>) {
        (&self.0.loading, &self.0.loading_linker)
    }

    /// Compiles a component for `describe` and `configure`.
    pub(crate) fn compile_for_loading(&self, bytes: &[u8]) -> wasmtime::Result<Component> {
        if !self.0.options.quick_loading {
            return self.compile(&self.0.loading, bytes);
        }
        let digest = sha256(bytes);
        let compiled = || self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = compiled().get(&digest).cloned() {
            return Ok(component);
        }
        let component = self.compile(&self.0.loading, bytes)?;
        compiled().insert(digest, component.clone());
        Ok(component)
    }

    /// Compiles a component for one of the two.
    pub(crate) fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
    ) -> wasmtime::Result<Component> {
        kept::compile(self.cache(), engine, bytes)
    }

    pub(crate) fn cache(&self) -> Option<&CompileCache> {
        self.0.cache.as_ref()
    }

    /// Who verifies the signatures that policies ask about.
    pub(crate) fn signatures(&self) -> &Arc<Signatures> {
        &self.0.signatures
    }

    pub(crate) fn requests(&self) -> Option<Sender<Weak<Shelf>>> {
        self.0.requests.clone()
    }

    /// Waits for one of the decisions that may be made at the same time.
    pub(crate) fn decision_permit(&self) -> DecisionPermit<'_> {
        let free = self.0.free_decisions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .0
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        DecisionPermit(&self.0)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.0.options).finish_non_exhaustive()
    }
}

pub(crate) struct DecisionPermit<'a>(&'a Inner);

impl Drop for DecisionPermit<'_> {
    fn drop(&mut self) {
        *self.0.free_decisions.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// A store for the calls of one instance: bounded memory, and an end `deadline` from now.
pub(crate) fn store(
    engine: &wasmtime::Engine,
    state: CallState,
    deadline: Duration,
) -> Store<CallState> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(MAXIMUM_CALL_BYTES);
    set_deadline(&mut store, deadline);
    store
}

/// Lets a store's instance run until `deadline` from now, whatever it had left.
pub(crate) fn set_deadline(store: &mut Store<CallState>, deadline: Duration) {
    // One tick more, since the current one has already begun.
    let ticks = deadline.as_millis().div_ceil(TICK.as_millis()) + 1;
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    let fuel = deadline.as_millis().saturating_mul(FUEL_PER_MILLISECOND);
    let fuel = u64::try_from(fuel).unwrap_or(u64::MAX);
    // An engine that keeps deadlines by time refuses fuel.
    store.data_mut().host_fuel = store.set_fuel(fuel).is_ok().then_some(fuel);
}

fn base_config(options: &EngineOptions) -> Config {
    let metering = options.metering;
    let mut config = Config::new();
    if options.quick_loading {
        config.cranelift_opt_level(OptLevel::None);
    }
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(metering == Metering::Time)
        .consume_fuel(metering == Metering::Fuel)
        .wasm_backtrace_max_frames(None)
        .wasm_component_model(true)
        .wasm_memory64(false)
        // The same bits of a NaN on every machine, so that a recorded handshake replays to the same verdict.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

fn pool(options: &EngineOptions) -> PoolingAllocationConfig {
    let decisions = options.maximum_decisions;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(decisions)
        .total_core_instances(decisions.saturating_mul(MAXIMUM_CORE_INSTANCES))
        .total_memories(decisions.saturating_mul(MAXIMUM_MEMORIES))
        .total_tables(decisions.saturating_mul(MAXIMUM_TABLES))
        .max_core_instances_per_component(MAXIMUM_CORE_INSTANCES)
        .max_memories_per_component(MAXIMUM_MEMORIES)
        .max_tables_per_component(MAXIMUM_TABLES)
        .max_component_instance_size(8 * 1024 * 1024)
        .max_core_instance_size(1024 * 1024)
        .table_elements(MAXIMUM_TABLE_ELEMENTS)
        .max_memory_size(options.maximum_memory_bytes)
        // Resetting what a guest wrote costs less than giving the pages back and faulting them in again.
        .linear_memory_keep_resident(1024 * 1024)
        .table_keep_resident(64 * 1024)
        .pagemap_scan(match options.pagemap_scan {
            PagemapScan::Automatic => Enabled::Auto,
            PagemapScan::Off => Enabled::No,
            PagemapScan::Required => Enabled::Yes,
        });
    pool
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    host::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A thread of the operating system, not a task: it must tick while every worker is busy in a guest.
fn start_ticker(engines: &[&wasmtime::Engine]) -> std::io::Result<()> {
    let mut engines: Vec<_> = engines.iter().map(|engine| engine.weak()).collect();
    std::thread::Builder::new().name("policy-deadline".to_owned()).spawn(move || {
        while !engines.is_empty() {
            std::thread::sleep(TICK);
            // Each for as long as something runs on it: an instance keeps its engine.
            engines.retain(|engine| match engine.upgrade() {
                Some(engine) => {
                    engine.increment_epoch();
                    true
                }
                None => false,
            });
        }
    })?;
    Ok(())
}

/// A thread on which instances are made ahead, and where to ask it for them. It ends when nobody is left to ask.
fn start_making_ahead() -> std::io::Result<Sender<Weak<Shelf>>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("policy-instances".to_owned())
        .spawn(move || instances::make_ahead(&receiver))?;
    Ok(sender)
}
