//! The binary as its users call it: exit codes, and where it points when something is wrong.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

use std::path::Path;
use std::process::{Command, Output};

use portcullis_pki::{Authority, Profile, Validity, write_private, write_public};
use portcullis_tests::gate::component;
use portcullis_tests::guest;
use serde_json::Value;
use tempfile::TempDir;

const VALIDITY: Validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };
const CONFIG: &str = "chain = [\"gate\"]\n\n[listen]\naddress = \"127.0.0.1:0\"\n\
                      certificate = \"server.pem\"\nprivate-key = \"server.key\"\n";

/// A folder with a configuration, its plugins and its certificates.
struct Setup(TempDir);

impl Setup {
    fn new(config: &str, component: &[u8]) -> Self {
        let setup = Self(tempfile::tempdir().expect("a folder"));
        let authority = Authority::root(&Profile::authority("Test", VALIDITY)).expect("a root");
        let server = Profile::server("gate", Vec::new(), VALIDITY);
        let server = authority.issue(&server).expect("a certificate");
        let client =
            authority.issue(&Profile::client("client-1", VALIDITY)).expect("a certificate");
        write_public(&setup.path("server-ca.pem"), &authority.certificate_pem()).expect("written");
        write_public(&setup.path("server.pem"), &server.chain_pem).expect("written");
        write_private(&setup.path("server.key"), &server.key_pem).expect("written");
        write_public(&setup.path("client.pem"), &client.certificate_pem).expect("written");
        write_private(&setup.path("client.key"), &client.key_pem).expect("written");
        std::fs::write(setup.path("portcullis.toml"), config).expect("written");
        std::fs::write(setup.path("gate.wasm"), component).expect("written");
        setup
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn portcullis(&self, arguments: &[&str]) -> Output {
        portcullis(self.0.path(), arguments)
    }
}

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn accepting() -> Vec<u8> {
    guest::policy_from("")
}

#[test]
fn check_prints_the_chain_as_it_will_be_asked_and_succeeds() {
    let setup = Setup::new(CONFIG, &accepting());
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report = json(&output);
    assert_eq!(report["chain"][0]["policy"], "gate");
    assert_eq!(report["chain"][0]["mode"], "enforce");
    assert_eq!(report["servers"][0]["path"], "/portcullis/mcp");
}

#[test]
fn a_mistake_in_the_configuration_exits_with_2_and_points_at_its_line() {
    let setup = Setup::new(&format!("{CONFIG}adress = 1\n"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let error = &json(&output)["error"];
    assert_eq!(error["line"], 7);
    assert_eq!(error["key"], "listen.adress");
    assert_eq!(error["hint"], "did you mean `address`?");
}

const RULES: &str = "[servers.time]\ncommand = [\"true\"]\n\
                     [[authorize]]\nprincipals = [\"alice\", \"bob\"]\nservers = [\"time\"]\ntools = [\"get_*\"]\n\
                     [[authorize]]\nattributes = { team = \"ops\" }\nservers = [\"*\"]\n";

#[test]
fn check_prints_who_may_call_what() {
    let setup = Setup::new(&format!("{CONFIG}{RULES}"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rules = &json(&output)["authorize"];
    assert_eq!(rules[0]["who"][0], "principal alice or bob");
    assert_eq!(rules[0]["may"][0], "tools get_*");
    assert_eq!(rules[1]["may"][0], "everything");
    let text = setup.portcullis(&["check", "--plugins", "."]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("tools get_* if principal alice or bob\n"), "{text}");
}

#[test]
fn a_rule_for_a_server_that_there_is_not_is_a_mistake_at_its_line() {
    let rules = RULES.replace("servers = [\"*\"]", "servers = [\"tiem\"]");
    let setup = Setup::new(&format!("{CONFIG}{rules}"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let error = &json(&output)["error"];
    assert_eq!(
        (&error["line"], &error["key"]),
        (&13.into(), &"authorize.servers".into()),
        "{error}"
    );
    assert_eq!(error["hint"], "there are time, portcullis");
}

#[test]
fn a_missing_component_exits_with_2_and_names_the_file() {
    let setup = Setup::new(&CONFIG.replace("gate", "absent"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let error = &json(&output)["error"];
    assert_eq!(error["line"], 1);
    assert!(error["problem"].as_str().is_some_and(|text| text.contains("absent.wasm")), "{error}");
}

#[test]
fn a_policy_that_the_chain_does_not_name_is_a_mistake() {
    let setup = Setup::new(&format!("{CONFIG}[policies.other]\n"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(json(&output)["error"]["key"], "policies.other");
}

#[test]
fn a_server_key_of_another_certificate_is_refused_without_a_word_of_it() {
    let setup = Setup::new(&CONFIG.replace("server.key", "client.key"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", "."]);
    assert_eq!(output.status.code(), Some(2));
    let key = std::fs::read_to_string(setup.path("client.key")).expect("the key");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(key.lines().all(|line| !said.contains(line)), "{said}");
}

#[test]
fn explain_exits_with_0_for_an_acceptance_and_1_for_a_rejection() {
    let at = ["--plugins", ".", "--format", "json", "--at", "1795000000"];
    let accepted = Setup::new(CONFIG, &accepting());
    let output = accepted.portcullis(&[&["explain", "client.pem"][..], &at].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let explanation = json(&output);
    assert_eq!(explanation["verdict"], "accepted");
    assert_eq!(explanation["certificates"][0]["subject"], "CN=client-1");

    let trapping = Setup::new(CONFIG, &guest::policy("evaluate-traps"));
    let output = trapping.portcullis(&[&["explain", "client.pem"][..], &at].concat());
    assert_eq!(output.status.code(), Some(1));
    let explanation = json(&output);
    assert_eq!(explanation["code"], "policy-trapped");
    assert_eq!(explanation["alert"], "access_denied");
}

#[test]
fn a_policy_in_shadow_mode_does_not_decide() {
    let config = format!("{CONFIG}[policies.gate]\nmode = \"shadow\"\n");
    let output = Setup::new(&config, &accepting()).portcullis(&["check", "--plugins", "."]);
    assert_eq!(output.status.code(), Some(2), "a chain that nobody decides in is refused");

    let config = config.replace("[\"gate\"]", "[\"gate\", \"accepts\"]");
    let setup = Setup::new(&config, &guest::policy("evaluate-traps"));
    std::fs::write(setup.path("accepts.wasm"), accepting()).expect("written");
    let output = setup.portcullis(&["explain", "client.pem", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(json(&output)["policies"][0]["code"], "policy-trapped");
}

#[test]
fn explaining_a_key_or_garbage_exits_with_2() {
    let setup = Setup::new(CONFIG, &accepting());
    std::fs::write(setup.path("garbage"), b"garbage").expect("written");
    for file in ["client.key", "garbage", "absent"] {
        let output = setup.portcullis(&["explain", file, "--plugins", "."]);
        assert_eq!(output.status.code(), Some(2), "{file}");
    }
}

#[test]
fn an_unknown_option_exits_with_2() {
    assert_eq!(portcullis(Path::new("."), &["run", "--insecure"]).status.code(), Some(2));
}

#[test]
fn check_warns_of_pins_without_any_path_validation() {
    let pins = "[policies.pin-list]\nassets = { pins = \"pins.txt\" }\n";
    let setup = Setup::new(&format!("{}{pins}", CONFIG.replace("gate\"", "pin-list\"")), b"");
    std::fs::write(setup.path("pin-list.wasm"), component("pin-list")).expect("written");
    std::fs::write(setup.path("ca-chain.wasm"), component("ca-chain")).expect("written");
    let pin = format!("spki-sha256 {}\n", "0".repeat(64));
    std::fs::write(setup.path("pins.txt"), pin).expect("written");
    let warnings = |setup: &Setup| {
        let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        json(&output)["warnings"].as_array().map(Vec::len)
    };
    assert_eq!(warnings(&setup), Some(1));

    let anchors = "[policies.ca-chain]\nassets = { anchors = \"server-ca.pem\" }\n";
    let config = CONFIG.replace("[\"gate\"]", "[\"ca-chain\", \"pin-list\"]");
    std::fs::write(setup.path("portcullis.toml"), format!("{config}{anchors}{pins}"))
        .expect("written");
    assert_eq!(warnings(&setup), Some(0));
}

#[test]
fn check_warns_of_an_anchor_that_has_expired() {
    let config = "chain = [\"ca-chain\"]\n".to_owned()
        + CONFIG.split_once('\n').expect("a second line").1
        + "[policies.ca-chain]\nassets = { anchors = \"anchors.pem\" }\n";
    let setup = Setup::new(&config, b"");
    std::fs::write(setup.path("ca-chain.wasm"), component("ca-chain")).expect("written");
    let past = Validity { not_before: 1_000_000_000, not_after: 1_000_000_060 };
    let old = Authority::root(&Profile::authority("Old", past)).expect("a root");
    let current = std::fs::read_to_string(setup.path("server-ca.pem")).expect("the other root");
    std::fs::write(setup.path("anchors.pem"), current + &old.certificate_pem()).expect("written");
    let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let warnings = json(&output)["warnings"].clone();
    assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{warnings}");
    assert!(warnings[0].as_str().is_some_and(|text| text.contains("`CN=Old`")), "{warnings}");
}

#[test]
fn mistakes_about_alerts_are_shown_by_their_key_and_without_a_secret() {
    let mistakes = [
        ("warn-before = \"24\"", "alerts.warn-before"),
        ("warn-fraction = 1.5", "alerts.warn-fraction"),
        ("repeat = \"never\"", "alerts.repeat"),
        ("command = []", "alerts.command"),
        ("webhook = \"hooks.example.org/secret\"", "alerts.webhook"),
        ("webhook = \"http://secret@hooks.example.org\"", "alerts.webhook"),
        ("webhook-roots = \"server-ca.pem\"", "alerts.webhook-roots"),
        (
            "webhook = \"https://hooks.example.org/secret\"\nwebhook-roots = \"absent.pem\"",
            "alerts.webhook-roots",
        ),
    ];
    for (line, key) in mistakes {
        let setup = Setup::new(&format!("{CONFIG}[alerts]\n{line}\n"), &accepting());
        let output = setup.portcullis(&["check", "--plugins", ".", "--format", "json"]);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(json(&output)["error"]["key"], key, "{line}");
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains("secret"), "{said}");
        }
    }
    let good = "webhook = \"https://hooks.example.org/secret\"\nwebhook-roots = \"server-ca.pem\"\n\
                command = [\"true\"]\nwarn-fraction = 0.25\nwarn-before = \"12h\"\nrepeat = \"7d\"\n";
    let setup = Setup::new(&format!("{CONFIG}[alerts]\n{good}"), &accepting());
    let output = setup.portcullis(&["check", "--plugins", "."]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
