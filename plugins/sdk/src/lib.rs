//! What a Portcullis policy written in Rust depends on.
//!
//! A policy is a WebAssembly component that judges a client's certificates during the TLS handshake. It implements
//! [`Policy`] and hands the type to [`export!`]:
//!
//! ```
//! use portcullis_guest::{Acceptance, Assets, Description, Handshake, Policy, Rejection, Verdict};
//!
//! /// Accepts clients whose leaf names one DNS name.
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct OneName {
//!     name: String,
//! }
//!
//! impl Policy for OneName {
//!     fn describe() -> Description {
//!         Description {
//!             name: "one-name".to_owned(),
//!             version: "0.1.0".to_owned(),
//!             summary: "The client's certificate carries the DNS name of the settings.".to_owned(),
//!             settings_schema: r#"{ "properties": { "name": { "type": "string" } } }"#.to_owned(),
//!             assets: Vec::new(),
//!             rejection_codes: vec!["not-the-name".to_owned()],
//!         }
//!     }
//!
//!     fn configure(settings: &str, _assets: &Assets) -> Result<Self, String> {
//!         portcullis_guest::settings::parse(settings).map_err(|error| error.to_string())
//!     }
//!
//!     fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
//!         let chain = handshake.chain();
//!         let leaf = chain.first().ok_or("the chain is empty")?;
//!         let named = leaf.subject_alt_names().iter().any(|san| san.kind == "dns" && san.text == self.name);
//!         Ok(match named {
//!             true => Verdict::Accept(Acceptance::default()),
//!             false => Verdict::Reject(Rejection::new("not-the-name", "the name is missing")),
//!         })
//!     }
//! }
//!
//! portcullis_guest::export!(OneName);
//! ```
//!
//! The crate must be a `cdylib`; `portcullis policy build` compiles it for `wasm32-unknown-unknown` and makes the component.
//! `portcullis policy new --language rust` makes a project that has all of this.
//!
//! Everything also compiles for the machine at hand, so that a rule can be unit-tested there. The functions of the host
//! exist only inside the gate: natively they panic when called. Keep the decision in a function of plain values, and the
//! calls of the host in thin glue.
#![deny(missing_docs)]

mod assets;
#[doc(hidden)] // for `export!`; what policies use of it is re-exported below
pub mod bindings;
pub mod log;
pub mod paths;
mod policy;
pub mod settings;
pub mod signatures;
#[cfg(feature = "testing")]
pub mod testing;
mod timestamp;
mod verdict;

pub use assets::{Assets, MissingAsset};
pub use bindings::portcullis::policy::certificates::{
    Certificate, NameAttribute, PublicKey, SubjectAltName, Timestamp,
};
pub use bindings::portcullis::policy::handshakes::{
    Acceptance, Asset, Attribute, Description, Handshake, Rejection, Verdict,
};
pub use bindings::portcullis::policy::revocation::{self, Answer as RevocationAnswer};
#[doc(hidden)] // for `export!`
pub use policy::Instance;
pub use policy::Policy;
pub use timestamp::to_text as timestamp_text;
