//! What a SPIFFE agent gives, against the real binary: the Workload API is that of PyPI's `spiffe` over a Unix socket.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::os::unix::net::UnixListener;
use std::path::Path;

use portcullis_engine::Certificate;
use portcullis_pki::{Authority, Issued};
use portcullis_tests::agent::{Agent, Given, socket, svid};
use portcullis_tests::connect::{Connected, newest};
use portcullis_tests::gate::{Gate, Setup, binary};
use portcullis_tests::pki;
use serde_json::{Value, json};

const ALICE: &str = "spiffe://example.org/alice";

/// A gate for the SVIDs of `example.org`, which it has in files.
fn gate_for(authority: &Authority) -> Gate {
    let setup = Setup::new();
    let bundle = format!("spiffe://example.org\n{}", authority.certificate_pem());
    setup.write("bundles.pem", bundle);
    let sections = "[policies.spiffe-id]\nassets = { bundles = \"bundles.pem\" }\n";
    setup.start(r#"["spiffe-id"]"#, sections)
}

/// `portcullis connect` with what an agent gives.
fn connect(gate: &Gate, agent: &Path, patience_ms: u32) -> Connected {
    let url = format!("https://{}/portcullis/mcp", gate.address());
    let (binary, ca) = (binary().display().to_string(), gate.setup().ca().display().to_string());
    let (agent, patience) = (format!("unix:{}", agent.display()), patience_ms.to_string());
    let source = ["--workload-api", &agent, "--ca", &ca, "--connect-timeout-ms", &patience];
    let command = [&[&binary, "connect", &url], &source[..]].concat();
    Connected::start(&command.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

fn who_am_i() -> Value {
    newest(json!({ "name": "whoami", "arguments": {} }))
}

/// What `whoami` says.
fn who(answer: &Value) -> Value {
    let text = answer["result"]["content"][0]["text"].as_str();
    serde_json::from_str(text.unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

fn serial(issued: &Issued) -> String {
    let certificate = Certificate::from_der(issued.certificate_der.clone()).unwrap();
    certificate.serial_number().to_owned()
}

/// Waits until somebody has tried to reach the agent at this socket, where there is none yet.
fn await_attempt(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    std::fs::remove_file(socket).unwrap();
}

/// Asks until the answer is the one that is waited for. Each question takes its time.
fn until<T: PartialEq + std::fmt::Debug>(wanted: &T, mut ask: impl FnMut() -> T) {
    let begin = std::time::Instant::now();
    loop {
        let answer = ask();
        if answer == *wanted {
            return;
        }
        assert!(begin.elapsed().as_secs() < 60, "{answer:?}, not {wanted:?}");
    }
}

#[test]
fn connect_presents_what_an_agent_gives_that_comes_later_renews_it_and_goes_away() {
    let authority = pki::root("example.org");
    let gate = gate_for(&authority);
    let socket = socket(gate.setup().directory());
    let mut client = connect(&gate, &socket, 60_000);
    client.say(&portcullis_tests::connect::request(1, "tools/call", &who_am_i()));
    await_attempt(&socket);

    let mut agent = Agent::start(&socket);
    let first = svid(&authority, ALICE, pki::valid());
    agent.give(&Given::default().svid(&first, &[&authority]));
    // It would say `refused` without the header that clients of the Workload API have to send.
    assert_eq!(agent.next(), "stream");
    let answer = who(&client.next());
    assert_eq!(answer["principal"], ALICE, "{answer}");
    assert_eq!(answer["certificate"]["serial_number"], serial(&first), "{answer}");

    let second = svid(&authority, ALICE, pki::valid());
    agent.give(&Given::default().svid(&second, &[&authority]));
    let mut id = 1;
    let mut presented = || {
        id += 1;
        let answer = who(&client.call(id, "tools/call", &who_am_i()));
        answer["certificate"]["serial_number"].as_str().unwrap().to_owned()
    };
    until(&serial(&second), &mut presented);

    agent.kill();
    assert_eq!(presented(), serial(&second));

    let mut agent = Agent::start(&socket);
    agent.deny();
    let mut client = connect(&gate, &socket, 100);
    let answer = client.call(1, "tools/call", &who_am_i());
    assert_eq!(answer["error"]["data"]["reason"], "no-identity", "{answer}");
}
