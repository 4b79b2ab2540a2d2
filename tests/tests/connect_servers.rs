//! What servers do besides answering, through `portcullis connect` and the gate: they report progress, ask questions,
//! break streams off, take their time, and die.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use portcullis_pki::Profile;
use portcullis_tests::connect::{Connected, command, request};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::upstream::{Listening, Server};
use serde_json::{Value, json};

/// A gate before one server, over HTTP and as a command, and a client of each.
fn house() -> (Gate, Listening, [Connected; 2]) {
    let server = Server::Python.listen();
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    let issued = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let alice = Identity::write(setup.directory(), "alice", &issued);
    let sections = format!(
        "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         [servers.http]\nurl = \"{}\"\n[servers.stdio]\ncommand = {}\n",
        server.url(),
        Server::Python.command(),
    );
    let gate = setup.start(r#"["ca-chain"]"#, &sections);
    let clients = ["/http/mcp", "/stdio/mcp"].map(|path| {
        let mut client = Connected::start(&command(&gate, path, &alice));
        let _ = client.initialize();
        client
    });
    (gate, server, clients)
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "t" } })
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn progress_is_reported_before_the_answer() {
    let (_gate, _server, clients) = house();
    for mut client in clients {
        client.say(&request(1, "tools/call", &call("test_tool_with_progress", &json!({}))));
        for done in [0.0, 50.0, 100.0] {
            let report = client.next();
            assert_eq!(report["method"], "notifications/progress", "{report}");
            assert_eq!(report["params"]["progress"], done, "{report}");
        }
        assert_eq!(client.next()["id"], 1);
    }
}

#[test]
fn a_servers_questions_are_answered_by_the_client() {
    let (_gate, _server, clients) = house();
    for mut client in clients {
        for (tool, arguments, method, result, expected) in [
            (
                "test_sampling",
                json!({ "prompt": "hello" }),
                "sampling/createMessage",
                json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "hi" } }),
                "LLM response: hi",
            ),
            (
                "test_elicitation",
                json!({ "message": "who?" }),
                "elicitation/create",
                json!({ "action": "accept", "content": { "username": "a", "email": "b" } }),
                "User response: accept",
            ),
        ] {
            client.say(&request(1, "tools/call", &call(tool, &arguments)));
            let question = client.next();
            assert_eq!(question["method"], method, "{question}");
            let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
            client.say(&answer.to_string());
            let answer = client.next();
            assert!(text(&answer).starts_with(expected), "{answer}");
        }
    }
}

/// Over HTTP this server closes the stream and leaves the answer for a client that comes back.
#[test]
fn a_stream_that_the_server_closes_before_the_answer_is_asked_for_again() {
    let (_gate, _server, clients) = house();
    for mut client in clients {
        let answer = client.call(1, "tools/call", &call("test_reconnection", &json!({})));
        assert_eq!(text(&answer), "Reconnection test completed");
    }
}

#[test]
fn a_cancelled_call_gets_no_answer_and_the_next_one_does() {
    let (_gate, _server, clients) = house();
    for mut client in clients {
        client.say(&request(1, "tools/call", &call("sleep", &json!({ "seconds": 600 }))));
        client.say(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        );
        client.say(&request(2, "tools/call", &call("sleep", &json!({ "seconds": 0 }))));
        let answer = client.next();
        assert_eq!(answer["id"], 2, "{answer}");
        let (status, rest, errors) = client.end();
        assert_eq!(status.code(), Some(0), "{errors}");
        assert!(rest.is_empty(), "{rest:?}");
    }
}

#[test]
fn a_server_that_dies_in_mid_call_is_an_error_of_that_call_and_the_next_one_finds_another() {
    let (_gate, _server, [_, mut client]) = house();
    let answer = client.call(1, "tools/call", &call("die", &json!({})));
    assert!(answer["error"].is_object(), "{answer}");
    let answer = client.call(2, "tools/call", &call("sleep", &json!({ "seconds": 0 })));
    assert_eq!(text(&answer), "slept");
}
