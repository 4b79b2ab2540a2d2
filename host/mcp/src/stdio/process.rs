//! The process of a session: started, written to, read from, ended.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use crate::caller::Caller;
use crate::identity;
use crate::line::{Line as Message, Next};
use crate::message::Kind;
use crate::options::{ResourceLimits, SessionLimits, StdioServer};
use crate::reply;
use crate::sse::Event;

/// Inherited from the gate. The official SDKs pass a similar list to the servers that they start.
const INHERITED: [&str; 9] =
    ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
/// Of standard output, at a time: as much as a pipe holds.
const OUTPUT_BYTES: usize = 64 * 1024;
/// The target of what a server writes to standard error.
const LOG: &str = "portcullis::server";
/// One line of a server's log, in bytes, as far as it is taken over.
const LOG_LINE_BYTES: usize = 1000;
/// For the output of processes that survive their parent, outside its group.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(1);

/// A process and the ends of its pipes.
pub(crate) struct Process {
    child: Child,
    group: Group,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// All processes of a session, killed when it is dropped.
struct Group(Option<Pid>);

/// Starts a server's command in a process group of its own, for a session of this caller's.
pub(crate) fn start(server: &StdioServer, caller: &Caller) -> io::Result<Process> {
    let (program, arguments) =
        server.command.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(inherited).envs(&server.environment);
    if server.forward_principal {
        command.envs(identity::environment(caller));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    if let Some(directory) = &server.working_directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn()?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let group = Group(pid);
    if let Some(pid) = pid {
        limit(pid, &server.resources)?;
    }
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => {
            Ok(Process { child, group, stdin, stdout, stderr })
        }
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// What the process starts has the same limits.
fn limit(pid: Pid, resources: &ResourceLimits) -> io::Result<()> {
    let limits = [
        (Resource::As, resources.address_space_bytes),
        (Resource::Cpu, resources.cpu_seconds),
        (Resource::Nofile, resources.open_files),
    ];
    for (resource, maximum) in limits {
        if maximum.is_some() {
            prlimit(Some(pid), resource, Rlimit { current: maximum, maximum })?;
        }
    }
    Ok(())
}

impl Process {
    /// Serves a session until it ends, and ends it when the process does.
    pub(crate) async fn serve(
        self,
        server: &StdioServer,
        session: &Session,
        inbox: mpsc::Receiver<Bytes>,
    ) {
        let killed = CancellationToken::new();
        let reading = async {
            let output = BufReader::with_capacity(OUTPUT_BYTES, self.stdout);
            let end = read(output, session, server.limits.maximum_message_bytes).await;
            tracing::debug!(server = server.name, end, "a session with a stdio server ends");
            session.claim.end();
            fail_requests(session, &server.name);
        };
        let supervising = async {
            supervise(self.child, self.group, session, &server.limits).await;
            killed.cancel();
        };
        let logging = log(BufReader::new(self.stderr), &server.name);
        let writing = write(self.stdin, session, inbox);
        tokio::select! {
            _ = async { tokio::join!(reading, supervising, logging, writing) } => {}
            // Processes that left the group may hold the pipes open for ever.
            () = async {
                killed.cancelled().await;
                tokio::time::sleep(LEFTOVER_TIMEOUT).await;
            } => fail_requests(session, &server.name),
        }
    }
}

/// Waits for the first reason to end, and ends the process: first by closing its standard input, as MCP asks, then by
/// force.
async fn supervise(mut child: Child, group: Group, session: &Session, limits: &SessionLimits) {
    tokio::select! {
        () = session.claim.ended.cancelled() => {}
        _ = child.wait() => {}
        () = session.claim.usage.idle_for(limits.idle_timeout) => {}
    }
    session.claim.end();
    let _ = tokio::time::timeout(limits.stop_timeout, child.wait()).await;
    drop(group);
    if let Err(error) = child.wait().await {
        tracing::warn!(%error, "a stdio server could not be waited for");
    }
}

/// Writes one message a line. Ends with the session; dropping standard input is what the process notices.
async fn write(
    mut stdin: impl AsyncWrite + Unpin,
    session: &Session,
    mut inbox: mpsc::Receiver<Bytes>,
) {
    let writing = async {
        while let Some(line) = inbox.recv().await {
            let written = async {
                stdin.write_all(&line).await?;
                stdin.write_all(b"\n").await?;
                stdin.flush().await
            };
            if written.await.is_err() {
                // It reads no more. What it still writes is read to its end.
                return;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = session.claim.ended.cancelled() => {}
    }
}

/// Delivers what the process writes. Gives the reason why there is no more.
async fn read(
    mut output: impl AsyncBufRead + Unpin,
    session: &Session,
    maximum_bytes: usize,
) -> &'static str {
    loop {
        let line = match Next::read(&mut output, maximum_bytes).await {
            Ok(Next::Line(line)) => line,
            Ok(Next::TooLong) => return "it wrote a message that is too long",
            Ok(Next::End) => return "it closed its standard output",
            Err(_) => return "its standard output could not be read",
        };
        let (kind, line) = match line.parse().await {
            Ok(Ok(message)) => message,
            Ok(Err(reason)) => {
                tracing::debug!(%reason, "a stdio server wrote a line that is no message: left out");
                continue;
            }
            Err(_) => return "a long message could not be kept in a file",
        };
        if session.deliver(&kind, line).await {
            continue;
        }
        tracing::debug!("a message of a stdio server was left out: no client takes it");
        if let Kind::Request { id, .. } = &kind {
            let answer = "no client listens: open a GET stream in this session";
            session.try_send(reply::error_message(Some(id), reply::REFUSED, answer));
        }
    }
}

/// Gives every request that waits an error for its answer.
fn fail_requests(session: &Session, name: &str) {
    for (id, stream) in session.router.close() {
        let text =
            format!("the server `{name}` ended before it answered: initialize a new session");
        // Without room the client gets the end of its stream, and no answer.
        let error = reply::error_message(Some(&id), reply::INTERNAL_ERROR, &text);
        let _ = stream.try_send(Event { id: None, line: Message::Short(error) });
    }
}

/// Takes over what the process writes to standard error, as text that cannot pretend to be another log line.
async fn log(mut errors: impl AsyncBufRead + Unpin, name: &str) {
    loop {
        match read_line(&mut errors, LOG_LINE_BYTES).await {
            Ok(Line::Complete(line)) => {
                let text = String::from_utf8_lossy(&line);
                tracing::info!(target: LOG, server = name, "{}", text.trim_end().escape_debug());
            }
            Ok(Line::TooLong) => {
                tracing::info!(target: LOG, server = name, "a line of more than {LOG_LINE_BYTES} bytes");
                if skip_line(&mut errors).await.is_err() {
                    return;
                }
            }
            Ok(Line::End) | Err(_) => return,
        }
    }
}

enum Line {
    Complete(Vec<u8>),
    End,
    TooLong,
}

/// Reads to the next line break or the end, and never more than the maximum into memory.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), maximum: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    let limit = u64::try_from(maximum).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_until(b'\n', &mut line).await?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > maximum {
        return Ok(Line::TooLong);
    } else if line.is_empty() {
        return Ok(Line::End);
    }
    Ok(Line::Complete(line))
}

async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (skipped, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), false),
        };
        reader.consume(skipped);
        if done {
            return Ok(());
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Before the leader is waited for, or at once after: the number is not another group's yet.
        if let Some(leader) = self.0.take() {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(mut text: &[u8], maximum: usize) -> Vec<Option<String>> {
        let mut lines = Vec::new();
        loop {
            match read_line(&mut text, maximum).await.unwrap() {
                Line::Complete(line) => lines.push(Some(String::from_utf8(line).unwrap())),
                Line::TooLong => {
                    lines.push(None);
                    skip_line(&mut text).await.unwrap();
                }
                Line::End => return lines,
            }
        }
    }

    #[tokio::test]
    async fn lines_are_read_up_to_a_maximum() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            lines(b"a\n\nabc\nabcd\nab", 3).await,
            [some("a"), some(""), some("abc"), None, some("ab")]
        );
        assert_eq!(lines(b"", 3).await, []);
    }
}
