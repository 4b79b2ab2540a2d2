//! The clients: `openssl s_client`, which says its alert, and curl, which speaks MCP in a few lines.

use std::net::SocketAddr;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::demo::people::People;
use crate::s_client::{self, Presented};

/// Where MCP over Streamable HTTP is spoken, in the revision that most servers know.
const HEADERS: [&str; 3] = [
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    "MCP-Protocol-Version: 2025-11-25",
];
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"demo","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A client of one gate.
pub(crate) struct Client {
    address: SocketAddr,
    people: People,
}

impl Client {
    /// A client that has the files of all of them.
    pub(crate) fn new(address: SocketAddr, people: People) -> Self {
        Self { address, people }
    }

    /// Connects with this identity: the alert, or nothing when it comes in.
    pub(crate) fn knock(&self, identity: Option<&str>) -> Result<Option<u8>> {
        let files = identity.map(|name| self.people.files(name));
        let presented = files.as_ref().map(|(chain, key)| Presented { chain, key });
        s_client::knock(self.address, &self.people.path("server-ca.pem"), presented, &[])
    }

    /// Initializes a session as the accepted client, calls one tool, and gives the text of its result.
    pub(crate) fn call(&self, path: &str, tool: &str, arguments: &str) -> Result<String> {
        let opened = self.post(path, &[], INITIALIZE)?;
        let head = String::from_utf8_lossy(&opened.stdout).into_owned();
        let session = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("mcp-session-id:")
                    .map(|id| id.trim().to_owned())
            })
            .map(|id| format!("Mcp-Session-Id: {id}"));
        let session: Vec<&str> = session.iter().map(String::as_str).collect();
        self.post(path, &session, INITIALIZED)?;
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        );
        let output = self.post(path, &session, &call)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        tool_text(&answer).with_context(|| format!("`{tool}` answered `{answer}`"))
    }

    /// What to try by hand.
    pub(crate) fn print_invitation(&self) {
        let file = |name: &str| self.people.path(name).display().to_string();
        let url = format!("https://{}", self.address);
        println!("the gate keeps running; stop it with Ctrl-C. Try:\n");
        println!(
            "curl --cacert {} --cert {} --key {} {url}/portcullis/mcp \\\n  -H 'Content-Type: application/json' \
             -H 'Accept: application/json, text/event-stream' \\\n  -d '{INITIALIZE}'\n",
            file("server-ca.pem"),
            file("agent.pem"),
            file("agent.key"),
        );
        println!("or, in Python with the package mcp 2:\n");
        println!(
            "import asyncio, ssl, httpx2\nfrom mcp import ClientSession\n\
             from mcp.client.streamable_http import streamable_http_client\n\n\
             context = ssl.create_default_context(cafile={:?})\n\
             context.load_cert_chain({:?}, {:?})\n\n\
             async def main():\n    async with httpx2.AsyncClient(verify=context) as http:\n        \
             async with streamable_http_client(\"{url}/time/mcp\", http_client=http) as (read, write, *_):\n            \
             async with ClientSession(read, write) as session:\n                \
             await session.initialize()\n                print(await session.list_tools())\n\nasyncio.run(main())\n",
            file("server-ca.pem"),
            file("agent.pem"),
            file("agent.key"),
        );
    }

    fn post(&self, path: &str, headers: &[&str], body: &str) -> Result<Output> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "60"])
            .args(["--data-binary", body, "--cacert"])
            .arg(self.people.path("server-ca.pem"));
        for header in HEADERS.iter().chain(headers) {
            curl.args(["-H", header]);
        }
        let (chain, key) = self.people.files("agent");
        curl.arg("--cert").arg(chain).arg("--key").arg(key);
        curl.arg(format!("https://{}{path}", self.address));
        curl.output().context("cannot run curl; please install it")
    }
}

/// The text of a tool's result, from JSON or from the last event of a stream.
fn tool_text(answer: &str) -> Option<String> {
    let message = answer
        .lines()
        .rev()
        .map(|line| line.strip_prefix("data:").unwrap_or(line).trim())
        .find_map(|line| {
            serde_json::from_str::<Value>(line).ok().filter(|message| message["id"] == 2)
        })?;
    message["result"]["content"][0]["text"].as_str().map(str::to_owned)
}
