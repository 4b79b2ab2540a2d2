//! A policy's project: made from a template, built into a component.
//!
//! [`create`] writes the files of a new project, [`Project`] is one that exists. What builds policies in Rust, [`rust`], is
//! of use to this repository's own policies too. Knows compilers and the contract's WIT; no engine.
#![deny(missing_docs)]

mod create;
mod encode;
mod error;
mod javascript;
mod name;
mod output;
mod project;
mod python;
pub mod rust;
mod sdk;
mod template;
mod tool;
pub mod toolchain;
mod wit;

pub use create::create;
pub use error::ProjectError;
pub use javascript::Engine;
pub use name::PolicyName;
pub use project::{Language, Project};
