//! Policies in, verdicts out: certificates are judged by sandboxed WebAssembly components.
//!
//! Knows wasmtime and certificates (by `portcullis-core`, all of which it passes on); no sockets, no TLS configuration, no MCP.
#![deny(missing_docs)]

mod bindings;
mod chain;
mod crypto;
mod engine;
mod error;
mod host;
mod limits;
mod load;
mod log;
mod policy;
mod settings;

pub use chain::{Chain, ChainError, Member, Step};
pub use engine::{Engine, EngineError, EngineOptions, Metering, PagemapScan};
pub use error::LoadError;
pub use limits::PolicyLimits;
pub use load::{Asset, CONTRACT_VERSION, Description, PolicySource, Preparation};
pub use policy::Policy;
pub use portcullis_core::*;
