//! `portcullis connect` on standard input and output, line by line, against a real gate.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;

use portcullis_pki::{Authority, Issued, Profile, Validity};
use portcullis_tests::client::peers;
use portcullis_tests::connect::{Connected, command, newest, request};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use serde_json::{Value, json};

struct House {
    authority: Authority,
    gate: Gate,
    alice: Identity,
    serial: String,
}

/// A gate for the clients of one authority, before itself and a real server.
fn house() -> House {
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    let issued = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let alice = Identity::write(setup.directory(), "alice", &issued);
    let time = peers().mcp_server_time();
    let sections = format!(
        "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         [servers.time]\ncommand = [{time:?}, \"--local-timezone\", \"UTC\"]\n"
    );
    let gate = setup.start(r#"["ca-chain"]"#, &sections);
    House { authority, gate, alice, serial: serial(&issued) }
}

fn serial(issued: &Issued) -> String {
    let certificate = portcullis_engine::Certificate::from_der(issued.certificate_der.clone());
    certificate.unwrap().serial_number().to_owned()
}

impl House {
    fn connect(&self, path: &str) -> Connected {
        Connected::start(&command(&self.gate, path, &self.alice))
    }
}

/// As renewal tools do it: whoever reads sees the old file or the new one.
fn replace(path: &std::path::Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn who_am_i() -> Value {
    json!({ "name": "whoami", "arguments": {} })
}

/// What `whoami` says of the certificate.
fn who(answer: &Value) -> Value {
    let text = answer["result"]["content"][0]["text"].as_str();
    serde_json::from_str(text.unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

#[test]
fn a_session_is_opened_used_and_ended() {
    let house = house();
    let mut client = house.connect("/time/mcp");
    let opened = client.initialize();
    assert_eq!(opened["result"]["protocolVersion"], "2025-11-25", "{opened}");
    let answer = client.call(1, "tools/list", &json!({}));
    assert_eq!(answer["result"]["tools"][0]["name"], "get_current_time", "{answer}");
    let (status, rest, errors) = client.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn requests_of_the_newest_revision_stand_for_themselves() {
    let house = house();
    let mut client = house.connect("/portcullis/mcp");
    let found = client.call(1, "server/discover", &newest(json!({})));
    assert!(found["result"]["supportedVersions"].is_array(), "{found}");
    let answer = client.call(2, "tools/call", &newest(who_am_i()));
    assert_eq!(who(&answer)["certificate"]["serial_number"], house.serial, "{answer}");
    assert_eq!(client.end().0.code(), Some(0));
}

#[test]
fn messages_that_were_sent_before_the_input_ended_are_answered() {
    let house = house();
    let mut client = house.connect("/portcullis/mcp");
    client.say(&request(
        0,
        "initialize",
        &json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                 "clientInfo": { "name": "script", "version": "1" } }),
    ));
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    client.say(&request(1, "tools/call", &who_am_i()));
    let (status, lines, errors) = client.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    let ids: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, [0, 1], "{lines:?}");
}

#[test]
fn a_thousand_requests_at_once_are_all_answered() {
    let house = house();
    let mut client = house.connect("/portcullis/mcp");
    let _ = client.initialize();
    for id in 1..=1000 {
        let parameters = if id % 2 == 0 { newest(who_am_i()) } else { who_am_i() };
        client.say(&request(id, "tools/call", &parameters));
    }
    let mut answered = BTreeSet::new();
    for _ in 0..1000 {
        let answer = client.next();
        assert!(answer["result"].is_object(), "{answer}");
        answered.insert(answer["id"].as_u64().unwrap());
    }
    assert_eq!(answered.len(), 1000);
    assert_eq!(client.end().0.code(), Some(0));
}

#[test]
fn lines_that_are_no_messages_are_answered_and_do_no_harm() {
    let house = house();
    let mut client = house.connect("/portcullis/mcp");
    for (line, code) in [
        ("oh no", -32700),
        ("{\"jsonrpc\":\"2.0\"", -32700),
        ("[]", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"x\"}", -32600),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"x\"}", -32600),
    ] {
        client.say(line);
        let answer = client.next();
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert_eq!(answer["id"], Value::Null, "{line}");
    }
    client.say("\n   ");
    let answer = client.call(1, "tools/call", &newest(who_am_i()));
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn a_message_that_the_gate_finds_too_large_is_refused_and_a_large_one_passes_byte_for_byte() {
    let house = house();
    let mut client = house.connect("/time/mcp");
    let _ = client.initialize();
    let with = |bytes: usize| json!({ "name": "get_current_time", "arguments": { "timezone": "x".repeat(bytes) } });
    // The server quotes it in its own error.
    let answer = client.call(1, "tools/call", &with(1024 * 1024));
    assert!(answer["result"].to_string().contains(&"x".repeat(1024 * 1024)), "no echo");
    let answer = client.call(2, "tools/call", &with(5 * 1024 * 1024));
    assert_eq!(answer["error"]["data"]["status"], 413, "{answer}");
    let answer = client.call(3, "tools/list", &json!({}));
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn a_certificate_that_is_refused_is_said_in_plain_words() {
    let authority = pki::root("Test clients");
    let setup = Setup::new();
    setup.write("clients-ca.pem", authority.certificate_pem());
    setup.write("pins.txt", "");
    let write = |name: &str, issued: &Issued| Identity::write(setup.directory(), name, issued);
    let expired = authority.issue(&Profile::client("late", pki::expired())).unwrap();
    let stranger =
        pki::root("Other clients").issue(&Profile::client("stranger", pki::valid())).unwrap();
    let unpinned = authority.issue(&Profile::client("unpinned", pki::valid())).unwrap();
    let cases = [
        (write("late", &expired), &expired, "certificate_expired", "renew"),
        (write("stranger", &stranger), &stranger, "unknown_ca", "does not trust"),
        (write("unpinned", &unpinned), &unpinned, "access_denied", "policies"),
    ];
    let gate = setup.start(
        r#"["ca-chain", "pin-list"]"#,
        "[policies.ca-chain]\nassets = { anchors = \"clients-ca.pem\" }\n\
         [policies.pin-list]\nassets = { pins = \"pins.txt\" }\n",
    );
    for (identity, issued, alert, words) in cases {
        let mut client = Connected::start(&command(&gate, "/portcullis/mcp", &identity));
        for parameters in [who_am_i(), newest(who_am_i())] {
            let answer = client.call(1, "tools/call", &parameters);
            let data = &answer["error"]["data"];
            assert_eq!(data["reason"], "refused", "{answer}");
            assert_eq!(data["alert"], alert, "{answer}");
            assert_eq!(data["serialNumber"], serial(issued), "{answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
        }
        let (status, _, errors) = client.end();
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains(alert) && errors.contains(words), "{errors}");
        let key = std::fs::read_to_string(&identity.key).unwrap();
        assert!(!errors.contains(key.lines().nth(1).unwrap()));
    }
}

#[test]
fn a_gate_that_is_not_the_trusted_one_is_not_spoken_to() {
    let house = house();
    let mut command = command(&house.gate, "/portcullis/mcp", &house.alice);
    let other = house.gate.setup().path("clients-ca.pem").display().to_string();
    *command.last_mut().unwrap() = other;
    let mut client = Connected::start(&command);
    let answer = client.call(1, "tools/call", &newest(who_am_i()));
    assert_eq!(answer["error"]["data"]["reason"], "untrusted", "{answer}");
    assert_eq!(client.end().0.code(), Some(1));
}

#[test]
fn a_renewed_certificate_is_used_for_the_next_request_and_none_is_lost() {
    let house = house();
    for newest_revision in [false, true] {
        let issue = || house.authority.issue(&Profile::client("alice", pki::valid())).unwrap();
        // Certificate and key in one file, which can be replaced as one.
        let path = house.gate.setup().path("alice.pem");
        let write =
            |issued: &Issued| replace(&path, &format!("{}{}", issued.key_pem, issued.chain_pem));
        let parameters = if newest_revision { newest(who_am_i()) } else { who_am_i() };
        let first = issue();
        write(&first);
        let identity = Identity { chain: path.clone(), key: path.clone(), ..house.alice.clone() };
        let mut client = Connected::start(&command(&house.gate, "/portcullis/mcp", &identity));
        if !newest_revision {
            let _ = client.initialize();
        }
        let answer = client.call(1, "tools/call", &parameters);
        assert_eq!(who(&answer)["certificate"]["serial_number"], serial(&first));
        let second = issue();
        write(&second);
        for id in 2..50 {
            client.say(&request(id, "tools/call", &parameters));
        }
        for _ in 2..50 {
            let answer = client.next();
            assert_eq!(who(&answer)["certificate"]["serial_number"], serial(&second), "{answer}");
        }
        // Half a renewal changes nothing.
        replace(&path, &issue().chain_pem);
        let answer = client.call(50, "tools/call", &parameters);
        assert_eq!(who(&answer)["certificate"]["serial_number"], serial(&second));
        let (status, _, errors) = client.end();
        assert_eq!(status.code(), Some(0), "{errors}");
        assert_eq!(errors.matches("the old one is still used").count(), 1, "{errors}");
    }
}

#[test]
fn a_certificate_that_expires_soon_is_warned_of() {
    let house = house();
    let now = pki::now();
    let soon = Validity { not_before: now - 3600, not_after: now + 600 };
    let issued = house.authority.issue(&Profile::client("soon", soon)).unwrap();
    let identity = Identity::write(house.gate.setup().directory(), "soon", &issued);
    let mut client = Connected::start(&command(&house.gate, "/portcullis/mcp", &identity));
    let answer = client.call(1, "tools/call", &newest(who_am_i()));
    assert!(answer["result"].is_object(), "{answer}");
    let (status, _, errors) = client.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert_eq!(errors.matches("expires soon").count(), 1, "{errors}");
    assert!(errors.contains(&serial(&issued)), "{errors}");
}

#[test]
fn a_gate_that_was_started_again_gets_the_session_back() {
    let mut house = house();
    let mut client = house.connect("/time/mcp");
    let _ = client.initialize();
    let answer = client.call(1, "tools/list", &json!({}));
    assert!(answer["result"].is_object(), "{answer}");
    house.gate.kill();
    house.gate.start_again();
    let answer = client.call(2, "tools/list", &json!({}));
    assert!(answer["result"].is_object(), "{answer}");
    let (status, rest, errors) = client.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    // The answer to the second `initialize` is nobody's business.
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_gate_that_is_away_is_waited_for_and_then_reported() {
    let mut house = house();
    house.gate.kill();
    let mut command = command(&house.gate, "/portcullis/mcp", &house.alice);
    command.extend(["--connect-timeout-ms".to_owned(), "500".to_owned()]);
    let mut client = Connected::start(&command);
    let answer = client.call(1, "tools/call", &newest(who_am_i()));
    assert_eq!(answer["error"]["data"]["reason"], "unreachable", "{answer}");
    house.gate.start_again();
    let answer = client.call(2, "tools/call", &newest(who_am_i()));
    assert!(answer["result"].is_object(), "{answer}");
    assert_eq!(client.end().0.code(), Some(0));
}

#[test]
fn files_that_are_no_identity_are_a_mistake() {
    let house = house();
    let mut command = command(&house.gate, "/portcullis/mcp", &house.alice);
    command[6] = house.alice.chain.display().to_string();
    let (status, lines, errors) = Connected::start(&command).end();
    assert_eq!(status.code(), Some(2));
    assert!(lines.is_empty(), "{lines:?}");
    assert!(errors.contains("--key") && errors.contains("no private key"), "{errors}");
}
