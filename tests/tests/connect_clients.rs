//! The MCP clients that people have, without a certificate of their own: through `portcullis connect` as a command,
//! and through its local endpoint.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use portcullis_pki::Profile;
use portcullis_tests::client::{Era, McpClient, call_tool_at, call_tool_of, peers};
use portcullis_tests::connect::command;
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use serde_json::{Value, json};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

const EVERY_CLIENT: [(McpClient, &str); 6] = [
    (McpClient::PyPi1, OLD),
    (McpClient::PyPi2(Era::Legacy), OLD),
    (McpClient::PyPi2(Era::Newest), NEW),
    (McpClient::Npm(Era::Legacy), OLD),
    (McpClient::Npm(Era::Newest), NEW),
    (McpClient::NpmSdk1, OLD),
];

const CONVERT: (&str, &str) = (
    "convert_time",
    r#"{"source_timezone": "UTC", "time": "12:30", "target_timezone": "Asia/Tokyo"}"#,
);

/// A gate for the clients of one authority, before itself and a real server, and a client's identity.
fn gate() -> (Gate, Identity) {
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    let client = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let identity = Identity::write(setup.directory(), "alice", &client);
    let time = peers().mcp_server_time();
    let sections = format!(
        "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         [servers.time]\ncommand = [{time:?}, \"--local-timezone\", \"UTC\"]\n"
    );
    (setup.start(r#"["ca-chain"]"#, &sections), identity)
}

/// A local endpoint. Ends when dropped.
struct Local {
    child: Child,
    address: String,
}

impl Local {
    fn start(gate: &Gate, path: &str, identity: &Identity, options: &[&str]) -> Self {
        let command = command(gate, path, identity);
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(["--listen", "127.0.0.1:0", "--format", "json"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(listening["event"], "listening");
        Self { child, address: listening["address"].as_str().unwrap().to_owned() }
    }

    /// The body that curl got, and the status.
    fn curl(&self, path: &str, options: &[&str]) -> (String, String) {
        let output: Output = Command::new("curl")
            .args(["--silent", "--noproxy", "*", "--write-out", "\n%{http_code}"])
            .args(options)
            .arg(format!("http://{}{path}", self.address))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (body.to_owned(), status.to_owned())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind, and one that passes has no more use for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_it_is_alice(client: McpClient, protocol: &str, answer: &Value) {
    assert_eq!(answer["protocol"], protocol, "{client:?}");
    assert_eq!(answer["is_error"], false, "{client:?}");
    let who: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
    assert_eq!(who["certificate"]["subject"], "CN=alice", "{client:?}");
}

#[test]
fn every_client_calls_tools_through_the_command() {
    let (gate, identity) = gate();
    for (client, protocol) in EVERY_CLIENT {
        let server = command(&gate, "/portcullis/mcp", &identity);
        let answer = call_tool_of(client, &server, ("whoami", "{}"));
        let answer = answer.unwrap_or_else(|said| panic!("{client:?}: {said}"));
        assert_it_is_alice(client, protocol, &answer);
    }
}

#[test]
fn every_client_calls_tools_of_a_server_behind_the_gate_through_the_command() {
    let (gate, identity) = gate();
    for client in [McpClient::PyPi1, McpClient::PyPi2(Era::Auto), McpClient::Npm(Era::Auto)] {
        let answer = call_tool_of(client, &command(&gate, "/time/mcp", &identity), CONVERT);
        let answer = answer.unwrap_or_else(|said| panic!("{client:?}: {said}"));
        assert_eq!(answer["protocol"], OLD, "{client:?}");
        assert_eq!(answer["tools"], json!(["get_current_time", "convert_time"]), "{client:?}");
        assert!(answer["text"].as_str().unwrap().contains("21:30"), "{client:?}: {answer}");
    }
}

#[test]
fn the_user_of_a_client_sees_why_the_gate_refuses() {
    let (gate, _) = gate();
    let stranger =
        pki::root("Other clients").issue(&Profile::client("stranger", pki::valid())).unwrap();
    let stranger = Identity::write(gate.setup().directory(), "stranger", &stranger);
    // The npm client that insists on the newest revision keeps the error to itself.
    for client in [McpClient::PyPi1, McpClient::PyPi2(Era::Newest), McpClient::Npm(Era::Legacy)] {
        let server = command(&gate, "/portcullis/mcp", &stranger);
        let said = call_tool_of(client, &server, ("whoami", "{}")).unwrap_err();
        assert!(said.contains("unknown_ca") && said.contains("CN=stranger"), "{client:?}: {said}");
    }
}

#[test]
fn every_client_calls_tools_through_the_local_endpoint() {
    let (gate, identity) = gate();
    let local = Local::start(&gate, "/", &identity, &[]);
    for (client, protocol) in EVERY_CLIENT {
        let url = format!("http://{}/portcullis/mcp", local.address);
        // They want a file to trust, and have no use for it.
        let answer = call_tool_at(client, &url, ("whoami", "{}"), &[gate.setup().ca()]);
        let answer = answer.unwrap_or_else(|said| panic!("{client:?}: {said}"));
        assert_it_is_alice(client, protocol, &answer);
    }
    let url = format!("http://{}/time/mcp", local.address);
    let answer = call_tool_at(McpClient::PyPi1, &url, CONVERT, &[gate.setup().ca()]).unwrap();
    assert!(answer["text"].as_str().unwrap().contains("21:30"), "{answer}");
}

#[test]
fn the_local_endpoint_serves_one_path_and_no_web_page() {
    let (gate, identity) = gate();
    let options = ["--allow-origin", "http://localhost:3000"];
    let local = Local::start(&gate, "/portcullis/mcp", &identity, &options);
    let status = |path, options: &[&str]| local.curl(path, options).1;
    // The gate's own answers: no session, or no such path there.
    assert_eq!(status("/portcullis/mcp", &["--request", "PUT"]), "405");
    assert_eq!(status("/portcullis/mcp/below", &[]), "404");
    assert_eq!(
        status("/portcullis/mcp", &["--request", "PUT", "--header", "Host: localhost"]),
        "405"
    );
    for (path, options, expected) in [
        ("/time/mcp", &[][..], "404"),
        ("/portcullis/mcp", &["--header", "Host: evil.example"], "403"),
        ("/portcullis/mcp", &["--header", "Origin: https://evil.example"], "403"),
        ("/portcullis/mcp", &["--header", "Origin: null"], "403"),
        (
            "/portcullis/mcp",
            &["--header", "Origin: http://localhost:3000", "--request", "PUT"],
            "405",
        ),
    ] {
        assert_eq!(status(path, options), expected, "{path} {options:?}");
    }
}

#[test]
fn the_local_endpoint_says_why_the_gate_refuses() {
    let (gate, _) = gate();
    let stranger =
        pki::root("Other clients").issue(&Profile::client("stranger", pki::valid())).unwrap();
    let stranger = Identity::write(gate.setup().directory(), "stranger", &stranger);
    let local = Local::start(&gate, "/portcullis/mcp", &stranger, &[]);
    let (body, status) = local.curl("/portcullis/mcp", &["--data", "{}"]);
    assert_eq!(status, "502");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["error"]["data"]["alert"], "unknown_ca", "{body}");
}

#[test]
fn only_an_explicit_option_makes_the_local_endpoint_reachable_from_elsewhere() {
    let (gate, identity) = gate();
    let command = command(&gate, "/portcullis/mcp", &identity);
    let output = Command::new(&command[0])
        .args(&command[1..])
        .args(["--listen", "0.0.0.0:0"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("0.0.0.0:0"));
}
