//! From TOML to a chain of policies that is ready to judge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Asset, Chain, Engine, LoadError, Member, Policy, PolicyLimits, PolicySource, Revocation, Step,
    with_causes,
};
use portcullis_source::Source;
use serde_json::Value;
use toml::Spanned;

use crate::chain::{AssetSource, ChainStep, MadeAsset, Mode, PolicySection, TrustBundles};
use crate::document::Document;
use crate::known::KnownPolicies;
use crate::mistake::Mistake;
use crate::together;

const MAXIMUM_COMPONENT_BYTES: u64 = 64 * 1024 * 1024;
const MAXIMUM_ASSET_BYTES: u64 = 16 * 1024 * 1024;
/// Of bytes.
pub const MEBIBYTE: usize = 1024 * 1024;

/// A chain as files describe it.
#[derive(Clone, Copy)]
pub struct ChainSource<'a> {
    /// Where the chain stands.
    pub document: &'a Document,
    /// Its steps.
    pub chain: &'a [Spanned<ChainStep>],
    /// What is said of its policies. Of several layers the last that says something of a key counts.
    pub layers: &'a [Layer<'a>],
    /// Where `NAME.wasm` is looked for.
    pub plugins: &'a Path,
    /// Makes the assets that are no files; the error says why not.
    pub make: &'a dyn Fn(&MadeAsset) -> Result<Vec<u8>, String>,
    /// The SPIFFE Workload API, where there is one.
    pub workload_api: Option<&'a Arc<dyn Source>>,
    /// What was loaded before.
    pub known: &'a KnownPolicies,
}

/// Sections of policies in one place of one file.
#[derive(Clone, Debug)]
pub struct Layer<'a> {
    /// Where they stand.
    pub document: &'a Document,
    /// What their headers begin with: `policies`.
    pub prefix: String,
    /// By policy.
    pub policies: &'a BTreeMap<String, PolicySection>,
}

impl<'a> ChainSource<'a> {
    /// The settings that a policy is given.
    #[must_use]
    pub fn settings(&self, policy: &str) -> Value {
        settings(&self.sections(policy))
    }

    /// The files that loading reads.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let names = self.chain.iter().flat_map(|step| step.get_ref().names());
        names.flat_map(|name| self.files_of(name)).collect()
    }

    fn files_of(&self, policy: &str) -> Vec<PathBuf> {
        let sections = self.sections(policy);
        let component = sections.iter().find_map(|(layer, section)| {
            section.component.as_ref().map(|path| layer.document.resolve(path.get_ref()))
        });
        let mut files = vec![component.unwrap_or_else(|| self.default_component(policy))];
        for (layer, asset) in assets(&sections).into_values() {
            if let AssetSource::File(path) = asset.get_ref() {
                files.push(layer.document.resolve(path));
            }
        }
        files
    }

    fn default_component(&self, policy: &str) -> PathBuf {
        self.plugins.join(format!("{policy}.wasm"))
    }

    fn sections(&self, policy: &str) -> Sections<'a> {
        let layers = self.layers.iter().rev();
        layers.filter_map(|layer| Some((layer, layer.policies.get(policy)?))).collect()
    }
}

impl Layer<'_> {
    fn mistake(&self, policy: &str, problem: &str) -> Mistake {
        let key = format!("{}.{policy}", self.prefix);
        self.document.mistake_in(&format!("[{key}"), &key, problem)
    }
}

/// Loads every policy of the chain, in its order. Gives the chain, and what is allowed and probably not meant.
///
/// `revocation` answers those that ask.
///
/// # Errors
/// When a file is missing, or a policy does not load, or the steps are no chain.
pub fn load_chain(
    source: &ChainSource<'_>,
    engine: &Engine,
    revocation: Arc<dyn Revocation>,
) -> Result<(Chain, Vec<String>), Mistake> {
    source.layers.iter().try_for_each(|layer| check_names(source, layer))?;
    let loader = Loader { source, engine };
    let chain = Chain::new(loader.steps()?, revocation)
        .map_err(|error| source.document.mistake_in("chain", "chain", &error.to_string()))?;
    let mut warnings = pins_alone(&chain);
    warnings.extend(federated_anchors(source, &chain));
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

/// The CAs of federated trust domains for a policy that does not hold each to its own.
fn federated_anchors(source: &ChainSource<'_>, chain: &Chain) -> Vec<String> {
    let takes_all = |policy: &Policy| {
        let sections = source.sections(policy.name());
        assets(&sections).into_values().any(|(_, asset)| match asset.get_ref() {
            AssetSource::WorkloadApi(asked) => asked.workload_api == TrustBundles::All,
            _ => false,
        })
    };
    let knows_trust_domains = |policy: &Policy| {
        policy.description().rejection_codes.iter().any(|code| code == "unknown-trust-domain")
    };
    let policies = chain.members().map(|member| &member.policy);
    policies
        .filter(|policy| takes_all(policy) && !knows_trust_domains(policy))
        .map(|policy| {
            format!(
                "`{}` lets the CAs of every federated trust domain vouch for any name: \
                 give it {{ workload-api = \"own\" }}, or let `spiffe-id` judge",
                policy.name()
            )
        })
        .collect()
}

/// A section that no chain names is a mistake: its author believes that it is in force.
fn check_names(source: &ChainSource<'_>, layer: &Layer<'_>) -> Result<(), Mistake> {
    let named = source.chain.iter().flat_map(|step| step.get_ref().names());
    match layer.policies.keys().find(|name| !named.clone().any(|other| other == *name)) {
        Some(name) => Err(layer
            .mistake(name, "the chain does not name this policy")
            .hint(&format!("add \"{name}\" to `chain`, or remove the section"))),
        None => Ok(()),
    }
}

struct Loader<'a> {
    source: &'a ChainSource<'a>,
    engine: &'a Engine,
}

/// What the layers say of one policy, the last one first.
type Sections<'a> = Vec<(&'a Layer<'a>, &'a PolicySection)>;

impl Loader<'_> {
    /// First all that is read, and then every policy of it, side by side.
    fn steps(&self) -> Result<Vec<Step>, Mistake> {
        let chain = self.source.chain;
        let named = || {
            chain
                .iter()
                .flat_map(|step| step.get_ref().names().iter().map(move |name| (step, name)))
        };
        let sources = named().map(|(step, name)| self.policy_source(step, name));
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = named().map(|(_, name)| name.as_str()).collect();
        let (engine, known) = (self.engine, self.source.known);
        let loaded = together::load(&names, sources, |source| match known.find(engine, &source) {
            Some(policy) => Ok(policy),
            None => known.load(engine, source),
        });
        let mut members =
            named().zip(loaded).map(|((step, name), loaded)| self.member(step, name, loaded));
        let mut steps = Vec::new();
        for step in chain {
            let of_step = members.by_ref().take(step.get_ref().names().len());
            match step.get_ref() {
                ChainStep::Any(_) => steps.push(Step::Any(of_step.collect::<Result<_, _>>()?)),
                ChainStep::One(_) => {
                    for member in of_step {
                        steps.push(Step::One(member?));
                    }
                }
            }
        }
        Ok(steps)
    }

    fn policy_source(
        &self,
        step: &Spanned<ChainStep>,
        name: &str,
    ) -> Result<PolicySource, Mistake> {
        let sections = self.source.sections(name);
        Ok(PolicySource {
            name: name.to_owned(),
            component: self.component(step, name, &sections)?,
            settings: settings(&sections).to_string(),
            assets: self.assets(name, &sections)?,
            limits: limits(&sections),
        })
    }

    fn member(
        &self,
        step: &Spanned<ChainStep>,
        name: &str,
        loaded: Result<Arc<Policy>, LoadError>,
    ) -> Result<Member, Mistake> {
        let sections = self.source.sections(name);
        let shadow = last(&sections, |section| section.mode) == Some(Mode::Shadow);
        let policy = loaded.map_err(|error| {
            let problem = with_causes(&error);
            match sections.first() {
                Some((layer, _)) => layer.mistake(name, &problem),
                None => self.source.document.mistake(step, "chain", &problem),
            }
        })?;
        Ok(Member { policy, shadow })
    }

    fn component(
        &self,
        step: &Spanned<ChainStep>,
        name: &str,
        sections: &Sections<'_>,
    ) -> Result<Vec<u8>, Mistake> {
        let named = sections.iter().find_map(|(layer, section)| {
            section.component.as_ref().map(|component| (layer, component))
        });
        if let Some((layer, component)) = named {
            let key = format!("{}.{name}.component", layer.prefix);
            return layer.document.read_named(component, &key, MAXIMUM_COMPONENT_BYTES);
        }
        let path = self.source.default_component(name);
        let readings = self.source.document.readings();
        readings.read_file(&path, MAXIMUM_COMPONENT_BYTES).map_err(|error| {
            let problem = format!("`{}`: {error}", path.display());
            self.source.document.mistake(step, "chain", &problem).hint(
                "name the directory of the components with `--plugins`, or one with `component`",
            )
        })
    }

    fn assets(&self, policy: &str, sections: &Sections<'_>) -> Result<Vec<Asset>, Mistake> {
        assets(sections)
            .into_iter()
            .map(|(name, (layer, asset))| {
                let key = format!("{}.{policy}.assets.{name}", layer.prefix);
                let content = self.asset(layer, asset, &key)?;
                Ok(Asset { name: name.to_owned(), content })
            })
            .collect()
    }

    fn asset(
        &self,
        layer: &Layer<'_>,
        asset: &Spanned<AssetSource>,
        key: &str,
    ) -> Result<Vec<u8>, Mistake> {
        match asset.get_ref() {
            AssetSource::File(path) => {
                layer.document.read_at(asset, path, key, MAXIMUM_ASSET_BYTES)
            }
            AssetSource::WorkloadApi(asked) => self
                .trust_bundles(layer, asked.workload_api)
                .map_err(|problem| layer.document.mistake(asset, key, &problem)),
            AssetSource::Made(made) => (self.source.make)(made)
                .map_err(|problem| layer.document.mistake(asset, key, &problem)),
        }
    }

    fn trust_bundles(&self, layer: &Layer<'_>, which: TrustBundles) -> Result<Vec<u8>, String> {
        let source =
            self.source.workload_api.ok_or("there is no Workload API here: give a file")?;
        let readings = layer.document.readings();
        let read = readings.read(source, which.as_str().as_ref(), MAXIMUM_ASSET_BYTES);
        read.map_err(|error| error.to_string())
    }
}

/// The assets, each as the last layer that has it says.
fn assets<'a>(
    sections: &Sections<'a>,
) -> BTreeMap<&'a str, (&'a Layer<'a>, &'a Spanned<AssetSource>)> {
    let mut named = BTreeMap::new();
    for (layer, section) in sections.iter().rev() {
        named.extend(section.assets.iter().map(|(name, asset)| (name.as_str(), (*layer, asset))));
    }
    named
}

/// What the last layer to say something says.
fn last<T>(sections: &Sections<'_>, key: impl Fn(&PolicySection) -> Option<T>) -> Option<T> {
    sections.iter().find_map(|(_, section)| key(section))
}

fn settings(sections: &Sections<'_>) -> Value {
    let mut settings = toml::Table::new();
    for (_, section) in sections.iter().rev() {
        settings.extend(section.settings.clone());
    }
    json(&toml::Value::Table(settings))
}

fn limits(sections: &Sections<'_>) -> PolicyLimits {
    let defaults = PolicyLimits::default();
    PolicyLimits {
        deadline: last(sections, |section| section.deadline_ms)
            .map_or(defaults.deadline, Duration::from_millis),
        configure_deadline: last(sections, |section| section.configure_deadline_ms)
            .map_or(defaults.configure_deadline, Duration::from_millis),
        memory_bytes: last(sections, |section| section.memory_mib)
            .map_or(defaults.memory_bytes, |mib| mib as usize * MEBIBYTE),
    }
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
