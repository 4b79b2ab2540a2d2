//! `portcullis policy …`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use portcullis_project::{PolicyName, toolchain};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Make a project of a policy that builds and passes its own suite
    New(NewPolicy),
    /// Build the component of a project, as dist/NAME.wasm
    Build(BuildPolicy),
    /// Show what a component imports and whether a policy gets it, what it says of itself, and how it would run
    Inspect(InspectPolicy),
}

#[derive(Args, Debug)]
pub(crate) struct NewPolicy {
    /// The policy's name, and that of the folder that is made: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub(crate) name: PolicyName,
    /// What it is to be written in
    #[arg(long, value_enum)]
    pub(crate) language: PolicyLanguage,
    /// The JavaScript engine that the component brings; quickjs by default
    #[arg(long, value_enum)]
    pub(crate) engine: Option<JavaScriptEngine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyLanguage {
    /// With componentize-qjs or componentize-js, from npm
    #[value(name = "javascript")]
    JavaScript,
    /// With componentize-py, from PyPI
    Python,
    /// With cargo, and the SDK that comes with the project
    Rust,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JavaScriptEngine {
    /// 1.6 MB, the quicker to start
    #[value(name = "quickjs")]
    QuickJs,
    /// 12 MB, with more of what browsers have
    #[value(name = "starlingmonkey")]
    StarlingMonkey,
}

#[derive(Args, Debug)]
pub(crate) struct BuildPolicy {
    /// The project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
    /// Where the component goes; dist/NAME.wasm of the project by default
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How to compile Rust for wasm32-unknown-unknown; by default as PORTCULLIS_WASM_TOOLCHAIN says, or the first way that
    /// leads somewhere
    #[arg(long, value_parser = PossibleValuesParser::new(toolchain::WAYS))]
    pub(crate) toolchain: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct InspectPolicy {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) component: PathBuf,
}
