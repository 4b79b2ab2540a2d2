//! `cargo xtask`: the subcommands live in modules of their own, this only chooses one.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a developer of Portcullis runs.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure: ratios against a baseline of the same run
    Bench(xtask::bench::Arguments),
    /// Build the policies of plugins/ into target/components, and those of examples/ into target/components/examples
    Components,
    /// Play clients of every kind against a gate, and keep it running to try
    Demo {
        /// Stop at the end, and fail unless every client fared as it must
        #[arg(long)]
        check: bool,
    },
    /// Fuzz what faces the network or an operator's files, each target from its kept corpus
    Fuzz {
        /// One target of `tests/fuzz/targets`; all by default
        target: Option<String>,
        /// How long each target runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Prepare what the tests need, and run them all
    Test {
        /// Further arguments for `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => xtask::bench::run(&arguments),
        Command::Components => xtask::components::run(),
        Command::Demo { check } => xtask::demo::run(check),
        Command::Fuzz { target, seconds } => xtask::fuzz::run(target.as_deref(), seconds),
        Command::Test { arguments } => xtask::test::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
