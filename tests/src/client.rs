//! Clients from elsewhere: `openssl s_client`, `curl`, and the MCP clients of the SDKs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use xtask::peers::Peers;
use xtask::s_client::{Presented, alert_name, knock};

use crate::gate::Gate;
use crate::pki::Identity;

/// An alert (RFC 8446, 6).
const CERTIFICATE_EXPIRED: u8 = 45;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// 1.2 (RFC 5246).
    V1_2,
    /// 1.3 (RFC 8446).
    V1_3,
}

/// Both.
pub const VERSIONS: [Tls; 2] = [Tls::V1_2, Tls::V1_3];

/// A program that connects to a gate and says which alert it got.
pub type Client = fn(&Gate, Tls, Option<&Identity>) -> Option<u8>;

/// All of them.
pub const CLIENTS: [Client; 2] = [s_client, curl];

/// Asserts that the client is refused with this alert in every version of TLS, and that the audit has the code. Gives
/// the lines of the audit.
#[track_caller]
pub fn assert_refused(
    client: Client,
    gate: &Gate,
    identity: Option<&Identity>,
    (code, alert): (&str, &str),
) -> [Value; 2] {
    VERSIONS.map(|version| {
        let seen = client(gate, version, identity);
        let audit = gate.next_audit();
        assert_eq!(seen.map(alert_name), Some(alert), "{code} in {version:?}: {audit}");
        assert_eq!(audit["code"], code, "{version:?}: {audit}");
        assert_eq!(audit["alert"], alert, "{code} in {version:?}: {audit}");
        assert_ne!(audit["verdict"], "accepted", "{audit}");
        audit
    })
}

/// `openssl s_client`. Nothing when the gate lets it in.
#[must_use]
pub fn s_client(gate: &Gate, version: Tls, identity: Option<&Identity>) -> Option<u8> {
    let presented =
        identity.map(|identity| Presented { chain: &identity.chain, key: &identity.key });
    let version = if version == Tls::V1_2 { "-tls1_2" } else { "-tls1_3" };
    knock(gate.address(), &gate.setup().ca(), presented, &[version])
        .unwrap_or_else(|error| panic!("{error:#}"))
}

/// `curl`, which prints OpenSSL's error, 1,000 and the alert's number, in hexadecimal. Nothing when the gate lets it in.
#[must_use]
pub fn curl(gate: &Gate, version: Tls, identity: Option<&Identity>) -> Option<u8> {
    let version = if version == Tls::V1_2 { "1.2" } else { "1.3" };
    let mut command = Command::new("curl");
    command
        .env("OPENSSL_CONF", script("openssl.cnf"))
        .args(["--silent", "--show-error", "--noproxy", "*"])
        .args([&format!("--tlsv{version}"), "--tls-max", version])
        .arg("--cacert")
        .arg(gate.setup().ca());
    if let Some(identity) = identity {
        command.arg("--cert").arg(&identity.chain).arg("--key").arg(&identity.key);
    }
    command.arg(format!("https://{}/", gate.address()));
    let output = run(&mut command, b"");
    if output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.starts_with("curl: (60)") {
        // To curl, the alert that the client's certificate has expired is a failure to verify the server's.
        return Some(CERTIFICATE_EXPIRED);
    }
    let code = said
        .split("error:")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .and_then(|code| u32::from_str_radix(code, 16).ok())
        .unwrap_or_else(|| panic!("not an error of TLS: {said}"));
    let alert = (code & 0x7f_ffff).checked_sub(1000).and_then(|alert| u8::try_from(alert).ok());
    assert!(alert.is_some(), "not an alert: {said}");
    alert
}

/// What came back for a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Reply {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Posts a message with `curl`, with these headers added to those that MCP wants.
#[must_use]
pub fn post(
    gate: &Gate,
    path: &str,
    identity: &Identity,
    headers: &[(&str, &str)],
    message: &Value,
) -> Reply {
    let mut command = Command::new("curl");
    command
        .env("OPENSSL_CONF", script("openssl.cnf"))
        .args(["--silent", "--show-error", "--noproxy", "*", "--include", "--http1.1"])
        .args(["--header", "content-type: application/json"])
        .args(["--header", "accept: application/json, text/event-stream"])
        .args(["--data-binary", "@-"])
        .arg("--cacert")
        .arg(gate.setup().ca())
        .arg("--cert")
        .arg(&identity.chain)
        .arg("--key")
        .arg(&identity.key)
        .arg(format!("https://{}{path}", gate.address()));
    for (name, value) in headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, message.to_string().as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the client ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Reply { status: status.expect("a status"), headers: headers.collect(), body: body.to_owned() }
}

/// An MCP client of an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpClient {
    /// The PyPI package `mcp` 1.
    PyPi1,
    /// The PyPI package `mcp` 2.
    PyPi2(Era),
    /// The npm package `@modelcontextprotocol/client` 2.
    Npm(Era),
    /// The npm package `@modelcontextprotocol/sdk` 1.
    NpmSdk1,
}

/// How a client finds the revision of the protocol to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// It asks with `server/discover`, and falls back to `initialize`.
    Auto,
    /// `initialize`, as before 2026.
    Legacy,
    /// Revision 2026-07-28 or nothing.
    Newest,
}

impl Era {
    fn argument(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Legacy => "legacy",
            Self::Newest => "2026-07-28",
        }
    }
}

impl McpClient {
    /// Everything but the arguments that all of the scripts take.
    fn command(self) -> Command {
        let peers = peers();
        let mut command = match self {
            Self::PyPi1 => Command::new(peers.python_mcp_1()),
            Self::PyPi2(_) => Command::new(peers.python_mcp_2()),
            Self::Npm(_) | Self::NpmSdk1 => Command::new(peers.node()),
        };
        match self {
            Self::PyPi1 => command.arg(script("client_mcp_1.py")),
            Self::PyPi2(era) => command.arg(script("client_mcp_2.py")).arg(era.argument()),
            Self::Npm(era) => command
                .env("PEERS", peers.node_folder())
                .arg(script("client_node.mjs"))
                .arg(era.argument()),
            Self::NpmSdk1 => command
                .env("PEERS", peers.node_folder())
                .args([&script("client_node.mjs"), Path::new("sdk-1")]),
        };
        command
    }
}

/// Lists the tools of a server and calls one: what the client printed, or its complaint.
///
/// # Errors
/// What it wrote to its standard error when it failed.
pub fn call_tool(
    client: McpClient,
    gate: &Gate,
    path: &str,
    call: (&str, &str),
    identity: Option<&Identity>,
) -> Result<Value, String> {
    call_tool_at(client, &url(gate, path), call, &files(gate, identity))
}

/// The same at any URL; the files are whom to trust, and the chain and the key to present.
///
/// # Errors
/// What it wrote to its standard error when it failed.
pub fn call_tool_at(
    client: McpClient,
    url: &str,
    (tool, arguments): (&str, &str),
    files: &[PathBuf],
) -> Result<Value, String> {
    let mut command = client.command();
    command.args([url, tool, arguments]).args(files);
    printed(&mut command)
}

/// As [`call_tool`], but the client cancels the call after half a second and then calls `test_simple_text`.
///
/// # Errors
/// What it wrote to its standard error when it failed.
pub fn cancel_tool(
    client: McpClient,
    gate: &Gate,
    path: &str,
    (tool, arguments): (&str, &str),
    identity: &Identity,
) -> Result<Value, String> {
    let mut command = client.command();
    command.args([&url(gate, path), tool, arguments]).args(files(gate, Some(identity)));
    printed(command.env("CANCEL_AFTER", "0.5"))
}

fn url(gate: &Gate, path: &str) -> String {
    format!("https://{}{path}", gate.address())
}

fn files(gate: &Gate, identity: Option<&Identity>) -> Vec<PathBuf> {
    let mut files = vec![gate.setup().ca()];
    files.extend(identity.into_iter().flat_map(|it| [it.chain.clone(), it.key.clone()]));
    files
}

/// The same with a server that the client starts as a command and speaks to over its standard input and output.
///
/// # Errors
/// What it wrote to its standard error when it failed.
pub fn call_tool_of(
    client: McpClient,
    server: &[String],
    (tool, arguments): (&str, &str),
) -> Result<Value, String> {
    let peers = peers();
    let mut command = match client {
        McpClient::PyPi1 => Command::new(peers.python_mcp_1()),
        McpClient::PyPi2(_) => Command::new(peers.python_mcp_2()),
        McpClient::Npm(_) | McpClient::NpmSdk1 => Command::new(peers.node()),
    };
    match client {
        McpClient::PyPi1 => command.arg(script("stdio_mcp_1.py")),
        McpClient::PyPi2(era) => command.arg(script("stdio_mcp_2.py")).arg(era.argument()),
        McpClient::Npm(era) => command
            .env("PEERS", peers.node_folder())
            .arg(script("stdio_node.mjs"))
            .arg(era.argument()),
        McpClient::NpmSdk1 => command
            .env("PEERS", peers.node_folder())
            .args([&script("stdio_node.mjs"), Path::new("sdk-1")]),
    };
    command.args([tool, arguments]).args(server);
    printed(&mut command)
}

/// What a client printed, as JSON, or its complaint.
fn printed(command: &mut Command) -> Result<Value, String> {
    let output = run(command, b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON; {said}")))
}

/// Where `cargo xtask test` put the peers.
#[must_use]
pub fn peers() -> Peers {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent");
    let peers = Peers::of(repository);
    assert!(
        peers.python_mcp_2().exists() && peers.python_mcp_1().exists(),
        "the peers are missing: `cargo xtask test` fetches them"
    );
    peers
}

/// A file of `tests/peers`.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    use std::io::Write as _;

    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask test` prepares it"));
    let mut stdin = child.stdin.take().expect("a pipe");
    // A client that is refused may be gone before it reads.
    let _ = stdin.write_all(input);
    // Kept open until the end: s_client leaves at the end of its input, before it hears the gate.
    let output = child.wait_with_output().expect("the client ends");
    drop(stdin);
    output
}
