//! From the configuration to a chain of policies that is ready to judge.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{ChainSource, KnownPolicies, Layer, MEBIBYTE, MadeAsset};
use portcullis_engine::with_causes;
use portcullis_engine::{Chain, Engine, EngineOptions, Metering, PagemapScan, Revocation};

use crate::cache;
use crate::config::{ConfigFile, PagemapScanMode};
use portcullis_config::Mistake;

/// Loads every policy of the chain, in its order. Gives the chain, and what is allowed and probably not meant.
///
/// `revocation` answers those that ask. `metering` is by fuel where nobody waits and the verdict must be repeatable.
pub(crate) fn load_chain(
    file: &ConfigFile,
    plugins: &Path,
    revocation: Arc<dyn Revocation>,
    metering: Metering,
) -> Result<(Chain, Vec<String>), Mistake> {
    let engine = engine(file, engine_options(file, metering))?;
    load(file, plugins, revocation, &engine, &KnownPolicies::default())
}

/// What one load leaves for the next: the engine while its options are the same, and the policies that are the same.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    engine: Option<Engine>,
    policies: KnownPolicies,
}

impl Kept {
    /// As [`load_chain`], by time.
    pub(crate) fn load_chain(
        &mut self,
        file: &ConfigFile,
        plugins: &Path,
        revocation: Arc<dyn Revocation>,
    ) -> Result<(Chain, Vec<String>), Mistake> {
        let options = engine_options(file, Metering::Time);
        let engine = match &self.engine {
            Some(engine) if *engine.options() == options => engine.clone(),
            _ => self.engine.insert(engine(file, options)?).clone(),
        };
        load(file, plugins, revocation, &engine, &self.policies)
    }

    /// Forgets the policies that are not in the chain.
    pub(crate) fn keep_those_of(&self, chain: &Chain) {
        self.policies.keep_those_of(chain);
    }
}

fn engine(file: &ConfigFile, options: EngineOptions) -> Result<Engine, Mistake> {
    Engine::with_cache(options, cache::configured(file)?)
        .map_err(|error| file.mistake_in("[engine]", "engine", &with_causes(&error)))
}

fn load(
    file: &ConfigFile,
    plugins: &Path,
    revocation: Arc<dyn Revocation>,
    engine: &Engine,
    known: &KnownPolicies,
) -> Result<(Chain, Vec<String>), Mistake> {
    let layer =
        Layer { document: file, prefix: "policies".to_owned(), policies: &file.config.policies };
    let source = ChainSource {
        document: file,
        chain: &file.config.chain,
        layers: &[layer],
        plugins,
        make: &made,
        workload_api: file.workload_api.as_ref(),
        known,
    };
    portcullis_config::load_chain(&source, engine, revocation)
}

/// Certificates that have keys which everybody knows are for suites.
fn made(_: &MadeAsset) -> Result<Vec<u8>, String> {
    Err("an asset of a configuration is a file; only a suite makes one".to_owned())
}

fn engine_options(file: &ConfigFile, metering: Metering) -> EngineOptions {
    let section = &file.config.engine;
    let defaults = EngineOptions::default();
    let largest = file.config.policies.values().filter_map(|policy| policy.memory_mib).max();
    EngineOptions {
        maximum_decisions: section.maximum_decisions.unwrap_or(defaults.maximum_decisions),
        maximum_memory_bytes: largest
            .map_or(0, |mib| mib as usize * MEBIBYTE)
            .max(defaults.maximum_memory_bytes),
        pagemap_scan: match section.pagemap_scan {
            PagemapScanMode::Automatic => PagemapScan::Automatic,
            PagemapScanMode::Off => PagemapScan::Off,
            PagemapScanMode::Required => PagemapScan::Required,
        },
        metering,
        ..defaults
    }
}
