//! Clients from elsewhere: `openssl s_client`, `curl`, and the MCP clients of the SDKs.

use std::ffi::OsString;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use xtask::peers::Peers;

use crate::gate::Gate;
use crate::pki::Identity;

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

/// Asserts that the client is refused with this alert in every version of TLS, and that the audit has the code.
#[track_caller]
pub fn assert_refused(
    client: Client,
    gate: &Gate,
    identity: Option<&Identity>,
    (code, alert): (&str, &str),
) {
    for version in VERSIONS {
        let seen = client(gate, version, identity);
        let audit = gate.next_audit();
        assert_eq!(seen, Some(number(alert)), "{code} in {version:?}: {audit}");
        assert_eq!(audit["code"], code, "{version:?}: {audit}");
        assert_eq!(audit["alert"], alert, "{code} in {version:?}: {audit}");
        assert_ne!(audit["verdict"], "accepted", "{audit}");
    }
}

/// The number of an alert (RFC 8446, 6).
fn number(alert: &str) -> u8 {
    match alert {
        "bad_certificate" => 42,
        "unsupported_certificate" => 43,
        "certificate_revoked" => 44,
        "certificate_expired" => 45,
        "certificate_unknown" => 46,
        "unknown_ca" => 48,
        "access_denied" => 49,
        "decrypt_error" => 51,
        "certificate_required" => 116,
        other => panic!("`{other}` is not in the list"),
    }
}

/// `openssl s_client`, which prints "SSL alert number 48". Nothing when the gate lets it in.
#[must_use]
pub fn s_client(gate: &Gate, version: Tls, identity: Option<&Identity>) -> Option<u8> {
    let mut command = Command::new("openssl");
    // Level 0, so that it is the gate that refuses weak keys. HTTP, so that the gate ends the connection.
    command
        .args(["s_client", "-quiet", "-cipher", "ALL:@SECLEVEL=0", "-alpn", "http/1.1"])
        .arg(if version == Tls::V1_2 { "-tls1_2" } else { "-tls1_3" })
        .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
        .arg(gate.setup().ca())
        .args(["-connect", &gate.address().to_string()]);
    if let Some(identity) = identity {
        command.arg("-cert").arg(&identity.certificate).arg("-key").arg(&identity.key);
        command.arg("-cert_chain").arg(&identity.chain);
    }
    let output =
        run(&mut command, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let said = String::from_utf8_lossy(&output.stderr);
    let alert =
        said.split("SSL alert number ").nth(1).and_then(|rest| rest.split_whitespace().next());
    if alert.is_none() {
        assert!(output.stdout.starts_with(b"HTTP/1.1 "), "neither an alert nor an answer: {said}");
    }
    alert.map(|number| number.parse().expect("a number"))
}

/// `curl`, which prints OpenSSL's error, 1,000 and the alert's number, in hexadecimal. Nothing when the gate lets it in.
#[must_use]
pub fn curl(gate: &Gate, version: Tls, identity: Option<&Identity>) -> Option<u8> {
    let version = if version == Tls::V1_2 { "1.2" } else { "1.3" };
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--noproxy", "*", "--ciphers", "ALL:@SECLEVEL=0"])
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
    let code = said
        .split("error:")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .and_then(|code| u32::from_str_radix(code, 16).ok())
        .unwrap_or_else(|| panic!("not an error of TLS: {said}"));
    let reason = code & 0x7f_ffff;
    Some(u8::try_from(reason - 1000).unwrap_or_else(|_| panic!("not an alert: {said}")))
}

/// An MCP client of an SDK: the arguments before the URL.
pub type McpClient = fn(&Peers) -> Command;

/// The MCP clients, each with what it is and the revision of the protocol that it ends up with.
pub const MCP_CLIENTS: [(&str, &str, McpClient); 5] = [
    ("PyPI mcp 1", "2025-11-25", |peers| python(peers.python_mcp_1(), "client_mcp_1.py", &[])),
    ("PyPI mcp 2, legacy", "2025-11-25", |peers| {
        python(peers.python_mcp_2(), "client_mcp_2.py", &["legacy"])
    }),
    ("PyPI mcp 2", "2026-07-28", |peers| {
        python(peers.python_mcp_2(), "client_mcp_2.py", &["2026-07-28"])
    }),
    ("npm client, legacy", "2025-11-25", |peers| node(peers, "legacy")),
    ("npm client", "2026-07-28", |peers| node(peers, "2026-07-28")),
];

/// Lists the tools of a server and calls one: what the client printed, or its complaint.
///
/// # Errors
/// What it wrote to its standard error when it failed.
pub fn call_tool(
    client: McpClient,
    gate: &Gate,
    path: &str,
    (tool, arguments): (&str, &str),
    identity: Option<&Identity>,
) -> Result<Value, String> {
    let mut command = client(&peers());
    command
        .arg(format!("https://{}{path}", gate.address()))
        .args([tool, arguments])
        .arg(gate.setup().ca());
    if let Some(identity) = identity {
        command.arg(&identity.chain).arg(&identity.key);
    }
    let output = run(&mut command, b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON; {said}")))
}

/// Where `cargo xtask test` put the peers.
#[must_use]
pub fn peers() -> Peers {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent");
    let peers = Peers::of(repository);
    assert!(
        peers.python_mcp_2().exists() && peers.python_mcp_1().exists(),
        "the peers are missing: `cargo xtask test` fetches them"
    );
    peers
}

fn python(python: std::path::PathBuf, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(script_path(script)).args(arguments);
    command
}

fn node(peers: &Peers, era: &str) -> Command {
    let mut command = Command::new(peers.node());
    command.env("PEERS", peers.node_folder()).arg(script_path("client_node.mjs")).arg(era);
    command
}

fn script_path(name: &str) -> OsString {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name).into_os_string()
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
