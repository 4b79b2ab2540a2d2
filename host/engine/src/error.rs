//! What keeps a policy from being loaded.

use std::borrow::Cow;

use crate::load::MAXIMUM_ASSET_BYTES;
use crate::world::{CONTRACT_VERSION, MAXIMUM_COMPONENT_BYTES, PACKAGE};

/// Why a policy could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// An asset is larger than 16 MiB.
    #[error(
        "policy `{policy}`: asset `{asset}` has {bytes} bytes, more than {MAXIMUM_ASSET_BYTES}"
    )]
    AssetTooLarge {
        /// The policy's name.
        policy: String,
        /// The asset's name.
        asset: String,
        /// Its size.
        bytes: usize,
    },
    /// The component uses the component model's async functions, which policies have not.
    #[error(
        "policy `{policy}`: the component is built for async functions, and a policy's are not; build it with `--sync` \
         (componentize-qjs)"
    )]
    Async {
        /// The policy's name.
        policy: String,
    },
    /// The policy does not take its settings or an asset.
    #[error("policy `{policy}` does not take its configuration: {detail}")]
    Configure {
        /// The policy's name.
        policy: String,
        /// What it says.
        detail: String,
    },
    /// The component is larger than 64 MiB.
    #[error(
        "policy `{policy}`: the component has {bytes} bytes, more than {MAXIMUM_COMPONENT_BYTES}"
    )]
    ComponentTooLarge {
        /// The policy's name.
        policy: String,
        /// Its size.
        bytes: usize,
    },
    /// A call trapped, ran out of time or ran out of memory.
    #[error("policy `{policy}` failed in `{function}`: {detail}")]
    Failed {
        /// The policy's name.
        policy: String,
        /// `describe` or `configure`.
        function: &'static str,
        /// How, for people.
        detail: String,
    },
    /// Not a valid component.
    #[error(
        "policy `{policy}`: not a valid WebAssembly component; the file may be damaged or truncated"
    )]
    Invalid {
        /// The policy's name.
        policy: String,
        /// What wasmtime says.
        #[source]
        source: wasmtime::Error,
    },
    /// The policy needs an asset that nobody named.
    #[error("policy `{policy}` needs the asset `{asset}`; name its file under `assets`")]
    MissingAsset {
        /// The policy's name.
        policy: String,
        /// The asset's name.
        asset: String,
    },
    /// An export of the contract is missing.
    #[error(
        "policy `{policy}`: the component does not export `{export}`, so it is not of the world \
         `{PACKAGE}/policy@{CONTRACT_VERSION}`"
    )]
    MissingExport {
        /// The policy's name.
        policy: String,
        /// The export's name.
        export: String,
    },
    /// Built for another version of the contract.
    #[error(
        "policy `{policy}` imports `{import}`, and this host has `{PACKAGE}@{CONTRACT_VERSION}`; build the policy \
         for that version, or update the host"
    )]
    OtherContract {
        /// The policy's name.
        policy: String,
        /// The import's name.
        import: String,
    },
    /// Something else than a component.
    #[error("policy `{policy}`: {what}; a policy is a WebAssembly component")]
    NotAComponent {
        /// The policy's name.
        policy: String,
        /// What it is.
        what: &'static str,
    },
    /// The JSON Schema that the policy gives for its settings cannot be used.
    #[error("policy `{policy}` describes its settings with an unusable JSON Schema: {detail}")]
    Schema {
        /// The policy's name.
        policy: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A setting is not what the policy's schema allows.
    #[error("policy `{policy}`: setting `{key}`: {problem}")]
    Setting {
        /// The policy's name.
        policy: String,
        /// The setting, as a path with dots; empty for the settings as a whole.
        key: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// An import that no policy gets.
    #[error("policy `{policy}` imports `{import}`, which no policy gets: {why}")]
    UnknownImport {
        /// The policy's name.
        policy: String,
        /// The import's name.
        import: String,
        /// Why not, and the way out.
        why: Cow<'static, str>,
    },
    /// An asset that the policy does not take.
    #[error("policy `{policy}` takes no asset `{asset}`; it takes {}", list(.known))]
    UnknownAsset {
        /// The policy's name.
        policy: String,
        /// The asset's name.
        asset: String,
        /// Those that it takes.
        known: Vec<String>,
    },
    /// An import or export has another type than the contract says, or exceeds what a component may consist of.
    #[error("policy `{policy}` does not fit the world `{PACKAGE}/policy@{CONTRACT_VERSION}`")]
    WrongType {
        /// The policy's name.
        policy: String,
        /// What wasmtime says.
        #[source]
        source: wasmtime::Error,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
}
