//! Whom to tell besides the log.

mod command;
mod queue;
mod webhook;

pub use command::CommandHook;
pub(crate) use queue::Queue;
pub use webhook::{Retries, Webhook, WebhookError};

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

/// Whom to tell.
#[derive(Debug)]
pub enum Hook {
    /// A program, which reads the alert from its standard input.
    Command(CommandHook),
    /// A URL, to which the alert is posted.
    Webhook(Box<Webhook>),
}

/// Why a hook did not take an alert. A webhook's URL may be a secret and is in none of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The server cannot be reached, or broke off.
    #[error("the webhook's server did not answer")]
    Connection(#[source] hyper_util::client::legacy::Error),
    /// The command ended otherwise than with 0.
    #[error("the command ended with {0}")]
    Exit(ExitStatus),
    /// The request cannot be written.
    #[error("the webhook's request cannot be made")]
    Request(#[source] http::Error),
    /// The command cannot be started or spoken to.
    #[error("the command `{program}` cannot be run")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The server answered with another status than one of 200 to 299.
    #[error("the webhook's server answered with HTTP status {0}")]
    Status(StatusCode),
    /// It took too long.
    #[error("it took longer than {} ms", .0.as_millis())]
    Timeout(Duration),
}

impl Hook {
    fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Webhook(_) => "webhook",
        }
    }

    async fn deliver(&self, alert: &Bytes) -> Result<(), HookError> {
        match self {
            Self::Command(command) => command.run(alert).await,
            Self::Webhook(webhook) => webhook.post(alert).await,
        }
    }
}
