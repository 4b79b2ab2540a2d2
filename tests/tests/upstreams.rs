//! Clients of the SDKs, old and new, with real servers of both kinds behind the gate.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;

use portcullis_pki::Profile;
use portcullis_tests::client::{Era, McpClient, call_tool, cancel_tool, peers, script};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::raw::{Dialer, call};
use portcullis_tests::upstream::{Listening, Server};
use serde_json::{Value, json};

const CLIENTS: [McpClient; 4] =
    [McpClient::PyPi1, McpClient::PyPi2(Era::Auto), McpClient::Npm(Era::Auto), McpClient::NpmSdk1];

/// A gate before these servers, and a client's identity.
fn gate(setup: Setup, servers: &str) -> (Gate, Identity) {
    let authority = pki::root("Test clients");
    setup.write("clients-ca.pem", authority.certificate_pem());
    let client = authority.issue(&Profile::client("alice", pki::valid())).unwrap();
    let identity = Identity::write(setup.directory(), "alice", &client);
    let policies = "[policies.ca-chain]\nassets = { anchors = \"clients-ca.pem\" }\n";
    (setup.start(r#"["ca-chain"]"#, &format!("{policies}{servers}")), identity)
}

fn repository(setup: &Setup) -> String {
    let folder = setup.path("repository");
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.c",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "The first one",
        ],
    ] {
        std::fs::create_dir_all(&folder).unwrap();
        let status = Command::new("git").args(arguments).current_dir(&folder).status();
        assert!(status.unwrap().success());
    }
    folder.display().to_string()
}

#[test]
fn every_client_calls_every_server() {
    let (setup, peers) = (Setup::new(), peers());
    let repository = repository(&setup);
    setup.write("text.txt", "What stands in a file");
    let (folder, text) = (setup.directory().display().to_string(), setup.path("text.txt"));
    let http = Server::Everything.listen();
    let node = |script: &str| format!("{:?}, {:?}", peers.node(), peers.script(script));
    let servers = format!(
        "[servers.time]\ncommand = [{:?}, \"--local-timezone\", \"UTC\"]\n\
         [servers.git]\ncommand = [{:?}, \"--repository\", {repository:?}]\n\
         [servers.filesystem]\ncommand = [{}, {folder:?}]\n\
         [servers.memory]\ncommand = [{}]\nenvironment = {{ MEMORY_FILE_PATH = \"{folder}/memory.json\" }}\n\
         [servers.everything]\ncommand = {}\n[servers.everything-http]\nurl = \"{}\"\n",
        peers.mcp_server_time(),
        peers.mcp_server_git(),
        node("mcp-server-filesystem"),
        node("mcp-server-memory"),
        Server::Everything.command(),
        http.url(),
    );
    let (gate, identity) = gate(setup, &servers);
    let log = json!({ "repo_path": repository });
    let read = json!({ "path": text });
    let entity = json!({ "entities": [{ "name": "gate", "entityType": "thing", "observations": ["stands"] }] });
    let convert =
        json!({ "source_timezone": "UTC", "time": "12:30", "target_timezone": "Asia/Tokyo" });
    let echo = json!({ "message": "hello" });
    for client in CLIENTS {
        for (server, tool, arguments, expected) in [
            ("time", "convert_time", &convert, "21:30"),
            ("git", "git_log", &log, "The first one"),
            ("filesystem", "read_text_file", &read, "What stands in a file"),
            ("memory", "create_entities", &entity, ""),
            ("everything", "echo", &echo, "Echo: hello"),
            ("everything-http", "echo", &echo, "Echo: hello"),
        ] {
            let (path, call) = (format!("/{server}/mcp"), (tool, &*arguments.to_string()));
            let answer = call_tool(client, &gate, &path, call, Some(&identity));
            let answer = answer.unwrap_or_else(|said| panic!("{client:?}, {server}: {said}"));
            assert_eq!(answer["is_error"], false, "{client:?}, {server}: {answer}");
            let tools = answer["tools"].as_array().unwrap();
            assert!(tools.contains(&json!(tool)), "{client:?}, {server}: {answer}");
            let text = answer["text"].as_str().unwrap();
            assert!(text.contains(expected), "{client:?}, {server}: {answer}");
        }
    }
}

/// The Python server of the tests behind a gate, as a command and over HTTP.
fn python() -> (Gate, Identity, Listening) {
    let http = Server::Python.listen();
    let servers = format!(
        "[servers.stdio]\ncommand = {}\n[servers.http]\nurl = \"{}\"\n",
        Server::Python.command(),
        http.url()
    );
    let (gate, identity) = gate(Setup::new(), &servers);
    (gate, identity, http)
}

#[test]
fn progress_sampling_and_elicitation_make_their_round_trips() {
    let (gate, identity, _http) = python();
    for client in CLIENTS {
        for path in ["/stdio/mcp", "/http/mcp"] {
            let call = |tool, arguments: Value| {
                let call = (tool, &*arguments.to_string());
                call_tool(client, &gate, path, call, Some(&identity))
                    .unwrap_or_else(|said| panic!("{client:?}, {path}, {tool}: {said}"))
            };
            let answer = call("test_tool_with_progress", json!({}));
            let progress = answer["progress"].as_array().unwrap().iter().map(Value::as_f64);
            let progress: Vec<f64> = progress.map(Option::unwrap).collect();
            assert_eq!(progress, [0.0, 50.0, 100.0], "{client:?}, {path}: {answer}");
            let answer = call("test_sampling", json!({ "prompt": "a question" }));
            assert_eq!(answer["text"], "LLM response: sampled a question", "{client:?}, {path}");
            let answer = call("test_elicitation", json!({ "message": "who?" }));
            let text = answer["text"].as_str().unwrap();
            assert!(
                text.contains("accept") && text.contains("alice@"),
                "{client:?}, {path}: {text}"
            );
        }
    }
}

#[test]
fn a_cancelled_call_leaves_its_session_as_it_was() {
    let (gate, identity, _http) = python();
    for client in CLIENTS {
        for path in ["/stdio/mcp", "/http/mcp"] {
            let call = ("sleep", r#"{"seconds": 600}"#);
            let answer = cancel_tool(client, &gate, path, call, &identity);
            let answer = answer.unwrap_or_else(|said| panic!("{client:?}, {path}: {said}"));
            let expected = "This is a simple text response for testing.";
            assert_eq!(answer["text"], expected, "{client:?}, {path}");
        }
    }
}

#[test]
fn a_server_over_https_is_checked_and_shown_a_certificate() {
    let setup = Setup::new();
    let inside = pki::root("Inside");
    setup.write("inside-ca.pem", inside.certificate_pem());
    setup.write("other-ca.pem", pki::root("Other").certificate_pem());
    let remote = inside.issue(&pki::server()).unwrap();
    let remote = Identity::write(setup.directory(), "remote", &remote);
    let of_gate = inside.issue(&Profile::client("the gate", pki::valid())).unwrap();
    let of_gate = Identity::write(setup.directory(), "gate", &of_gate);
    let server =
        Listening::start(Command::new(peers().node()).arg(script("secure_server.mjs")).args([
            &remote.chain,
            &remote.key,
            &setup.path("inside-ca.pem"),
        ]));
    let url = format!("url = \"https://127.0.0.1:{}/mcp\"\n", server.port());
    let (chain, key) = (of_gate.chain.display(), of_gate.key.display());
    let identity = format!("certificate = \"{chain}\"\nprivate-key = \"{key}\"\n");
    let servers = format!(
        "[servers.good]\n{url}roots = \"inside-ca.pem\"\n{identity}\
         [servers.stranger]\n{url}roots = \"other-ca.pem\"\n{identity}\
         [servers.nameless]\n{url}roots = \"inside-ca.pem\"\n"
    );
    let (gate, identity) = gate(setup, &servers);
    let dialer = Dialer::new(&gate, &identity);
    for (server, expected) in [
        ("good", r#""result":{"http":"2.0","client":"the gate"}"#),
        ("stranger", r#""error":{"code":-32603"#),
        ("nameless", r#""error":{"code":-32603"#),
    ] {
        let mut raw = dialer.connect();
        raw.post(&format!("/{server}/mcp"), "", &call(7, "any", &json!({})));
        raw.read_to(expected);
    }
}
