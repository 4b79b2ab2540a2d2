//! From the configuration to a chain of policies that is ready to judge.

use std::cell::RefCell;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Asset, Certificate, Chain, Clock, Engine, EngineOptions, Member, Metering, PagemapScan, Policy,
    PolicyLimits, PolicySource, Revocation, Step, Timestamp,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use toml::Spanned;

use crate::config::{ChainStep, ConfigFile, Mode, PagemapScanMode, PolicySection, read_bounded};
use crate::diagnosis::Mistake;
use crate::time;

const MAXIMUM_COMPONENT_BYTES: u64 = 64 * 1024 * 1024;
const MAXIMUM_ASSET_BYTES: u64 = 16 * 1024 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// Loads every policy of the chain, in its order. Gives the chain, and what is allowed and probably not meant.
///
/// `revocation` answers those that ask. `metering` is by fuel where nobody waits and the verdict must be repeatable.
pub(crate) fn load_chain(
    file: &ConfigFile,
    plugins: &Path,
    revocation: Arc<dyn Revocation>,
    metering: Metering,
) -> Result<(Chain, Vec<String>), Mistake> {
    check_names(file)?;
    let options = engine_options(file, metering);
    let engine = Engine::new(options)
        .map_err(|error| file.mistake_in("[engine]", "engine", &with_causes(&error)))?;
    let loader = Loader { file, plugins, engine, warnings: RefCell::default() };
    let steps =
        file.config.chain.iter().map(|step| loader.step(step)).collect::<Result<_, Mistake>>()?;
    let chain = Chain::new(steps, revocation)
        .map_err(|error| file.mistake_in("chain", "chain", &error.to_string()))?;
    let mut warnings = loader.warnings.into_inner();
    warnings.extend(pins_alone(&chain));
    Ok((chain, warnings))
}

/// Policies that let in whoever is pinned, where nobody validates a path.
fn pins_alone(chain: &Chain) -> Vec<String> {
    let gives = |member: &Member, code: &str| {
        !member.shadow && member.policy.description().rejection_codes.iter().any(|own| own == code)
    };
    let validates = |step: &Step| match step {
        Step::One(member) => gives(member, "unknown-issuer"),
        Step::Any(group) => group
            .iter()
            .filter(|member| !member.shadow)
            .all(|member| gives(member, "unknown-issuer")),
    };
    if chain.steps().iter().any(validates) {
        return Vec::new();
    }
    let pins = chain.members().filter(|member| gives(member, "not-pinned"));
    pins.map(|member| {
        format!(
            "`{}` can let a client in without any path validation: a pin does not look at the validity, the issuer or \
             the usage of a certificate; put `ca-chain` before it",
            member.policy.name()
        )
    })
    .collect()
}

/// A section that no chain names is a mistake: its author believes that it is in force.
fn check_names(file: &ConfigFile) -> Result<(), Mistake> {
    let named = file.config.chain.iter().flat_map(|step| step.get_ref().names());
    match file.config.policies.keys().find(|name| !named.clone().any(|other| other == *name)) {
        Some(name) => Err(section_mistake(file, name, "the chain does not name this policy")
            .hint(&format!("add \"{name}\" to `chain`, or remove the section"))),
        None => Ok(()),
    }
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
    }
}

struct Loader<'a> {
    file: &'a ConfigFile,
    plugins: &'a Path,
    engine: Engine,
    warnings: RefCell<Vec<String>>,
}

impl Loader<'_> {
    fn step(&self, step: &Spanned<ChainStep>) -> Result<Step, Mistake> {
        match step.get_ref() {
            ChainStep::Any(group) => {
                let members = group.any.iter().map(|name| self.member(step, name));
                Ok(Step::Any(members.collect::<Result<_, _>>()?))
            }
            ChainStep::One(name) => Ok(Step::One(self.member(step, name)?)),
        }
    }

    fn member(&self, step: &Spanned<ChainStep>, name: &str) -> Result<Member, Mistake> {
        let defaults = PolicySection::default();
        let section = self.file.config.policies.get(name).unwrap_or(&defaults);
        let source = PolicySource {
            name: name.to_owned(),
            component: self.component(step, name, section)?,
            settings: json(&toml::Value::Table(section.settings.clone())).to_string(),
            assets: self.assets(name, section)?,
            limits: limits(section),
        };
        let policy = Policy::load(&self.engine, source)
            .map_err(|error| section_mistake(self.file, name, &with_causes(&error)))?;
        Ok(Member { policy: Arc::new(policy), shadow: section.mode == Mode::Shadow })
    }

    fn component(
        &self,
        step: &Spanned<ChainStep>,
        name: &str,
        section: &PolicySection,
    ) -> Result<Vec<u8>, Mistake> {
        if let Some(named) = &section.component {
            let key = format!("policies.{name}.component");
            return self.file.read_named(named, &key, MAXIMUM_COMPONENT_BYTES);
        }
        let path: PathBuf = self.plugins.join(format!("{name}.wasm"));
        read_bounded(&path, MAXIMUM_COMPONENT_BYTES).map_err(|problem| {
            self.file.mistake(step, "chain", &format!("`{}`: {problem}", path.display())).hint(
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
                self.warnings.borrow_mut().extend(expired(&key, &content, Clock::system().now()));
                Ok(Asset { name: name.clone(), content })
            })
            .collect()
    }
}

/// The certificates of a PEM asset that have expired. Policies have no clock as they are configured, and leave them out
/// when they judge.
fn expired(key: &str, asset: &[u8], now: Timestamp) -> Vec<String> {
    CertificateDer::pem_slice_iter(asset)
        .filter_map(|der| Certificate::from_der(der.ok()?.to_vec()).ok())
        .filter(|certificate| certificate.not_after() < now)
        .map(|certificate| {
            let (subject, end) = (certificate.subject(), time::format(certificate.not_after()));
            format!("{key}: the certificate of `{subject}` expired at {end}, and is left out")
        })
        .collect()
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
pub(crate) fn with_causes(error: &dyn Error) -> String {
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
