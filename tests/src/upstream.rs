//! MCP servers that others wrote, for a gate to stand in front of.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::client::{peers, script};

/// A server that can be had over its standard input and output, and over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// npm's `@modelcontextprotocol/server-everything`.
    Everything,
    /// `tests/peers/server.py`, of the PyPI package `mcp` 1.
    Python,
}

impl Server {
    /// The command, as a list in TOML, that speaks over standard input and output.
    #[must_use]
    pub fn command(self) -> String {
        let peers = peers();
        match self {
            Self::Everything => {
                format!("[{:?}, {:?}]", peers.node(), peers.script("mcp-server-everything"))
            }
            Self::Python => {
                format!("[{:?}, {:?}, \"stdio\"]", peers.python_mcp_1(), script("server.py"))
            }
        }
    }

    /// Starts it so that it listens on 127.0.0.1.
    #[must_use]
    pub fn listen(self) -> Listening {
        let peers = peers();
        let mut command = match self {
            Self::Everything => Command::new(peers.node()),
            Self::Python => Command::new(peers.python_mcp_1()),
        };
        match self {
            Self::Everything => command
                .env("PORT", "0")
                .arg("--require")
                .arg(script("loopback.cjs"))
                .arg(peers.script("mcp-server-everything"))
                .arg("streamableHttp"),
            Self::Python => command.arg(script("server.py")).arg("http"),
        };
        Listening::start(&mut command)
    }
}

/// A server that listens. Ends when dropped.
#[derive(Debug)]
pub struct Listening {
    child: Child,
    port: u16,
}

impl Listening {
    /// Starts a program that says at which port of 127.0.0.1 it listens, in a line `{"port":N}`.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| serde_json::from_str::<Value>(&line).ok()?["port"].as_u64())
            .unwrap_or_else(|| panic!("{command:?} does not listen"));
        // It goes on writing, and must not have to wait for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, port: u16::try_from(port).expect("a port") }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.kill();
    }
}
