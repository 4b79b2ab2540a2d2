//! How the process is told to end, and to load everything again.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::systemd;

/// A token that the first SIGINT or SIGTERM cancels; the second one ends the process at once.
pub(crate) fn shutdown() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        for attempt in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if attempt > 0 {
                tracing::warn!("interrupted again, ending at once");
                std::process::exit(130);
            }
            tracing::info!("shutting down");
            systemd::stopping();
            shutdown.cancel();
        }
    });
    Ok(token)
}

/// SIGHUP, which ends a process that does not watch for it.
pub(crate) fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("cannot watch for SIGHUP")
}
