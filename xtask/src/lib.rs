//! What a developer of Portcullis runs, one module per subcommand of `cargo xtask`.
//!
//! It is a library too: tests find by it what it prepares for them.

pub mod bench;
mod build;
pub mod chart;
pub mod components;
pub mod demo;
pub mod figures;
pub mod fuzz;
pub mod peers;
pub mod s_client;
pub mod test;
