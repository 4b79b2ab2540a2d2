//! `portcullis renew` and `portcullis connect --renew`, as their users call them.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use portcullis_tests::connect::{Connected, command};
use portcullis_tests::gate::{Setup, binary};
use portcullis_tests::pki::Identity;
use portcullis_tests::private_ca::{PrivateCa, Served};
use serde_json::{Value, json};

/// Whatever is awaited happens long before so many tries.
const MANY: usize = 100_000;
/// Of the minute before it was issued and so many seconds, more than two thirds are over: it is time to renew.
const DUE: [&str; 2] = ["--ttl", "25s"];

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

fn renew(ca: &PrivateCa, served: &Served, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["renew", &served.renewals(), "--ca", "ca/anchor.pem", "--format", "json"])
        .args(arguments)
        .current_dir(ca.path(""))
        .env_remove("PORTCULLIS_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The serial number in a certificate's file, and that the key belongs to it.
#[track_caller]
fn serial(ca: &PrivateCa, certificate: &str, key: &str) -> String {
    let shown = text(&ca.openssl(&format!("x509 -in {certificate} -noout -serial -pubkey")));
    let public = text(&ca.openssl(&format!("pkey -in {key} -pubout")));
    assert!(shown.contains(&public), "{key} is not the key of {certificate}: {shown}");
    let serial = shown.lines().find_map(|line| line.strip_prefix("serial=")).unwrap();
    serial.to_ascii_lowercase()
}

fn event(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn a_certificate_is_renewed_in_its_files_with_a_new_key() {
    let ca = PrivateCa::new(&[]);
    let served = ca.serve_renewals();
    let _ = ca.issue("pair", &["--spiffe", "spiffe://example.org/pair"]);
    let _ = ca.issue("single", &["--single-file", "--key-type", "ed25519"]);
    ca.json(&["issue", "server", "--server", "--dns", "gate.example.org"]);
    for (certificate, key) in
        [("pair.pem", "pair.key"), ("single.pem", "single.pem"), ("server.pem", "server.key")]
    {
        let before = serial(&ca, certificate, key);
        let mut arguments = vec!["--cert", certificate, "--exec", "echo done >> hook"];
        if key != certificate {
            arguments.extend(["--key", key]);
        }
        let old_key = std::fs::read(ca.path(key)).unwrap();
        let output = renew(&ca, &served, &arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let after = serial(&ca, certificate, key);
        assert_ne!(before, after);
        assert_eq!(event(&output)["serial_number"], after);
        assert_ne!(std::fs::read(ca.path(key)).unwrap(), old_key, "the key is a new one");
        let verified = ca.openssl(&format!("verify -CAfile ca/anchor.pem {certificate}"));
        assert!(verified.status.success(), "{}", text(&verified));
    }
    assert_eq!(std::fs::read_to_string(ca.path("hook")).unwrap(), "done\n".repeat(3));
    assert!(text(&ca.openssl("pkey -in single.pem -noout -text")).contains("ED25519"));
}

#[test]
fn why_nothing_was_renewed_and_until_when_the_certificate_lasts_is_said_in_plain_words() {
    let ca = PrivateCa::new(&[]);
    let served = ca.serve_renewals();
    let _ = ca.issue("alice", &[]);
    let before = serial(&ca, "alice.pem", "alice.key");
    ca.json(&["revoke", "alice.pem"]);
    let pair = ["--cert", "alice.pem", "--key", "alice.key"];
    let output = renew(&ca, &served, &pair).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let event = event(&output);
    assert!(event["problem"].as_str().unwrap().contains("it was revoked"), "{event}");
    assert!(event["not_after"].is_string(), "{event}");
    assert_eq!(serial(&ca, "alice.pem", "alice.key"), before);

    // What is wrong with the usage is a mistake.
    let output = renew(&ca, &served, &["--cert", "alice.pem"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = renew(&ca, &served, &["--cert", "alice.pem", "--key", "none.key"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

#[test]
fn watching_renews_when_it_is_time_and_ends_when_it_is_told_to() {
    let ca = PrivateCa::new(&[]);
    let served = ca.serve_renewals();
    let _ = ca.issue("alice", &DUE);
    let before = serial(&ca, "alice.pem", "alice.key");
    let arguments = ["--cert", "alice.pem", "--key", "alice.key", "--watch", "--exec", "false"];
    let mut child = renew(&ca, &served, &arguments).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["event"], "renewed");
    let after = serial(&ca, "alice.pem", "alice.key");
    assert_ne!(before, after);
    terminate(&child);
    assert!(child.wait().unwrap().success());
}

fn terminate(child: &Child) {
    let told = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
}

#[test]
fn who_is_killed_between_the_two_files_leaves_a_pair() {
    let ca = PrivateCa::new(&[]);
    let served = ca.serve_renewals();
    let between = (0..40).find(|attempt| {
        let name = format!("client-{attempt}");
        let _ = ca.issue(&name, &[]);
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let pair = ["--cert", &certificate, "--key", &key];
        let mut child = renew(&ca, &served, &pair).spawn().unwrap();
        let begun = ca.path(&format!("{certificate}.renewed"));
        while !begun.exists() && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        let _ = child.kill();
        let _ = child.wait();
        let was_between = begun.exists();
        // Whoever comes next finishes it, and goes on.
        let output = renew(&ca, &served, &pair).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(event(&output)["serial_number"], serial(&ca, &certificate, &key));
        assert!(!begun.exists());
        was_between
    });
    assert!(between.is_some(), "nobody was killed between the two");
}

#[test]
fn connect_renews_and_its_client_does_not_notice() {
    let ca = PrivateCa::new(&[]);
    let served = ca.serve_renewals();
    let alice = ca.issue("alice", &DUE);
    let before = serial(&ca, "alice.pem", "alice.key");
    let setup = Setup::new();
    let anchors = ca.path("ca/anchor.pem");
    let gate = setup.start(
        r#"["ca-chain"]"#,
        &format!(
            "[policies.ca-chain]\nassets = {{ anchors = {anchors:?} }}\n\
             settings = {{ principal = \"common-name\" }}\n"
        ),
    );
    let mut client = Connected::start(&with_renewal(
        &command(&gate, "/portcullis/mcp", &alice),
        &served,
        &anchors,
    ));
    let _ = client.initialize();
    let who = |client: &mut Connected, id| {
        let answer = client.call(id, "tools/call", &json!({ "name": "whoami", "arguments": {} }));
        let text = answer["result"]["content"][0]["text"].as_str().map(str::to_owned);
        let who: Value = serde_json::from_str(&text.unwrap_or_else(|| panic!("{answer}"))).unwrap();
        who["certificate"]["serial_number"].as_str().unwrap().to_owned()
    };
    let seen =
        (1..MANY as u64).find_map(|id| Some(who(&mut client, id)).filter(|it| *it != before));
    assert_eq!(seen.unwrap(), serial(&ca, "alice.pem", "alice.key"));
    let (status, rest, errors) = client.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(rest.is_empty(), "{rest:?}");
    assert!(errors.contains("was renewed"), "{errors}");
    assert!(!errors.contains("opening another"), "the session went on: {errors}");
}

fn with_renewal(command: &[String], served: &Served, anchor: &Path) -> Vec<String> {
    let mut command = command.to_vec();
    command.extend(["--renew".to_owned(), served.renewals()]);
    command.extend(["--renew-ca".to_owned(), anchor.display().to_string()]);
    command
}

#[test]
fn one_process_serves_renewals_the_crl_and_ocsp() {
    let ca = PrivateCa::new(&[]);
    let listening = ca.serve_all();
    let _ = ca.issue("alice", &[]);
    ca.json(&["revoke", "alice.pem"]);
    let ocsp = listening.ocsp();
    let asked = text(&ca.openssl(&format!(
        "ocsp -issuer ca/ca.pem -cert alice.pem -url {ocsp} -CAfile ca/ca.pem -no_nonce"
    )));
    assert!(asked.contains("alice.pem: revoked"), "{asked}");
    let bob: Identity = ca.issue("bob", &[]);
    let output =
        renew(&ca, &listening, &["--cert", "bob.pem", "--key", "bob.key"]).output().unwrap();
    assert!(output.status.success() && bob.key.exists(), "{}", text(&output));
}
