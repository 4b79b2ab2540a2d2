//! What the operator learns of requests from a running gate: its log, and its metrics.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

use portcullis_pki::Profile;
use portcullis_tests::client::post;
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::upstream::Server;
use serde_json::{Value, json};

fn gate(sections: &str) -> (Gate, Identity, Identity) {
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    let [alice, mallory] = ["alice", "mallory"].map(|name| {
        let issued = authority.issue(&Profile::client(name, pki::valid())).unwrap();
        Identity::write(setup.directory(), name, &issued)
    });
    let sections = format!(
        "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         settings = {{ principal = \"common-name\" }}\n[metrics]\naddress = \"127.0.0.1:0\"\n{sections}"
    );
    (setup.start(r#"["ca-chain"]"#, &sections), alice, mallory)
}

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn initialize() -> Value {
    request(
        "initialize",
        &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}),
    )
}

#[test]
fn a_stolen_session_is_not_found_and_the_operator_learns_who_came_with_it() {
    let everything = Server::Everything.listen();
    let (gate, alice, mallory) = gate(&format!(
        "[servers.http]\nurl = \"{}\"\n[servers.stdio]\ncommand = {}\n",
        everything.url(),
        Server::Everything.command()
    ));
    for server in ["http", "stdio", "portcullis"] {
        let path = format!("/{server}/mcp");
        let opened = post(&gate, &path, &alice, &[], &initialize());
        assert_eq!(opened.status, 200, "{opened:?}");
        assert_eq!(gate.next_request()["outcome"], "answered");
        let session = [("mcp-session-id", opened.header("mcp-session-id").expect("a session"))];
        let list = request("tools/list", &json!({}));

        let stolen = post(&gate, &path, &mallory, &session, &list);
        let unknown = post(&gate, &path, &mallory, &[("mcp-session-id", "0")], &list);
        assert_eq!((stolen.status, unknown.status), (404, 404), "{server}");
        assert_eq!(stolen.body, unknown.body, "a thief does not learn that it is one");
        let line = gate.next_request();
        assert_eq!(
            (&line["code"], &line["outcome"]),
            (&json!("session-of-another"), &json!("refused"))
        );
        assert_eq!((&line["principal"], &line["server"]), (&json!("mallory"), &json!(server)));
        assert_eq!(line["status"], 404);
        assert_eq!(gate.next_request()["code"], Value::Null);

        assert_eq!(
            post(&gate, &path, &alice, &session, &list).status,
            200,
            "it is still the owner's"
        );
        let line = gate.next_request();
        assert_eq!((&line["principal"], &line["method"]), (&json!("alice"), &json!("tools/list")));
        assert!(line["elapsed_ms"].is_number() && line["serial_number"].is_string(), "{line}");
    }
    let metrics = gate.scraped();
    let counted = "portcullis_requests_total{server=\"stdio\",method=\"tools/list\",status=\"404\",outcome=\"refused\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let (gate, alice, mallory) = gate("[limits]\nrequests-per-second = 1\n");
    let replies: Vec<_> =
        (0..5).map(|_| post(&gate, "/portcullis/mcp", &alice, &[], &initialize())).collect();
    let refused = replies.iter().find(|reply| reply.status == 429).expect("one too many");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let body: Value = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!(body["error"]["code"], 429);
    assert_eq!(post(&gate, "/portcullis/mcp", &mallory, &[], &initialize()).status, 200);
    let lines: Vec<Value> = (0..6).map(|_| gate.next_request()).collect();
    assert!(lines.iter().any(|line| line["code"] == "too-many-requests"), "{lines:?}");
}
