//! The binary: arguments, configuration, wiring, reports.

mod arguments;
mod command;
mod config;
mod diagnosis;
mod exit;
mod logging;
mod metrics;
mod policies;
mod report;
mod revocation;
mod servers;
mod signals;
mod time;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, Format};
use crate::command::{check, connect, explain, run};
use crate::diagnosis::Mistake;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(arguments.log_format);
    let format = arguments.format;
    let result = match &arguments.command {
        Command::Run(setup) => run::run(setup, format),
        Command::Check(setup) => check::check(setup, format),
        Command::Explain(explain) => explain::explain(explain, format),
        Command::Connect(arguments) => connect::connect(arguments, format),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            report_error(&error, format);
            ExitCode::from(2)
        }
    }
}

/// The error and its causes, on standard error; as JSON on standard output as well where results are JSON.
fn report_error(error: &anyhow::Error, format: Format) {
    eprintln!("error: {error:#}");
    if format == Format::Json {
        let mistake = error.downcast_ref::<Mistake>();
        let object = match mistake {
            Some(mistake) => serde_json::json!({ "error": mistake }),
            None => serde_json::json!({ "error": { "problem": format!("{error:#}") } }),
        };
        // Standard error has it already.
        let _ = report::json(&object);
    }
}
