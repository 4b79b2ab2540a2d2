//! What the compile cache keeps: compiled components, and what came of configuring a policy.
//!
//! Both are found by a digest of everything that they depend on: the bytes that they were made from, this build of the
//! engine, the contract, and what wasmtime compiles for (its version, its settings, and the features of the processor).

use std::hash::{Hash as _, Hasher};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use portcullis_core::{LogLine, sha256};
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use crate::cache::{CompileCache, Digest, Key};
use crate::load::{Description, PolicySource, Preparation};
use crate::world::CONTRACT_VERSION;

/// What came of configuring a policy, and which component its evaluations run.
#[derive(Deserialize, Serialize)]
pub(crate) struct Configured {
    pub(crate) description: Description,
    pub(crate) preparation: Preparation,
    /// What the policy had to say to the operator: level and text.
    log: Vec<(String, String)>,
    /// SHA-256 of the component that evaluations run.
    component: String,
}

/// Compiles a component, or takes what was compiled from the same bytes before.
pub(crate) fn compile(
    cache: Option<&CompileCache>,
    engine: &wasmtime::Engine,
    bytes: &[u8],
) -> wasmtime::Result<Component> {
    let Some(cache) = cache else { return Component::new(engine, bytes) };
    let key = component_key(engine, &sha256(bytes));
    if let Some(component) = find(cache, engine, &key) {
        return Ok(component);
    }
    let component = Component::new(engine, bytes)?;
    cache.write(&key, &[&component.serialize()?]);
    Ok(component)
}

fn find(cache: &CompileCache, engine: &wasmtime::Engine, key: &Key) -> Option<Component> {
    let entry = cache.read(key)?;
    let component = deserialize(engine, entry.content());
    component.inspect_err(|error| cache.throw_away(key, &format!("{error:#}"))).ok()
}

#[allow(
    unsafe_code,
    reason = "wasmtime cannot know where compiled code comes from; the cache does"
)]
fn deserialize(engine: &wasmtime::Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes have to come from `Component::serialize`. They were written by `compile` above: they are from a file
    // that only this user can write, in a directory that only this user can write, and are unchanged by their checksum. They
    // are copied, so what happens to the file from now on changes nothing.
    unsafe { Component::deserialize(engine, compiled) }
}

impl Configured {
    /// What came of configuring a policy with `component`, in bytes, for its evaluations.
    pub(crate) fn new(
        description: &Description,
        preparation: Preparation,
        log: &[LogLine],
        component: &[u8],
    ) -> Self {
        let log = log.iter().map(|line| (line.level.to_owned(), line.text.clone()));
        Self {
            description: description.clone(),
            preparation,
            log: log.collect(),
            component: HEXLOWER.encode(&sha256(component)),
        }
    }

    /// Keeps it under this key.
    pub(crate) fn keep(&self, cache: &CompileCache, key: &Key) {
        if let Ok(text) = serde_json::to_vec(self) {
            cache.write(key, &[&text]);
        }
    }

    /// What is kept under this key.
    pub(crate) fn find(cache: &CompileCache, key: &Key) -> Option<Self> {
        let entry = cache.read(key)?;
        let configured = serde_json::from_slice(entry.content());
        configured.inspect_err(|error| cache.throw_away(key, &error.to_string())).ok()
    }

    /// The component that evaluations run, compiled for this engine; none where it has gone from the cache.
    pub(crate) fn component(
        &self,
        cache: &CompileCache,
        engine: &wasmtime::Engine,
    ) -> Option<Component> {
        let digest = HEXLOWER_PERMISSIVE.decode(self.component.as_bytes()).ok()?;
        find(cache, engine, &component_key(engine, &digest))
    }

    /// What the policy had to say to the operator.
    pub(crate) fn log(&self) -> Vec<LogLine> {
        let level =
            |level: &str| ["error", "warn", "info"].into_iter().find(|known| *known == level);
        let lines = self.log.iter();
        lines
            .map(|(name, text)| LogLine {
                level: level(name).unwrap_or("debug"),
                text: text.clone(),
            })
            .collect()
    }
}

/// Of what configuring depends on: `engines` are those that policies are configured and evaluated in.
pub(crate) fn configured_key(engines: [&wasmtime::Engine; 2], source: &PolicySource) -> Key {
    let mut key = KeyMaker::new("configured");
    engines.iter().for_each(|engine| key.compiled_for(engine));
    key.field(&sha256(&source.component));
    key.field(source.settings.as_bytes());
    // A policy that did not get along with less memory or time is not taken for one that would.
    key.field(&source.limits.memory_bytes.to_le_bytes());
    key.field(&source.limits.configure_deadline.as_nanos().to_le_bytes());
    for asset in &source.assets {
        key.field(asset.name.as_bytes());
        key.field(&sha256(&asset.content));
    }
    key.finish()
}

fn component_key(engine: &wasmtime::Engine, digest: &[u8]) -> Key {
    let mut key = KeyMaker::new("component");
    key.compiled_for(engine);
    key.field(digest);
    key.finish()
}

/// Makes a digest of fields, each with its length, so that no two lists of them look alike.
struct KeyMaker(Digest);

impl KeyMaker {
    fn new(kind: &str) -> Self {
        let mut maker = Self(Digest::new());
        for field in
            [kind, env!("PORTCULLIS_ENGINE_BUILD"), env!("CARGO_PKG_VERSION"), CONTRACT_VERSION]
        {
            maker.field(field.as_bytes());
        }
        maker
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn compiled_for(&mut self, engine: &wasmtime::Engine) {
        let mut hasher = AsHasher(Digest::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.field(&hasher.0.finish());
    }

    fn finish(self) -> Key {
        self.0.finish()
    }
}

/// Takes what wasmtime gives to hash, all of it: the 64 bits of a usual hasher are few for machine code.
struct AsHasher(Digest);

impl Hasher for AsHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is taken instead.
    fn finish(&self) -> u64 {
        0
    }
}
