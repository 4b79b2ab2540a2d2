//! What a developer of Portcullis runs, one module per subcommand of `cargo xtask`.
//!
//! It is a library too, so that tests can build the guest components that they need: [`components::build`].

pub mod bench;
mod build;
pub mod components;
pub mod demo;
pub mod fuzz;
pub mod peers;
pub mod s_client;
pub mod test;
