//! The chains that a suite asks: its own, and the variants of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_config::{MEBIBYTE, Mistake, load_chain};
use portcullis_engine::with_causes;
use portcullis_engine::{Chain, CompileCache, Engine, EngineOptions, Metering, NotConfigured};
use serde_json::Value;

use crate::case::Case;
use crate::suite::Suite;

/// Every chain that some cases of a suite need, loaded once.
#[derive(Debug)]
pub(crate) struct Chains(BTreeMap<Option<String>, Loaded>);

/// A chain, and the settings that its policies were given.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) chain: Chain,
    pub(crate) settings: BTreeMap<String, Value>,
}

impl Chains {
    /// Loads what the cases need, on every core. Deadlines are kept by fuel, so that they are the same everywhere.
    pub(crate) fn load(
        suite: &Suite,
        cases: &[&Case],
        plugins: &Path,
        cache: Option<&CompileCache>,
    ) -> Result<Self, Mistake> {
        let engine = Engine::with_cache(options(suite), cache.cloned())
            .map_err(|error| Mistake::file(suite.path(), &with_causes(&error)))?;
        let variants: BTreeSet<&Option<String>> = cases.iter().map(|case| &case.variant).collect();
        let variants: Vec<&Option<String>> = variants.into_iter().collect();
        let loaded = in_parallel(&variants, |variant| {
            let loaded = suite.with_source(variant.as_deref(), plugins, |source| {
                let (chain, _) = load_chain(source, &engine, Arc::new(NotConfigured))?;
                let names = chain.members().map(|member| member.policy.name().to_owned());
                let settings = names.map(|name| (name.clone(), source.settings(&name))).collect();
                Ok(Loaded { chain, settings })
            })?;
            Ok(((*variant).clone(), loaded))
        });
        loaded.into_iter().collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn of(&self, case: &Case) -> Option<&Loaded> {
        self.0.get(&case.variant)
    }
}

fn options(suite: &Suite) -> EngineOptions {
    let defaults = EngineOptions::default();
    let largest = suite.largest_memory_mib().map_or(0, |mib| mib as usize * MEBIBYTE);
    EngineOptions {
        maximum_memory_bytes: largest.max(defaults.maximum_memory_bytes),
        metering: Metering::Fuel,
        quick_loading: true,
        ..defaults
    }
}

/// What `work` makes of each item, in their order, on every core.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(items.len())).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
