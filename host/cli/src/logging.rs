//! The log, on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;

use crate::arguments::LogFormat;
use crate::json_lines::JsonLines;

/// rmcp logs session ids at `info` and messages at `trace`, and hyper warns of what a peer can cause: only a directive
/// that names one of them brings that about.
const ALWAYS: &str = "rmcp=warn,hyper=error";

/// Starts logging. `PORTCULLIS_LOG` takes the directives of tracing-subscriber's `EnvFilter`, in place of these.
pub(crate) fn start(format: LogFormat, default_directives: &str) {
    let directives =
        std::env::var("PORTCULLIS_LOG").unwrap_or_else(|_| default_directives.to_owned());
    let filter = EnvFilter::new(format!("{ALWAYS},{directives}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Json => {
            builder.event_format(JsonLines::new()).fmt_fields(JsonFields::new()).init();
        }
        LogFormat::Text => {
            let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colours).init();
        }
    }
}
