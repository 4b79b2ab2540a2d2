//! What can be said on the command line.

mod ca;
mod policy;
mod renew;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use ca::{CaArguments, CaCommand, Crl, Init, Issue, Output, Renew, Revoke, Serve};
pub(crate) use policy::{
    BuildPolicy, InspectPolicy, JavaScriptEngine, NewPolicy, PolicyCommand, PolicyLanguage,
};

pub(crate) use renew::{RenewFiles, Renewing};

/// The gate in front of MCP servers: a client comes in only if its certificate satisfies every policy you chained
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How results are printed, on standard output
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) format: OutputFormat,
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
    /// Present a certificate for an MCP client that cannot: a stdio MCP server, or a local HTTP endpoint
    Connect(Connect),
    /// Run a private certification authority: for development, and for small installations
    Ca(CaArguments),
    /// Have a certificate renewed by its authority, in its files (EST, RFC 7030)
    Renew(RenewFiles),
    /// Run suites: cases that policies must pass, offline
    Test(Test),
    /// Make, build and inspect policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Judge recorded handshakes again, and say whom this configuration would lock out or let in
    Replay(Replay),
}

#[derive(Args, Clone, Debug)]
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
    /// The certificates that a client would present, leaf first: files in PEM, DER or PKCS #12. Or HOST:PORT, where a
    /// gate serves its metrics, for the handshake that it judged last (`metrics.last-handshake`)
    #[arg(required_unless_present = "recorded", value_name = "CERT|HOST:PORT")]
    pub(crate) certificates: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) setup: Setup,
    /// The time to judge at, as RFC 3339 (2026-11-24T12:00:00Z) or seconds since 1970; now by default, or when it was
    /// recorded
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    pub(crate) at: Option<i64>,
    /// The client's address; 127.0.0.1:0 by default, or what was recorded
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) peer: Option<SocketAddr>,
    /// The server name that the client asks for; none by default, or what was recorded
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// A file with the password of the PKCS #12 files; by default PORTCULLIS_PKCS12_PASSWORD, or none
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// A recording, or a folder of them: the last handshake of it that the options below allow
    #[arg(long, value_name = "FILE", conflicts_with = "certificates")]
    pub(crate) recorded: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which recorded handshake is meant.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Of --recorded: a policy named the client so
    #[arg(long, value_name = "NAME", requires = "recorded")]
    pub(crate) principal: Option<String>,
    /// Of --recorded: the serial number of the client's certificate, in hexadecimal
    #[arg(long, value_name = "HEX", requires = "recorded")]
    pub(crate) serial: Option<String>,
    /// Of --recorded: the client came from this address
    #[arg(long, value_name = "ADDRESS", requires = "recorded")]
    pub(crate) from: Option<IpAddr>,
}

#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// Recordings, or folders of them
    #[arg(required = true, value_name = "FILES")]
    pub(crate) recordings: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) setup: Setup,
    /// Succeed although records are damaged: whom they are about is then left out of the answer
    #[arg(long)]
    pub(crate) skip_damaged: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Connect {
    /// The MCP server behind the gate: https://HOST:PORT/NAME/mcp
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The client's certificate and the intermediates, PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Its key, PEM; in the certificate's file by default
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Take the certificate from a SPIFFE agent instead, for instance unix:/run/spire/agent/public/api.sock; without
    /// --cert, SPIFFE_ENDPOINT_SOCKET says where it is
    #[arg(long, value_name = "ADDRESS", conflicts_with = "cert")]
    pub(crate) workload_api: Option<String>,
    /// Let the agent be on another machine: the private key then comes over the network, which nothing encrypts
    #[arg(long, conflicts_with = "cert")]
    pub(crate) allow_key_over_network: bool,
    /// Which of the SVIDs that the agent gives; the first by default
    #[arg(long, value_name = "ID", conflicts_with_all = ["cert", "hint"])]
    pub(crate) spiffe_id: Option<String>,
    /// The same, by the hint that the agent's operator gave it
    #[arg(long, value_name = "HINT", conflicts_with = "cert")]
    pub(crate) hint: Option<String>,
    /// The CAs, PEM, that the gate's certificate is believed from; those of the system by default
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The SPIFFE ID that the gate's certificate must have, by the CAs that the SPIFFE agent gives; its host name is then
    /// not looked at
    #[arg(long, value_name = "ID", conflicts_with_all = ["ca", "cert", "server_name"])]
    pub(crate) gate_id: Option<String>,
    /// The name that the gate's certificate must have; the host in the URL by default
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// How long a message waits for a gate that cannot be reached
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub(crate) connect_timeout_ms: u64,
    #[command(flatten)]
    pub(crate) renewing: Renewing,
    /// Serve HTTP here instead of standard input and output: a loopback address, port 0 for a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Let --listen take any address: everybody who reaches it acts with this certificate
    #[arg(long, requires = "listen")]
    pub(crate) listen_beyond_loopback: bool,
    /// Let requests with this Origin in, for instance http://localhost:3000; may be repeated
    #[arg(long, value_name = "ORIGIN", requires = "listen")]
    pub(crate) allow_origin: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Test {
    /// Suites, and folders to search for `suite.toml` and `NAME.suite.toml`
    #[arg(default_value = ".", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Where the policies' components are, as NAME.wasm
    #[arg(long, default_value = "plugins", value_name = "DIR")]
    pub(crate) plugins: PathBuf,
    /// Only cases that have this text in their name
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// List the rejection codes and settings that no case exercised
    #[arg(long)]
    pub(crate) coverage: bool,
    /// As --coverage, and exit with 1 if there is one
    #[arg(long)]
    pub(crate) require_coverage: bool,
    /// Run again whenever a suite, a component or another file of a suite changes
    #[arg(long, conflicts_with = "update")]
    pub(crate) watch: bool,
    /// Write what was got into the suites as what is expected, after asking
    #[arg(long)]
    pub(crate) update: bool,
    /// Do not ask
    #[arg(long, requires = "update")]
    pub(crate) yes: bool,
}

impl Test {
    pub(crate) fn wants_coverage(&self) -> bool {
        self.coverage || self.require_coverage
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// JUnit's XML, of `test`
    Junit,
}

/// How every command can print its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl OutputFormat {
    /// For the commands that are no tests.
    pub(crate) fn without_junit(self) -> anyhow::Result<Format> {
        match self {
            Self::Text => Ok(Format::Text),
            Self::Json => Ok(Format::Json),
            Self::Junit => anyhow::bail!("`--format junit` is for `portcullis test`"),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}
