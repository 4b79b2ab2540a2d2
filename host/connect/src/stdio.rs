//! An MCP server on standard input and output that stands for one behind the gate.
//!
//! Both eras of the protocol are spoken, each message in the one that it belongs to: since 2026-07-28 every request
//! tells its revision and stands for itself; before, `initialize` opens a session.

mod answer;
mod bridge;
mod in_flight;
mod lines;
mod listener;
mod notify;
mod output;
mod request;
mod session;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::bridge::Bridge;
use crate::upstream::Upstream;

/// Messages that wait to be written. Whoever has one more waits.
const OUTPUT_QUEUE: usize = 16;
/// For the client to read what is left, at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The bounds of a bridge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// One message in either direction, in bytes. Default: 64 MiB.
    pub maximum_message_bytes: usize,
    /// All requests together that are not answered yet, in bytes. Default: 256 MiB.
    pub maximum_waiting_bytes: usize,
    /// Requests that are not answered yet. Of these so many are with the gate at a time as it takes from one session;
    /// the others wait for their turn. Default: 4096.
    pub maximum_waiting: usize,
    /// For the requests under way when the input ends. Default: 10 s.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            maximum_message_bytes: 64 * 1024 * 1024,
            maximum_waiting_bytes: 256 * 1024 * 1024,
            maximum_waiting: 4096,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves one client until its input ends, its output is closed, or `shutdown` is cancelled; then ends the session at
/// the gate.
///
/// # Errors
///
/// When the input cannot be read any more.
pub async fn serve(
    upstream: Arc<Upstream>,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    options: Options,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (sender, messages) = mpsc::channel(OUTPUT_QUEUE);
    let writer = tokio::spawn(output::write(output, messages));
    let bridge = Arc::new(Bridge::new(upstream, options, sender));
    let ended = bridge.read(input, &shutdown).await;
    bridge.finish(&shutdown).await;
    drop(bridge);
    // A client that reads no more is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, writer).await;
    ended
}
