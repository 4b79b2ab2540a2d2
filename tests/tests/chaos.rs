//! Servers that die, clients that vanish, and answers that are huge, at a real gate.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_pki::Profile;
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::process::Process;
use portcullis_tests::raw::{Dialer, call};
use portcullis_tests::upstream::Server;
use serde_json::{Value, json};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn gate(servers: &str) -> (Gate, Identity) {
    let (authority, setup) = (pki::root("Test clients"), Setup::new());
    setup.write("clients-ca.pem", authority.certificate_pem());
    let client = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let identity = Identity::write(setup.directory(), "alice", &client);
    let policies = "[policies.ca-chain]\nassets = { anchors = \"clients-ca.pem\" }\n";
    (setup.start(r#"["ca-chain"]"#, &format!("{policies}{servers}")), identity)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn children(gate: &Gate) -> HashSet<Process> {
    gate.process().children().into_iter().collect()
}

#[test]
fn a_server_that_is_killed_in_mid_call_is_an_error_for_its_caller_and_nothing_for_others() {
    let servers = format!("[servers.python]\ncommand = {}\n", Server::Python.command());
    let (gate, identity) = gate(&servers);
    let (dialer, path) = (Dialer::new(&gate, &identity), "/python/mcp");
    let of_others = dialer.initialize(path);
    let before = children(&gate);
    let session = dialer.initialize(path);
    let process = *children(&gate).difference(&before).next().unwrap();

    let mut other = dialer.connect();
    other.post(path, &of_others, &call(1, "test_tool_with_logging", &json!({})));
    let mut caller = dialer.connect();
    caller.post(path, &session, &call(2, "sleep", &json!({ "seconds": 600 })));
    caller.read_to("\r\n\r\n");
    process.kill();
    assert_eq!(caller.answer(2)["error"]["code"], -32603);
    assert_eq!(other.answer(1)["result"]["isError"], false);

    let again = dialer.initialize(path);
    let answer = dialer.call(path, &again, "test_simple_text", &json!({}));
    assert_eq!(answer["result"]["isError"], false);
}

#[test]
fn a_server_that_is_gone_is_an_error_for_its_callers() {
    let mut server = Server::Python.listen();
    let (gate, identity) = gate(&format!("[servers.python]\nurl = \"{}\"\n", server.url()));
    let (dialer, path) = (Dialer::new(&gate, &identity), "/python/mcp");
    let session = dialer.initialize(path);
    let answer = dialer.call(path, &session, "test_simple_text", &json!({}));
    assert_eq!(answer["result"]["isError"], false);
    server.kill();
    let mut raw = dialer.connect();
    raw.post(path, &session, &call(7, "test_simple_text", &json!({})));
    raw.read_to("\"error\":{\"code\":-32603");
}

/// They leave in the middle of something, four at a time.
#[test]
fn a_thousand_clients_that_vanish_leave_nothing_behind() {
    let hostile =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/mcp/tests/servers/hostile.sh");
    let remote = Server::Python.listen();
    let servers = format!(
        "[servers.stdio]\ncommand = [\"sh\", {hostile:?}]\nidle-timeout-ms = 500\n\
         maximum-sessions-per-client = 256\n\
         [servers.http]\nurl = \"{}\"\nidle-timeout-ms = 500\nmaximum-sessions-per-client = 1000\n",
        remote.url()
    );
    let (gate, identity) = gate(&servers);
    let dialer = &Dialer::new(&gate, &identity);
    let vanish = move |number: usize| match number % 5 {
        0 => drop(dialer.connect()),
        1 => {
            let mut raw = dialer.connect();
            raw.say("POST /stdio/mcp HTTP/1.1\r\nhost: gate\r\ncontent-length: 100\r\n\r\n{");
        }
        2 => {
            let session = dialer.initialize("/stdio/mcp");
            let mut raw = dialer.connect();
            raw.get("/stdio/mcp", &session);
            raw.read_to("200 OK");
        }
        3 => {
            let session = dialer.initialize("/stdio/mcp");
            let mut raw = dialer.connect();
            raw.post("/stdio/mcp", &session, r#"{"jsonrpc":"2.0","id":1,"method":"hang"}"#);
            raw.read_to("200 OK");
        }
        _ => {
            let session = dialer.initialize("/http/mcp");
            let mut raw = dialer.connect();
            raw.post("/http/mcp", &session, &call(1, "sleep", &json!({ "seconds": 600 })));
            raw.read_to("200 OK");
        }
    };
    // What the gate opens once and keeps, it has opened after these.
    (0..10).for_each(vanish);
    until("the first processes are gone", || gate.process().children().is_empty());
    let before = gate.process().open_files();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (thread * 250..(thread + 1) * 250).for_each(vanish));
        }
    });
    until("the processes are gone", || gate.process().children().is_empty());
    until("the files are closed", || gate.process().open_files() <= before);
}

#[test]
fn an_answer_of_50_megabytes_passes_and_is_never_held() {
    const LENGTH: usize = 50_000_000;
    const HELD_KIB: u64 = 32 * 1024;

    let remote = Server::Python.listen();
    let servers = format!(
        "[servers.stdio]\ncommand = {}\n[servers.http]\nurl = \"{}\"\n",
        Server::Python.command(),
        remote.url()
    );
    let (gate, identity) = gate(&servers);
    let dialer = Dialer::new(&gate, &identity);
    for path in ["/stdio/mcp", "/http/mcp"] {
        let session = dialer.initialize(path);
        assert_eq!(big(&gate, &identity, path, &session, 1).len(), 1);
        let (_, before) = gate.process().resident_kib();
        let text = big(&gate, &identity, path, &session, LENGTH);
        assert!(text.len() == LENGTH && text.bytes().all(|byte| byte == b'x'), "{path}");
        let (_, peak) = gate.process().resident_kib();
        assert!(peak < before + HELD_KIB, "{path}: {before} KiB, then {peak} KiB");
    }
}

/// Calls for an answer of this length, with curl.
fn big(gate: &Gate, identity: &Identity, path: &str, session: &str, length: usize) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--http1.1"])
        .args(["-H", "content-type: application/json", "-H", &format!("mcp-session-id: {session}")])
        .args(["-H", "accept: application/json, text/event-stream"])
        .arg("--cacert")
        .arg(gate.setup().ca())
        .arg("--cert")
        .arg(&identity.chain)
        .arg("--key")
        .arg(&identity.key)
        .args(["--data", &call(1, "big", &json!({ "bytes": length }))])
        .arg(format!("https://{}{path}", gate.address()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let said = String::from_utf8(output.stdout).unwrap();
    let answer = said.lines().find_map(|line| line.strip_prefix("data: {").map(|_| &line[6..]));
    let answer: Value =
        serde_json::from_str(answer.unwrap_or_else(|| panic!("{said:.300}"))).unwrap();
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}
