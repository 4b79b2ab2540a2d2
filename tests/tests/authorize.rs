//! The MCP clients that people have see and call only what a rule allows them, and are told so when they try more.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use portcullis_pki::Profile;
use portcullis_tests::client::{Era, McpClient, call_tool, peers};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::upstream::Server;
use serde_json::json;

const CLIENTS: [McpClient; 3] =
    [McpClient::PyPi1, McpClient::PyPi2(Era::Auto), McpClient::Npm(Era::Auto)];

/// A gate whose rules name alice, and the identities of alice and of bob, whom none does.
fn gate(sections: &str) -> (Gate, Identity, Identity) {
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let issued = authority.issue(&Profile::client(name, pki::valid())).unwrap();
        Identity::write(setup.directory(), name, &issued)
    });
    let sections = format!(
        "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         settings = {{ principal = \"common-name\" }}\n{sections}"
    );
    (setup.start(r#"["ca-chain"]"#, &sections), alice, bob)
}

/// The next request that the gate refused.
fn next_refusal(gate: &Gate) -> serde_json::Value {
    loop {
        let request = gate.next_request();
        if request["outcome"] == "refused" {
            return request;
        }
    }
}

#[test]
fn a_client_sees_and_calls_only_the_tools_that_a_rule_allows_it() {
    let (time, echo) = (peers().mcp_server_time(), Server::Everything.listen());
    let (gate, alice, _) = gate(&format!(
        "[servers.time]\ncommand = [{time:?}, \"--local-timezone\", \"UTC\"]\n\
         [servers.everything]\nurl = \"{}\"\n\
         [[authorize]]\nprincipals = [\"alice\"]\nservers = [\"time\", \"everything\"]\n\
         tools = [\"get_current_*\", \"echo\"]\n",
        echo.url()
    ));
    for client in CLIENTS {
        for (path, tool, arguments, refused) in [
            ("/time/mcp", "get_current_time", r#"{"timezone": "UTC"}"#, "convert_time"),
            ("/everything/mcp", "echo", r#"{"message": "hello"}"#, "get-sum"),
        ] {
            let answer = call_tool(client, &gate, path, (tool, arguments), Some(&alice));
            let answer = answer.unwrap_or_else(|said| panic!("{client:?} {path}: {said}"));
            assert_eq!(answer["tools"], json!([tool]), "{client:?} {path}");
            assert_eq!(answer["is_error"], false, "{client:?} {path}: {answer}");
            let said = call_tool(client, &gate, path, (refused, "{}"), Some(&alice)).unwrap_err();
            let told = format!("not allowed for this client: the tool `{refused}`");
            assert!(said.contains(&told), "{client:?} {path}: {said}");
            let request = next_refusal(&gate);
            assert_eq!(request["code"], "not-authorized", "{request}");
            assert_eq!(
                (&request["principal"], &request["name"]),
                (&json!("alice"), &json!(refused))
            );
        }
    }
}

/// Clients of the newest revision mirror what they call into headers.
#[test]
fn a_client_of_the_newest_revision_is_told_the_same() {
    let (gate, alice, bob) = gate(
        "[[authorize]]\nprincipals = [\"alice\"]\nservers = [\"portcullis\"]\ntools = [\"whoami\"]\n\
         [[authorize]]\nprincipals = [\"bob\"]\nservers = [\"portcullis\"]\nprompts = [\"none\"]\n",
    );
    for client in [McpClient::PyPi2(Era::Newest), McpClient::Npm(Era::Newest)] {
        let call = |identity| {
            call_tool(client, &gate, "/portcullis/mcp", ("whoami", "{}"), Some(identity))
        };
        let answer = call(&alice).unwrap_or_else(|said| panic!("{client:?}: {said}"));
        assert_eq!(answer["tools"], json!(["whoami"]), "{client:?}");
        let said = call(&bob).unwrap_err();
        assert!(said.contains("the tool `whoami`"), "{client:?}: {said}");
        assert_eq!(next_refusal(&gate)["name"], "whoami", "{client:?}");
    }
}

#[test]
fn a_client_whom_no_rule_names_is_told_so_at_once() {
    let time = peers().mcp_server_time();
    let (gate, _, bob) = gate(&format!(
        "[servers.time]\ncommand = [{time:?}]\n\
         [[authorize]]\nprincipals = [\"alice\"]\nservers = [\"time\"]\n"
    ));
    for client in CLIENTS {
        let call = ("get_current_time", r#"{"timezone": "UTC"}"#);
        let said = call_tool(client, &gate, "/time/mcp", call, Some(&bob)).unwrap_err();
        assert!(
            said.contains("not allowed for this client: the server `time`"),
            "{client:?}: {said}"
        );
        assert_eq!(next_refusal(&gate)["principal"], "bob", "{client:?}");
    }
}
