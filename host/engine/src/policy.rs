//! One policy: loaded once, evaluated in a fresh instance each time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use portcullis_core::{
    Attribute, Handshake, Outcome, PolicyReport, Revocation, Timestamp, printable, sha256,
};
use wasmtime::Trap;

use crate::bindings::handshakes;
use crate::engine::Engine;
use crate::error::LoadError;
use crate::limits::PolicyLimits;
use crate::load::{self, Asset, Description, Loaded, PolicySource, Preparation};
use crate::log;

/// The limits of the contract (`wit/handshakes.wit`), in bytes and in number.
const MAXIMUM_PRINCIPAL_BYTES: usize = 2048;
const MAXIMUM_ATTRIBUTES: usize = 64;
const MAXIMUM_ATTRIBUTE_NAME_BYTES: usize = 128;
const MAXIMUM_ATTRIBUTE_VALUE_BYTES: usize = 4096;
const MAXIMUM_CODE_BYTES: usize = 64;
const MAXIMUM_DETAIL_BYTES: usize = 1024;

/// A policy, configured and compiled.
pub struct Policy {
    engine: Engine,
    name: String,
    limits: PolicyLimits,
    digest: String,
    settings_sha256: String,
    assets: Vec<AssetDigest>,
    loaded: Loaded,
}

/// Which file a policy was configured with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AssetDigest {
    /// The name under which the policy takes it.
    pub name: String,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl Policy {
    /// Compiles the component, checks it against the contract, configures it and keeps the memory that it leaves.
    ///
    /// Takes some 100 ms for a policy in Rust and seconds for one that brings an interpreter.
    ///
    /// # Errors
    ///
    /// When the component is not one that this host can run, or does not take its settings and assets.
    pub fn load(engine: &Engine, source: PolicySource) -> Result<Self, LoadError> {
        let loaded = load::load(engine, &source)?;
        Ok(Self {
            engine: engine.clone(),
            digest: hexadecimal(&source.component),
            settings_sha256: hexadecimal(source.settings.as_bytes()),
            assets: asset_digests(&source),
            name: source.name,
            limits: source.limits,
            loaded,
        })
    }

    /// Whether loading this source would give the same policy.
    #[must_use]
    pub fn is_made_from(&self, engine: &Engine, source: &PolicySource) -> bool {
        self.engine.is_same(engine)
            && self.name == source.name
            && self.limits == source.limits
            && self.settings_sha256 == hexadecimal(source.settings.as_bytes())
            && self.assets == asset_digests(source)
            && self.digest == hexadecimal(&source.component)
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the component, in lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// SHA-256 of its settings, as the text that it was given, in lower-case hexadecimal.
    #[must_use]
    pub fn settings_sha256(&self) -> &str {
        &self.settings_sha256
    }

    /// The digests of its assets, in the order in which it was given them.
    #[must_use]
    pub fn assets(&self) -> &[AssetDigest] {
        &self.assets
    }

    /// What it says that it is and takes.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.loaded.description
    }

    /// How it comes by its configured state at each evaluation.
    #[must_use]
    pub fn preparation(&self) -> Preparation {
        self.loaded.instances.preparation()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Judges one handshake in an instance of its own.
    pub(crate) fn evaluate(
        &self,
        handshake: &Arc<Handshake>,
        attributes: &[Attribute],
        revocation: &Arc<dyn Revocation>,
        shadow: bool,
    ) -> PolicyReport {
        let start = Instant::now();
        let limits = &self.limits;
        let (mut store, world) = self.loaded.instances.take(limits);
        let result = match world {
            Ok(Ok(world)) => {
                let state = store.data_mut();
                state
                    .give_handshake(handshake, attributes, revocation, self.engine.signatures())
                    .and_then(|handshake| world.call_evaluate(&mut store, handshake))
            }
            Ok(Err(detail)) => Ok(Err(detail)),
            Err(error) => Err(error),
        };
        let outcome = match result {
            Ok(Ok(verdict)) => checked(verdict, handshake.time),
            Ok(Err(detail)) => failed("policy-failed", &detail),
            Err(error) => failure(&error, store.data().memory.denied(), limits.deadline),
        };
        let mut state = store.into_data();
        let lines = state.log.take();
        log::forward(&self.name, &lines);
        PolicyReport {
            policy: self.name.clone(),
            digest: self.digest.clone(),
            shadow,
            outcome,
            memory_bytes: u64::try_from(state.memory.used()).unwrap_or(u64::MAX),
            revocation: state.revocation_checks,
            log: lines,
            elapsed: start.elapsed(),
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Holds a verdict to the limits of the contract: a policy that breaks them could not judge.
fn checked(verdict: handshakes::Verdict, now: Timestamp) -> Outcome {
    match verdict {
        handshakes::Verdict::Accept(acceptance) => match fault(&acceptance, now) {
            Some(fault) => failed("policy-failed", fault),
            None => Outcome::Accepted {
                principal: acceptance.principal,
                attributes: acceptance
                    .attributes
                    .into_iter()
                    .map(|attribute| Attribute { name: attribute.name, value: attribute.value })
                    .collect(),
                valid_until: acceptance.valid_until,
            },
        },
        handshakes::Verdict::Reject(rejection) if is_code(&rejection.code) => Outcome::Rejected {
            code: rejection.code,
            detail: printable(&rejection.detail, MAXIMUM_DETAIL_BYTES),
        },
        handshakes::Verdict::Reject(_) => failed(
            "policy-failed",
            "the rejection code is not lower-case letters, digits and hyphens",
        ),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha256(bytes))
}

fn asset_digests(source: &PolicySource) -> Vec<AssetDigest> {
    let digest = |asset: &Asset| AssetDigest {
        name: asset.name.clone(),
        sha256: hexadecimal(&asset.content),
    };
    source.assets.iter().map(digest).collect()
}

fn fault(acceptance: &handshakes::Acceptance, now: Timestamp) -> Option<&'static str> {
    let principal = acceptance.principal.as_deref();
    if principal.is_some_and(|name| name.is_empty() || name.len() > MAXIMUM_PRINCIPAL_BYTES) {
        return Some("the principal is empty or has more than 2,048 bytes");
    }
    if acceptance.attributes.len() > MAXIMUM_ATTRIBUTES {
        return Some("there are more than 64 attributes");
    }
    if acceptance.attributes.iter().any(|attribute| {
        attribute.name.len() > MAXIMUM_ATTRIBUTE_NAME_BYTES
            || attribute.value.len() > MAXIMUM_ATTRIBUTE_VALUE_BYTES
    }) {
        return Some(
            "an attribute has a name of more than 128 bytes or a value of more than 4,096",
        );
    }
    if acceptance.valid_until.is_some_and(|until| until <= now) {
        return Some("the acceptance is valid until a time that is already over");
    }
    None
}

fn is_code(code: &str) -> bool {
    (1..=MAXIMUM_CODE_BYTES).contains(&code.len())
        && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn failure(error: &wasmtime::Error, memory_denied: bool, deadline: Duration) -> Outcome {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            failed("policy-timeout", &format!("cut after its deadline of {deadline:?}"))
        }
        Some(Trap::OutOfFuel) => {
            failed("policy-timeout", &format!("cut after the work of its deadline of {deadline:?}"))
        }
        // A guest that is denied memory mostly aborts, which shows as a trap of its own.
        _ if memory_denied => failed("policy-memory", "wanted more memory than its limit"),
        _ => failed("policy-trapped", &format!("{error:#}")),
    }
}

fn failed(code: &'static str, detail: &str) -> Outcome {
    Outcome::Failed { code, detail: printable(detail, MAXIMUM_DETAIL_BYTES) }
}
