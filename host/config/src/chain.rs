//! The shape of a chain and of its policies.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

/// One step: a policy's name, or a group of which one must accept.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a policy's name, or { any = [\"NAME\", …] }")]
pub enum ChainStep {
    /// A group.
    Any(AnyGroup),
    /// A policy.
    One(String),
}

impl ChainStep {
    /// The policies that it names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Any(group) => &group.any,
            Self::One(name) => std::slice::from_ref(name),
        }
    }
}

/// Policies of which one must accept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnyGroup {
    /// Their names.
    pub any: Vec<String>,
}

/// What is said of one policy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicySection {
    /// Default: `NAME.wasm` in the directory of `--plugins`.
    pub component: Option<Spanned<PathBuf>>,
    /// Given to the policy as JSON.
    #[serde(default)]
    pub settings: toml::Table,
    /// By the names that the policy has for them.
    #[serde(default)]
    pub assets: BTreeMap<String, Spanned<AssetSource>>,
    /// Default: enforce.
    pub mode: Option<Mode>,
    /// For one decision.
    pub deadline_ms: Option<u64>,
    /// For `describe` and `configure`, each.
    pub configure_deadline_ms: Option<u64>,
    /// Linear memory of one instance.
    pub memory_mib: Option<u32>,
}

/// Where an asset comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a file's path, { workload-api = \"own\" } or { workload-api = \"all\" }; in a suite also { certificates = [\"NAME\", …] } or { text = \"…\" }"
)]
pub enum AssetSource {
    /// A file.
    File(PathBuf),
    /// The SPIFFE Workload API.
    WorkloadApi(FromWorkloadApi),
    /// What a suite makes.
    Made(MadeAsset),
}

/// An asset that the SPIFFE Workload API gives.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FromWorkloadApi {
    /// Which.
    pub workload_api: TrustBundles,
}

/// The CAs of trust domains.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TrustBundles {
    /// Of the gate's own and of the federated ones.
    All,
    /// Of the gate's own.
    Own,
}

impl TrustBundles {
    /// As the file and the source spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Own => "own",
        }
    }
}

/// An asset that a suite makes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum MadeAsset {
    /// Certificates of the suite, by name, in PEM.
    Certificates(Vec<String>),
    /// Text with placeholders.
    Text(String),
}

/// Whether a policy decides.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is asked and recorded.
    Shadow,
}

impl Mode {
    /// As the file spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}
