//! An MCP client of a few lines: curl.

use std::fmt;
use std::net::SocketAddr;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::demo::people::People;

/// Where MCP over Streamable HTTP is spoken, in the revision that most servers know.
const HEADERS: [&str; 3] = [
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    "MCP-Protocol-Version: 2025-11-25",
];
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"demo","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A client of one gate.
pub struct Client {
    address: SocketAddr,
    people: People,
}

/// What became of a client.
pub enum Seen {
    /// The gate's TLS alert.
    Alert(u8),
    /// What the server answered.
    Answer(String),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(number) => write!(f, "alert {} ({number})", alert_name(*number)),
            Self::Answer(_) => f.write_str("the answer of whoami"),
        }
    }
}

impl Client {
    /// A client that has the files of all of them.
    pub fn new(address: SocketAddr, people: People) -> Self {
        Self { address, people }
    }

    /// Connects with this identity and asks the built-in server who it is.
    pub fn who_am_i(&self, identity: Option<&str>) -> Result<Seen> {
        let output = self.post("/portcullis/mcp", identity, &[], INITIALIZE)?;
        if output.status.success() {
            let answer = self.call("/portcullis/mcp", "whoami", "{}")?;
            return Ok(Seen::Answer(answer));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        match alert_in(&said) {
            Some(number) => Ok(Seen::Alert(number)),
            None => bail!("curl failed without an alert: {said}"),
        }
    }

    /// Initializes a session as the accepted client, calls one tool, and gives the text of its result.
    pub fn call(&self, path: &str, tool: &str, arguments: &str) -> Result<String> {
        let opened = self.post(path, Some("agent"), &[], INITIALIZE)?;
        let head = String::from_utf8_lossy(&opened.stdout).into_owned();
        let session = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("mcp-session-id:").map(|id| id.trim().to_owned()))
            .map(|id| format!("Mcp-Session-Id: {id}"));
        let session: Vec<&str> = session.iter().map(String::as_str).collect();
        self.post(path, Some("agent"), &session, INITIALIZED)?;
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        );
        let output = self.post(path, Some("agent"), &session, &call)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        tool_text(&answer).with_context(|| format!("`{tool}` answered `{answer}`"))
    }

    /// What to try by hand.
    pub fn print_invitation(&self) {
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

    fn post(
        &self,
        path: &str,
        identity: Option<&str>,
        headers: &[&str],
        body: &str,
    ) -> Result<Output> {
        let mut curl = Command::new("curl");
        // Level 0, so that it is the gate that refuses the weak key.
        curl.args(["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "60"])
            .args(["--ciphers", "DEFAULT:@SECLEVEL=0", "--data-binary", body, "--cacert"])
            .arg(self.people.path("server-ca.pem"));
        for header in HEADERS.iter().chain(headers) {
            curl.args(["-H", header]);
        }
        if let Some(name) = identity {
            curl.arg("--cert").arg(self.people.path(&format!("{name}.pem")));
            curl.arg("--key").arg(self.people.path(&format!("{name}.key")));
        }
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
        .find_map(|line| serde_json::from_str::<Value>(line).ok().filter(|message| message["id"] == 2))?;
    message["result"]["content"][0]["text"].as_str().map(str::to_owned)
}

/// The alert in what curl or any other program on OpenSSL writes: its error is, in hexadecimal, 1,000 and the alert.
pub fn alert_in(said: &str) -> Option<u8> {
    let code = said.split("error:").nth(1)?.split(':').next()?;
    let reason = u32::from_str_radix(code, 16).ok()? & 0x7f_ffff;
    u8::try_from(reason.checked_sub(1000)?).ok()
}

/// The name of an alert (RFC 8446, 6).
pub fn alert_name(number: u8) -> &'static str {
    match number {
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        48 => "unknown_ca",
        49 => "access_denied",
        51 => "decrypt_error",
        116 => "certificate_required",
        _ => "another alert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_is_read_from_what_curl_writes() {
        let said = "curl: (56) OpenSSL SSL_read: error:0A000419:SSL routines::tlsv1 alert access denied, errno 0";
        assert_eq!(alert_in(said).map(alert_name), Some("access_denied"));
        assert_eq!(alert_in("curl: (7) Failed to connect"), None);
    }
}
