//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The gate in front of MCP servers: a client comes in only if its certificate satisfies every policy you chained
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How results are printed, on standard output
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) format: Format,
    /// How the log is written, on standard error
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gate until it is interrupted
    Run(Setup),
    /// Load all that a run would, print the chain as it will be asked, and exit
    Check(Setup),
    /// Judge certificates offline, policy by policy
    Explain(Explain),
}

#[derive(Args, Debug)]
pub(crate) struct Setup {
    /// The configuration
    #[arg(long, short, default_value = "portcullis.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where the policies' components are, as NAME.wasm
    #[arg(long, default_value = "plugins", value_name = "DIR")]
    pub(crate) plugins: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The certificates that a client would present, leaf first: PEM, with any number in a file, or DER
    #[arg(required = true, value_name = "CERT")]
    pub(crate) certificates: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) setup: Setup,
    /// The time to judge at, as RFC 3339 (2026-11-24T12:00:00Z) or seconds since 1970; now by default
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    pub(crate) at: Option<i64>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) peer: SocketAddr,
    /// The server name that the client asks for
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}
