//! The MCP clients that people have: with a certificate they list and call tools through the gate, without one they
//! do not come in.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use portcullis_pki::Profile;
use portcullis_tests::client::{MCP_CLIENTS, call_tool, peers};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use serde_json::Value;

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
    for (name, protocol, client) in MCP_CLIENTS {
        let call = ("whoami", "{}");
        let answer = call_tool(client, &gate, "/portcullis/mcp", call, Some(&identity));
        let answer = answer.unwrap_or_else(|said| panic!("{name}: {said}"));
        assert_eq!(answer["protocol"], protocol, "{name}");
        assert_eq!(answer["tools"], serde_json::json!(["whoami"]), "{name}");
        assert_eq!(answer["is_error"], false, "{name}");
        let who: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
        assert_eq!(who["certificate"]["subject"], "CN=alice", "{name}");
        assert_eq!(who["policies"][0]["outcome"], "accepted", "{name}");
    }
}

#[test]
fn a_client_with_a_certificate_calls_a_tool_of_a_server_behind_the_gate() {
    let (gate, identity) = gate();
    for (name, _, client) in MCP_CLIENTS {
        let call = (
            "convert_time",
            r#"{"source_timezone": "UTC", "time": "12:30", "target_timezone": "Asia/Tokyo"}"#,
        );
        let answer = call_tool(client, &gate, "/time/mcp", call, Some(&identity));
        let answer = answer.unwrap_or_else(|said| panic!("{name}: {said}"));
        assert_eq!(
            answer["tools"],
            serde_json::json!(["get_current_time", "convert_time"]),
            "{name}"
        );
        assert_eq!(answer["is_error"], false, "{name}: {answer}");
        assert!(answer["text"].as_str().unwrap().contains("21:30"), "{name}: {answer}");
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    for (name, _, client) in MCP_CLIENTS {
        let (gate, _) = gate();
        let answer = call_tool(client, &gate, "/portcullis/mcp", ("whoami", "{}"), None);
        assert!(answer.is_err(), "{name}: {answer:?}");
        let audit = gate.next_audit();
        assert_eq!(audit["verdict"], "failed", "{name}: {audit}");
        assert_eq!(audit["code"], "no-certificate", "{name}: {audit}");
        assert_eq!(audit["alert"], "certificate_required", "{name}: {audit}");
    }
}

#[test]
fn a_client_with_a_certificate_of_another_authority_is_refused() {
    let (gate, _) = gate();
    let stranger =
        pki::root("Other clients").issue(&Profile::client("stranger", pki::valid())).unwrap();
    let stranger = Identity::write(gate.setup().directory(), "stranger", &stranger);
    let (name, _, client) = MCP_CLIENTS[0];
    let answer = call_tool(client, &gate, "/portcullis/mcp", ("whoami", "{}"), Some(&stranger));
    assert!(answer.is_err(), "{name}: {answer:?}");
    let audit = gate.next_audit();
    assert_eq!(audit["code"], "unknown-issuer", "{audit}");
    assert_eq!(audit["alert"], "unknown_ca", "{audit}");
}
