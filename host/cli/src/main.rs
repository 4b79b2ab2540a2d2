//! The binary: arguments, configuration, wiring, reports.

mod alerts;
mod arguments;
mod cache;
mod command;
mod config;
mod exit;
mod expiry;
mod json_lines;
mod load;
mod logging;
mod metrics;
mod password;
mod policies;
mod recording;
mod reload;
mod report;
mod revocation;
mod servers;
mod signals;
mod systemd;
mod time;
mod wiring;
mod workload;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, OutputFormat};
use crate::command::{ca, check, connect, explain, policy, renew, replay, run, test};
use crate::exit::Exit;
use portcullis_config::Mistake;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let directives = match &arguments.command {
        // What policies log of thousands of handshakes was logged when they came.
        Command::Replay(_) => "info,portcullis::policy=off",
        // It is in the report, of the cases that failed.
        Command::Test(_) => "info,portcullis::policy=off",
        _ => "info",
    };
    logging::start(arguments.log_format, directives);
    match execute(&arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            report_error(&error, arguments.format);
            ExitCode::from(2)
        }
    }
}

fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let format = arguments.format;
    match &arguments.command {
        Command::Run(setup) => run::run(setup, format.without_junit()?),
        Command::Check(setup) => check::check(setup, format.without_junit()?),
        Command::Explain(explain) => explain::explain(explain, format.without_junit()?),
        Command::Connect(arguments) => connect::connect(arguments, format.without_junit()?),
        Command::Policy(command) => policy::policy(command, format.without_junit()?),
        Command::Replay(replay) => replay::replay(replay, format.without_junit()?),
        Command::Renew(arguments) => renew::renew(arguments, format.without_junit()?),
        Command::Ca(arguments) => ca::ca(arguments, format.without_junit()?),
        Command::Test(test) => test::test(test, format),
    }
}

/// The error and its causes, on standard error; as JSON on standard output as well where results are JSON.
fn report_error(error: &anyhow::Error, format: OutputFormat) {
    eprintln!("error: {error:#}");
    if format == OutputFormat::Json {
        let mistake = error.downcast_ref::<Mistake>();
        let object = match mistake {
            Some(mistake) => serde_json::json!({ "error": mistake }),
            None => serde_json::json!({ "error": { "problem": format!("{error:#}") } }),
        };
        // Standard error has it already.
        let _ = report::json(&object);
    }
}
