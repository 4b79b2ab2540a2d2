//! What `portcullis.toml` and suites have in common: chains of policies in TOML, how they are loaded, and how a mistake
//! in them is shown.
#![deny(missing_docs)]

mod chain;
mod document;
mod known;
mod load;
mod mistake;
pub mod time;
mod together;

pub use chain::{
    AnyGroup, AssetSource, ChainStep, FromWorkloadApi, MadeAsset, Mode, PolicySection, TrustBundles,
};
pub use document::{Document, read_bounded};
pub use known::KnownPolicies;
pub use load::{ChainSource, Layer, MEBIBYTE, load_chain};
pub use mistake::Mistake;
