//! `portcullis connect`: started, spoken to line by line, ended.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::gate::{Gate, binary};
use crate::pki::Identity;

/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client without a certificate runs instead of connecting: the program, then its arguments.
#[must_use]
pub fn command(gate: &Gate, path: &str, identity: &Identity) -> Vec<String> {
    let url = format!("https://{}{path}", gate.address());
    let file = |path: &Path| path.display().to_string();
    [
        &file(&binary()),
        "connect",
        &url,
        "--cert",
        &file(&identity.chain),
        "--key",
        &file(&identity.key),
        "--ca",
        &file(&gate.setup().ca()),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A running `portcullis connect` in the hands of a client. Ends when dropped.
pub struct Connected {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Connected {
    /// Runs a command, with standard input and output for messages.
    #[must_use]
    pub fn start(command: &[String]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .env_remove("PORTCULLIS_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Whoever stopped listening misses nothing.
                let _ = sender.send(line);
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self { child, stdin, lines, errors: Some(errors) }
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        stdin.flush().expect("it reads");
    }

    /// The next line, as it stands.
    #[must_use]
    pub fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("another line")
    }

    /// The next message.
    #[must_use]
    pub fn next(&self) -> Value {
        let line = self.next_line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
    }

    /// Requests something, and gives the answer.
    #[must_use]
    pub fn call(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.say(&request(id, method, params));
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }

    /// Opens a session, as clients before 2026-07-28 do.
    #[must_use]
    pub fn initialize(&mut self) -> Value {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "elicitation": {}, "sampling": {} },
            "clientInfo": { "name": "portcullis-tests", "version": "1.0.0" },
        });
        let answer = self.call(0, "initialize", &params);
        self.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    /// Sends no more, and waits until it has ended: how, what it still said, and what it wrote to standard error.
    #[must_use]
    pub fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        drop(self.stdin.take());
        let errors = self.errors.take().expect("not ended yet").join().expect("text");
        let status = self.child.wait().expect("it ends");
        (status, self.lines.iter().collect(), errors)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind, and one that passes has no more use for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request, as a line.
#[must_use]
pub fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// A request's parameters, as clients since 2026-07-28 send them.
#[must_use]
pub fn newest(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "portcullis-tests", "version": "1.0.0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}
