//! `portcullis explain`: every form in which certificates come, recorded handshakes and those of a gate that runs, and
//! what would have to be otherwise for a client to come in.
#![allow(clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis_pki::{AltName, Authority, Issued, Profile, Validity, write_private, write_public};
use portcullis_tests::client::{Tls, s_client};
use portcullis_tests::gate::{Setup, components};
use portcullis_tests::openssl_ca::{For, OpenSslCa};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::{guest, judge};
use serde_json::{Value, json};
use tempfile::TempDir;

const VALIDITY: Validity = judge::VALIDITY;
/// 2026-11-18T11:06:40Z.
const NOW: &str = "1795000000";
const PASSWORD: &str = "correct horse";

/// A folder with a chain of these policies, a client and its authority.
struct Folder {
    folder: TempDir,
    issued: Issued,
}

impl Folder {
    fn new(chain: &str, sections: &str, profile: &Profile) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let authority = Authority::root(&Profile::authority("Test", VALIDITY)).expect("a root");
        let issued = authority.issue(profile).expect("a certificate");
        let names = vec![AltName::Dns("gate.example".to_owned())];
        let server = authority.issue(&Profile::server("gate", names, VALIDITY)).expect("issued");
        write_public(&path("server.pem"), &server.chain_pem).expect("written");
        write_private(&path("server.key"), &server.key_pem).expect("written");
        write_public(&path("ca.pem"), &authority.certificate_pem()).expect("written");
        write_public(&path("client.pem"), &issued.chain_pem).expect("written");
        write_private(&path("client.key"), &issued.key_pem).expect("written");
        std::fs::write(path("client.der"), &issued.certificate_der).expect("written");
        let config = format!(
            "chain = {chain}\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
             private-key = \"server.key\"\n{sections}"
        );
        std::fs::write(path("portcullis.toml"), config).expect("written");
        Self { folder, issued }
    }

    /// A chain that accepts everyone.
    fn accepting() -> Self {
        let folder = Self::new(r#"["any"]"#, "", &alice());
        std::fs::write(folder.path("any.wasm"), guest::policy_from("")).expect("written");
        folder
    }

    /// The chain of `ca-chain` alone.
    fn trusting(profile: &Profile) -> Self {
        Self::new("[\"ca-chain\"]", TRUSTING, profile)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn explain(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        json_of(&run(self.folder.path(), &components(), arguments, None))
    }

    /// With the components of the folder.
    fn explain_here(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        json_of(&run(self.folder.path(), Path::new("."), arguments, None))
    }

    /// A PKCS #12 file made by openssl.
    fn pkcs12(&self, name: &str, password: &str, options: &[&str]) {
        let output = Command::new("openssl")
            .args(["pkcs12", "-export", "-in", "client.pem", "-inkey", "client.key"])
            .args(["-certfile", "ca.pem", "-out", name, "-passout", &format!("pass:{password}")])
            .args(options)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

const TRUSTING: &str = "[policies.ca-chain]\nassets = { anchors = \"ca.pem\" }\n";

fn run(folder: &Path, plugins: &Path, arguments: &[&str], password: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(folder).arg("explain").args(arguments).arg("--plugins").arg(plugins);
    match password {
        Some(password) => command.env("PORTCULLIS_PKCS12_PASSWORD", password),
        None => command.env_remove("PORTCULLIS_PKCS12_PASSWORD"),
    };
    if !arguments.contains(&"--format") {
        command.args(["--format", "json"]);
    }
    command.output().expect("it runs")
}

fn json_of(output: &Output) -> (Option<i32>, Value) {
    let said = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    (output.status.code(), value)
}

fn alice() -> Profile {
    Profile::client("alice", VALIDITY)
}

#[test]
fn pem_der_and_pkcs12_are_the_same_certificate_to_it() {
    let folder = Folder::accepting();
    std::fs::write(folder.path("password"), format!("{PASSWORD}\nand more\n")).expect("written");
    folder.pkcs12("modern.p12", PASSWORD, &[]);
    folder.pkcs12("legacy.p12", PASSWORD, &["-legacy"]);
    folder.pkcs12("open.p12", "", &[]);
    let password = ["--password-file", "password"];
    for (file, options) in [
        ("client.pem", &[][..]),
        ("client.der", &[]),
        ("modern.p12", &password),
        ("legacy.p12", &password),
        ("open.p12", &[]),
    ] {
        let (code, explained) = folder.explain_here(&[&[file, "--at", NOW], options].concat());
        assert_eq!(code, Some(0), "{file}: {explained:#}");
        assert_eq!(explained["certificates"][0]["sha256"], folder.issued.sha256_hex(), "{file}");
        assert_eq!(explained["remedy"], Value::Null);
    }
}

#[test]
fn the_password_of_a_pkcs12_file_may_come_from_the_environment_and_is_never_shown() {
    let folder = Folder::accepting();
    folder.pkcs12("client.p12", PASSWORD, &[]);
    let explain = |password| {
        run(folder.folder.path(), Path::new("."), &["client.p12", "--at", NOW], Some(password))
    };
    assert_eq!(explain(PASSWORD).status.code(), Some(0));
    let wrong = explain("a guess");
    assert_eq!(wrong.status.code(), Some(2));
    let said = [wrong.stdout, wrong.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("a guess"));
}

#[test]
fn a_damaged_pkcs12_file_and_one_without_a_key_are_refused() {
    let folder = Folder::accepting();
    folder.pkcs12("whole.p12", "", &[]);
    let whole = std::fs::read(folder.path("whole.p12")).expect("a file");
    std::fs::write(folder.path("cut.p12"), &whole[..whole.len() / 2]).expect("written");
    folder.pkcs12("keyless.p12", "", &["-nokeys"]);
    for file in ["cut.p12", "keyless.p12"] {
        let (code, error) = folder.explain_here(&[file]);
        assert_eq!(code, Some(2), "{file}: {error:#}");
        assert_eq!(error["error"]["file"], file);
    }
}

#[test]
fn an_expired_client_is_told_until_when_it_would_have_come_in() {
    let validity = Validity { not_before: 1_794_000_000, not_after: 1_794_989_200 };
    let folder = Folder::trusting(&Profile::client("alice", validity));
    let (code, explained) = folder.explain(&["client.pem", "--at", NOW]);
    assert_eq!((code, &explained["code"]), (Some(1), &json!("expired")), "{explained:#}");
    assert_eq!(explained["certificates"][0]["standing"], "expired 3 h ago");
    let remedy = &explained["remedy"];
    assert_eq!(remedy["changes"], json!([{ "change": "time-until", "time": 1_794_989_200 }]));
    assert_eq!(remedy["still"], Value::Null);

    let (_, early) = folder.explain(&["client.pem", "--at", "1793000000"]);
    let changes = &early["remedy"]["changes"];
    assert_eq!(*changes, json!([{ "change": "time-from", "time": 1_794_000_000 }]), "{early:#}");

    let text = ["client.pem", "--at", NOW, "--format", "text"];
    let output = run(folder.folder.path(), &components(), &text, None);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("[####################] | expired 3 h ago"), "{text}");
    assert!(text.contains("the time: until 2026-11-18T08:06:40Z, 3 h ago"), "{text}");
}

#[test]
fn several_things_that_must_change_together_are_found_one_after_the_other() {
    let folder = Folder::new(r#"["hours", "named", "inside"]"#, "", &alice());
    for (policy, name) in [
        ("hours", "accepts-after-eight"),
        ("named", "accepts-with-a-server-name"),
        ("inside", "accepts-from-10"),
    ] {
        let component = guest::policy(name);
        std::fs::write(folder.path(&format!("{policy}.wasm")), component).expect("written");
    }
    // 2026-11-18T03:00:00Z
    let arguments = ["client.pem", "--at", "1794970800"];
    let (code, explained) = folder.explain_here(&arguments);
    assert_eq!((code, &explained["code"]), (Some(1), &json!("closed")), "{explained:#}");
    assert_eq!(explained["remedy"]["still"], Value::Null, "{explained:#}");
    let changes = json!([
        { "change": "time-from", "time": 1_794_988_800 },
        { "change": "server-name", "name": "gate.example" },
        { "change": "address", "address": "10.0.0.1" },
    ]);
    assert_eq!(explained["remedy"]["changes"], changes);
}

#[test]
fn what_no_change_here_helps_against_is_left_with_the_words_of_the_policy() {
    let folder = Folder::new(
        r#"["spiffe-id"]"#,
        r#"
        [policies.spiffe-id]
        assets = { bundles = "ca.pem" }
        settings = { trust-domain = "example.org", patterns = ["spiffe://example.org/robot/*"] }
        "#,
        &Profile {
            alt_names: vec![AltName::Uri("spiffe://example.org/agent/a".to_owned())],
            ..alice()
        },
    );
    let (code, explained) = folder.explain(&["client.pem", "--at", NOW]);
    assert_eq!(code, Some(1), "{explained:#}");
    let remedy = &explained["remedy"];
    assert_eq!(remedy["changes"], json!([]));
    assert_eq!(remedy["still"]["code"], "spiffe-id-not-allowed");
    let detail = remedy["still"]["detail"].as_str().expect("a detail");
    assert!(detail.contains("spiffe://example.org/agent/a"), "{detail}");
    assert!(detail.contains("spiffe://example.org/robot/*"), "{detail}");
}

#[test]
fn a_recorded_handshake_is_explained_with_the_answers_of_then() {
    let ca = OpenSslCa::new("Clients");
    let issue = |name| ca.issue(name, For::Client, "rsa:2048", "");
    let (leaver, stayer) = (issue("leaver"), issue("stayer"));
    ca.revoke("leaver");
    let setup = Setup::new();
    setup.write("anchors.pem", ca.certificate_pem());
    setup.write("clients.crl", ca.crl(""));
    let policy = "[policies.revocation]\nassets = { anchors = \"anchors.pem\" }\n";
    let more = "[revocation.crl]\nfiles = [\"clients.crl\"]\n\
                [recording]\ndirectory = \"recordings\"\n";
    let mut gate = setup.start(r#"["revocation"]"#, &format!("{policy}{more}"));
    for client in [&leaver, &stayer] {
        let _ = s_client(&gate, Tls::V1_3, Some(client));
    }
    gate.stop();
    // What is known today is not what was known then.
    std::fs::remove_file(gate.setup().path("clients.crl")).expect("removed");
    let folder = gate.setup().directory();
    let config = std::fs::read_to_string(folder.join("portcullis.toml")).expect("a file");
    let config = config.replace("[revocation.crl]\nfiles = [\"clients.crl\"]\n", "");
    std::fs::write(folder.join("portcullis.toml"), config).expect("written");
    let explain = |options: &[&str]| {
        let arguments = [&["--recorded", "recordings"][..], options].concat();
        json_of(&run(folder, &components(), &arguments, None))
    };

    let (code, last) = explain(&[]);
    assert_eq!(code, Some(0), "{last:#}");
    assert_eq!(last["certificates"][0]["subject"], "CN=stayer");
    assert_eq!(last["recorded"]["same"], true, "{last:#}");

    let serial = serial_of(&leaver);
    let (code, revoked) = explain(&["--serial", &serial, "--from", "127.0.0.1"]);
    assert_eq!((code, &revoked["code"]), (Some(1), &json!("revoked")), "{revoked:#}");
    assert_eq!(revoked["recorded"]["verdict"], "rejected");
    assert_eq!(revoked["recorded"]["same"], true);
    let change = &revoked["remedy"]["changes"][0];
    assert_eq!(
        (&change["change"], &change["of"][0]["status"]),
        (&json!("revocation"), &json!("revoked"))
    );
    assert_eq!(revoked["remedy"]["still"], Value::Null);

    let (code, nobody) = explain(&["--principal", "nobody"]);
    assert_eq!(code, Some(2), "{nobody:#}");
}

fn serial_of(identity: &Identity) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-in"])
        .arg(&identity.certificate)
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().strip_prefix("serial=").expect("a serial number").to_owned()
}

#[test]
fn a_gate_that_runs_tells_of_its_last_handshake_if_it_was_allowed_to() {
    let authority = pki::root("Clients");
    let setup = Setup::new();
    setup.write("ca.pem", authority.certificate_pem());
    let issued = authority.issue(&Profile::client("alice", pki::valid())).expect("issued");
    let alice = Identity::write(setup.directory(), "alice", &issued);
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"\nlast-handshake = true\n";
    let gate = setup.start(r#"["ca-chain"]"#, &format!("{TRUSTING}{metrics}"));
    let address = gate.metrics().to_string();
    let explain = || json_of(&run(gate.setup().directory(), &components(), &[&address], None));

    let (code, none) = explain();
    assert_eq!(code, Some(2), "nobody came yet: {none:#}");
    assert_eq!(s_client(&gate, Tls::V1_3, Some(&alice)), None);
    let (code, explained) = explain();
    assert_eq!(code, Some(0), "{explained:#}");
    assert_eq!(explained["certificates"][0]["sha256"], issued.sha256_hex());
    assert_eq!(
        explained["recorded"]["source"].as_str().map(|text| text.starts_with(&address)),
        Some(true)
    );
    assert_eq!(explained["recorded"]["same"], true);
}

#[test]
fn a_gate_that_was_not_allowed_to_tells_nothing() {
    let authority = pki::root("Clients");
    let setup = Setup::new();
    setup.write("ca.pem", authority.certificate_pem());
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"\n";
    let gate = setup.start(r#"["ca-chain"]"#, &format!("{TRUSTING}{metrics}"));
    let address = gate.metrics().to_string();
    let output = run(gate.setup().directory(), &components(), &[&address], None);
    let (code, error) = json_of(&output);
    assert_eq!(code, Some(2));
    let hint = error["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("last-handshake"), "{error:#}");
}
