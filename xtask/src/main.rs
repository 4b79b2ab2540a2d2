//! `cargo xtask`: the subcommands live in modules of their own, this only chooses one.

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
    /// Build the policies of plugins/ as components into target/components.
    Components,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Components => xtask::components::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
