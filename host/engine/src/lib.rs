//! Policies in, verdicts out: certificates are judged by sandboxed WebAssembly components.
//!
//! Knows wasmtime and certificates (by `portcullis-core`, all of which it passes on); no sockets, no TLS configuration, no MCP.
#![deny(missing_docs)]

mod bindings;
mod cache;
mod chain;
mod crypto;
mod engine;
mod error;
mod host;
mod inspect;
mod instances;
mod kept;
mod limits;
mod load;
mod log;
mod policy;
mod settings;
mod signatures;
mod wasi;
mod world;

pub use cache::{CacheError, CompileCache};
pub use chain::{Chain, ChainError, Member, Step};
pub use engine::{Engine, EngineError, EngineOptions, Metering, PagemapScan};
pub use error::LoadError;
pub use inspect::{Import, Inspection, inspect};
pub use limits::PolicyLimits;
pub use load::{Asset, Description, PolicySource, Preparation};
pub use policy::{AssetDigest, Policy};
pub use portcullis_core::*;
pub use world::{CONTRACT_VERSION, ImportStatus};
