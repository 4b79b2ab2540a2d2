//! From the configuration to a chain of policies that is ready to judge.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Asset, Chain, Engine, EngineOptions, Member, NotConfigured, PagemapScan, Policy, PolicyLimits,
    PolicySource, Step,
};
use serde_json::Value;
use toml::Spanned;

use crate::config::{ChainStep, ConfigFile, Mode, PagemapScanMode, PolicySection, read_bounded};
use crate::diagnosis::Mistake;

const MAXIMUM_COMPONENT_BYTES: u64 = 64 * 1024 * 1024;
const MAXIMUM_ASSET_BYTES: u64 = 16 * 1024 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// Loads every policy of the chain, in its order.
pub(crate) fn load_chain(file: &ConfigFile, plugins: &Path) -> Result<Chain, Mistake> {
    check_names(file)?;
    let options = engine_options(file);
    let engine = Engine::new(options)
        .map_err(|error| file.mistake_in("[engine]", "engine", &with_causes(&error)))?;
    let loader = Loader { file, plugins, engine };
    let steps = file
        .config
        .chain
        .iter()
        .map(|step| match step {
            ChainStep::One(name) => Ok(Step::One(loader.member(name)?)),
            ChainStep::Any(group) => {
                let members = group.any.iter().map(|name| loader.member(name));
                Ok(Step::Any(members.collect::<Result<_, Mistake>>()?))
            }
        })
        .collect::<Result<_, Mistake>>()?;
    Chain::new(steps, Arc::new(NotConfigured))
        .map_err(|error| file.mistake_in("chain", "chain", &error.to_string()))
}

/// A section that no chain names is a mistake: its author believes that it is in force.
fn check_names(file: &ConfigFile) -> Result<(), Mistake> {
    let named: Vec<&str> = file
        .config
        .chain
        .iter()
        .flat_map(|step| match step {
            ChainStep::One(name) => std::slice::from_ref(name),
            ChainStep::Any(group) => group.any.as_slice(),
        })
        .map(|name| name.get_ref().as_str())
        .collect();
    match file.config.policies.keys().find(|name| !named.contains(&name.as_str())) {
        Some(name) => Err(section_mistake(file, name, "the chain does not name this policy")
            .hint(&format!("add \"{name}\" to `chain`, or remove the section"))),
        None => Ok(()),
    }
}

fn engine_options(file: &ConfigFile) -> EngineOptions {
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
    }
}

struct Loader<'a> {
    file: &'a ConfigFile,
    plugins: &'a Path,
    engine: Engine,
}

impl Loader<'_> {
    fn member(&self, name: &Spanned<String>) -> Result<Member, Mistake> {
        let defaults = PolicySection::default();
        let section = self.file.config.policies.get(name.get_ref()).unwrap_or(&defaults);
        let source = PolicySource {
            name: name.get_ref().clone(),
            component: self.component(name, section)?,
            settings: json(&toml::Value::Table(section.settings.clone())).to_string(),
            assets: self.assets(name.get_ref(), section)?,
            limits: limits(section),
        };
        let policy = Policy::load(&self.engine, source)
            .map_err(|error| section_mistake(self.file, name.get_ref(), &with_causes(&error)))?;
        Ok(Member { policy: Arc::new(policy), shadow: section.mode == Mode::Shadow })
    }

    fn component(
        &self,
        name: &Spanned<String>,
        section: &PolicySection,
    ) -> Result<Vec<u8>, Mistake> {
        if let Some(named) = &section.component {
            let key = format!("policies.{}.component", name.get_ref());
            return self.file.read_named(named, &key, MAXIMUM_COMPONENT_BYTES);
        }
        let path: PathBuf = self.plugins.join(format!("{}.wasm", name.get_ref()));
        read_bounded(&path, MAXIMUM_COMPONENT_BYTES).map_err(|problem| {
            self.file.mistake(name, "chain", &format!("`{}`: {problem}", path.display())).hint(
                "name the directory of the components with `--plugins`, or one with `component`",
            )
        })
    }

    fn assets(&self, policy: &str, section: &PolicySection) -> Result<Vec<Asset>, Mistake> {
        section
            .assets
            .iter()
            .map(|(name, named)| {
                let key = format!("policies.{policy}.assets.{name}");
                let content = self.file.read_named(named, &key, MAXIMUM_ASSET_BYTES)?;
                Ok(Asset { name: name.clone(), content })
            })
            .collect()
    }
}

fn limits(section: &PolicySection) -> PolicyLimits {
    let defaults = PolicyLimits::default();
    PolicyLimits {
        deadline: section.deadline_ms.map_or(defaults.deadline, Duration::from_millis),
        configure_deadline: section
            .configure_deadline_ms
            .map_or(defaults.configure_deadline, Duration::from_millis),
        memory_bytes: section
            .memory_mib
            .map_or(defaults.memory_bytes, |mib| mib as usize * MEBIBYTE),
    }
}

fn section_mistake(file: &ConfigFile, policy: &str, problem: &str) -> Mistake {
    let key = format!("policies.{policy}");
    file.mistake_in(&format!("[{key}"), &key, problem)
}

/// An error and what caused it, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// TOML as JSON; a date or time becomes its text, which JSON has no type for.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::Array(values) => Value::Array(values.iter().map(json).collect()),
        toml::Value::Boolean(value) => Value::Bool(*value),
        toml::Value::Datetime(value) => Value::String(value.to_string()),
        toml::Value::Float(value) => Value::from(*value),
        toml::Value::Integer(value) => Value::from(*value),
        toml::Value::String(value) => Value::String(value.clone()),
        toml::Value::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}
