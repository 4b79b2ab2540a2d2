//! The MCP clients that people have: with a certificate they list and call tools through the gate, without one they
//! do not come in.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use portcullis_pki::Profile;
use portcullis_tests::client::{Era, McpClient, call_tool, peers};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use serde_json::{Value, json};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

/// A gate for the clients of one authority, before itself and a real server, and a client's identity.
fn gate() -> (Gate, Identity) {
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    let client = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let identity = Identity::write(setup.directory(), "alice", &client);
    let command = peers().mcp_server_time();
    let sections = format!(
        "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         [servers.time]\ncommand = [{command:?}, \"--local-timezone\", \"UTC\"]\n"
    );
    (setup.start(r#"["ca-chain"]"#, &sections), identity)
}

#[test]
fn a_client_with_a_certificate_asks_the_gate_who_it_is() {
    let (gate, identity) = gate();
    for (client, protocol) in [
        (McpClient::PyPi1, OLD),
        (McpClient::PyPi2(Era::Legacy), OLD),
        (McpClient::PyPi2(Era::Newest), NEW),
        (McpClient::Npm(Era::Legacy), OLD),
        (McpClient::Npm(Era::Newest), NEW),
    ] {
        let call = ("whoami", "{}");
        let answer = call_tool(client, &gate, "/portcullis/mcp", call, Some(&identity));
        let answer = answer.unwrap_or_else(|said| panic!("{client:?}: {said}"));
        assert_eq!(answer["protocol"], protocol, "{client:?}");
        assert_eq!(answer["tools"], json!(["whoami"]), "{client:?}");
        assert_eq!(answer["is_error"], false, "{client:?}");
        let who: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
        assert_eq!(who["certificate"]["subject"], "CN=alice", "{client:?}");
        assert_eq!(who["policies"][0]["outcome"], "accepted", "{client:?}");
    }
}

/// A server that speaks over its standard input has a session, and so the handshake of the older revisions.
#[test]
fn a_client_with_a_certificate_calls_a_tool_of_a_server_behind_the_gate() {
    let (gate, identity) = gate();
    for client in [McpClient::PyPi1, McpClient::PyPi2(Era::Auto), McpClient::Npm(Era::Auto)] {
        let call = (
            "convert_time",
            r#"{"source_timezone": "UTC", "time": "12:30", "target_timezone": "Asia/Tokyo"}"#,
        );
        let answer = call_tool(client, &gate, "/time/mcp", call, Some(&identity));
        let answer = answer.unwrap_or_else(|said| panic!("{client:?}: {said}"));
        assert_eq!(answer["protocol"], OLD, "{client:?}");
        assert_eq!(answer["tools"], json!(["get_current_time", "convert_time"]), "{client:?}");
        assert_eq!(answer["is_error"], false, "{client:?}: {answer}");
        assert!(answer["text"].as_str().unwrap().contains("21:30"), "{client:?}: {answer}");
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    for client in [McpClient::PyPi1, McpClient::PyPi2(Era::Auto), McpClient::Npm(Era::Auto)] {
        let (gate, _) = gate();
        let answer = call_tool(client, &gate, "/portcullis/mcp", ("whoami", "{}"), None);
        assert!(answer.is_err(), "{client:?}: {answer:?}");
        let audit = gate.next_audit();
        assert_eq!(audit["verdict"], "failed", "{client:?}: {audit}");
        assert_eq!(audit["code"], "no-certificate", "{client:?}: {audit}");
        assert_eq!(audit["alert"], "certificate_required", "{client:?}: {audit}");
    }
}

#[test]
fn a_client_with_a_certificate_of_another_authority_is_refused() {
    let (gate, _) = gate();
    let stranger =
        pki::root("Other clients").issue(&Profile::client("stranger", pki::valid())).unwrap();
    let stranger = Identity::write(gate.setup().directory(), "stranger", &stranger);
    let client = McpClient::PyPi2(Era::Auto);
    let answer = call_tool(client, &gate, "/portcullis/mcp", ("whoami", "{}"), Some(&stranger));
    assert!(answer.is_err(), "{answer:?}");
    let audit = gate.next_audit();
    assert_eq!(audit["code"], "unknown-issuer", "{audit}");
    assert_eq!(audit["alert"], "unknown_ca", "{audit}");
}
