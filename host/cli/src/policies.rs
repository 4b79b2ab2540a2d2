//! From the configuration to a chain of policies that is ready to judge.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{ChainSource, Layer, MEBIBYTE, MadeAsset};
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
    let engine = Engine::with_cache(engine_options(file, metering), cache::configured(file)?)
        .map_err(|error| file.mistake_in("[engine]", "engine", &with_causes(&error)))?;
    let layer =
        Layer { document: file, prefix: "policies".to_owned(), policies: &file.config.policies };
    let source = ChainSource {
        document: file,
        chain: &file.config.chain,
        layers: &[layer],
        plugins,
        make: &made,
    };
    portcullis_config::load_chain(&source, &engine, revocation)
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
