//! What a gate says of certificates and CRLs that end soon: in its log, in its metrics, to a command and to a webhook.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_pki::{Authority, Profile, RevocationList, Validity};
use portcullis_tests::client::{Tls, s_client};
use portcullis_tests::gate::{Gate, Setup, binary, components};
use portcullis_tests::pki::{self, Identity};
use serde_json::Value;

const HOUR: i64 = 60 * 60;

const CHAIN: &str = r#"["ca-chain"]"#;
const SECTIONS: &str = "[policies.ca-chain]\nassets = { anchors = \"clients-ca.pem\" }\n\
                        [metrics]\naddress = \"127.0.0.1:0\"\n";

/// Good for a day, of which so many hours are over.
fn day(over: i64) -> Validity {
    let not_before = pki::now() - over * HOUR;
    Validity { not_before, not_after: not_before + 24 * HOUR }
}

/// A folder with the certificate of a server that is good for a day, of which so many hours are over.
fn setup(clients: &Authority, server: Validity) -> Setup {
    let setup = Setup::new();
    let authority = pki::root("Servers");
    let profile = Profile { validity: server, ..pki::server() };
    let issued = authority.issue(&profile).unwrap();
    setup.write("server-ca.pem", authority.certificate_pem());
    setup.write("server.pem", &issued.chain_pem);
    setup.write("server.key", &issued.key_pem);
    setup.write("clients-ca.pem", clients.certificate_pem());
    setup
}

fn client(gate: &Gate, clients: &Authority, name: &str, validity: Validity) -> Identity {
    let issued = clients.issue(&Profile::client(name, validity)).unwrap();
    Identity::write(gate.setup().directory(), name, &issued)
}

/// A hook that adds what it reads to a file, and the file.
fn command(setup: &Setup) -> (String, PathBuf) {
    let out = setup.path("alerts.jsonl");
    let script = format!("cat >> '{0}'; echo >> '{0}'", out.display());
    (format!("command = [\"/bin/sh\", \"-c\", \"{script}\"]\n"), out)
}

fn is_alert(line: &Value) -> bool {
    line["target"] == "portcullis::alert"
}

fn alerts(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| is_alert(line)).collect()
}

/// What the command was told, once it was told so much.
fn told(out: &Path, count: usize) -> Vec<Value> {
    loop {
        let text = std::fs::read_to_string(out).unwrap_or_default();
        // The last line may be half-written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines: Vec<_> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.len() >= count {
            return lines;
        }
        std::thread::yield_now();
    }
}

/// The value of the first series that begins so.
fn metric(gate: &Gate, series: &str) -> Option<i64> {
    let page = gate.scraped();
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_server_certificate_in_its_last_third_is_one_line_one_call_of_the_command_and_a_metric() {
    let clients = pki::root("Clients");
    let setup = setup(&clients, day(20));
    let (command, out) = command(&setup);
    let mut gate = setup.start(CHAIN, &format!("{SECTIONS}[alerts]\n{command}"));
    let line = gate.next_line(is_alert);
    assert_eq!(line["level"], "warning", "{line}");
    assert_eq!(line["kind"], "server-certificate");
    assert_eq!(line["sources"], "listen.certificate");
    assert!(line["seconds_left"].as_i64().is_some_and(|left| left <= 4 * HOUR), "{line}");

    let told_of = told(&out, 1);
    assert_eq!(told_of[0]["serial_number"], line["serial_number"]);
    assert_eq!(told_of[0]["subject"], "CN=gate");
    let series = "portcullis_certificate_remaining_seconds{kind=\"server-certificate\"";
    let left = metric(&gate, series).unwrap();
    assert!(left <= 4 * HOUR && left > 3 * HOUR, "{left}");
    let series = "portcullis_alerts_total{kind=\"server-certificate\",level=\"warning\"}";
    assert_eq!(metric(&gate, series), Some(1));

    let alice = client(&gate, &clients, "alice", pki::valid());
    for _ in 0..3 {
        assert_eq!(s_client(&gate, Tls::V1_3, Some(&alice)), None);
    }
    gate.stop();
    assert_eq!(alerts(&gate.rest_of_log()).len(), 0);
    assert_eq!(told(&out, 1).len(), 1);
}

#[test]
fn a_renewed_server_certificate_resolves_the_warning_of_the_old_one() {
    let clients = pki::root("Clients");
    let setup = setup(&clients, day(20));
    let (command, out) = command(&setup);
    let gate = setup.start(CHAIN, &format!("{SECTIONS}[alerts]\n{command}"));
    let old = gate.next_line(is_alert)["serial_number"].clone();

    let profile = Profile { validity: day(0), ..pki::server() };
    let renewed = pki::root("Servers").issue(&profile).unwrap();
    gate.setup().write("server.key", &renewed.key_pem);
    gate.setup().write("server.pem", &renewed.chain_pem);
    let line = gate.next_line(is_alert);
    assert_eq!((&line["level"], &line["serial_number"]), (&"resolved".into(), &old), "{line}");
    assert_eq!(told(&out, 2)[1]["level"], "resolved");
    let series = "portcullis_certificate_remaining_seconds{kind=\"server-certificate\"";
    assert!(metric(&gate, series).is_some_and(|left| left > 23 * HOUR));
}

#[test]
fn certificates_of_a_day_are_not_warned_of_at_their_beginning() {
    let clients = pki::root("Clients");
    let setup = setup(&clients, day(0));
    let (command, out) = command(&setup);
    let mut gate = setup.start(CHAIN, &format!("{SECTIONS}[alerts]\n{command}"));
    let alice = client(&gate, &clients, "alice", day(0));
    assert_eq!(s_client(&gate, Tls::V1_3, Some(&alice)), None);
    assert_eq!(metric(&gate, "portcullis_client_certificates_expiring"), Some(0));
    gate.stop();
    assert_eq!(alerts(&gate.rest_of_log()).len(), 0);
    assert!(!out.exists());
}

#[test]
fn a_client_whose_certificate_ends_soon_is_warned_of_once_over_several_connections() {
    let clients = pki::root("Clients");
    let setup = setup(&clients, day(0));
    let (command, out) = command(&setup);
    let mut gate = setup.start(CHAIN, &format!("{SECTIONS}[alerts]\n{command}"));
    let late = client(&gate, &clients, "late", day(20));
    let fresh = client(&gate, &clients, "fresh", day(0));
    // Whoever is refused makes no alert: strangers come with whatever they like.
    let strangers = pki::root("Strangers");
    let stranger = client(&gate, &strangers, "stranger", day(20));
    assert!(s_client(&gate, Tls::V1_3, Some(&stranger)).is_some());
    for version in [Tls::V1_3, Tls::V1_2] {
        for identity in [&fresh, &late] {
            assert_eq!(s_client(&gate, version, Some(identity)), None);
        }
    }
    let told_of = told(&out, 1);
    assert_eq!(told_of[0]["kind"], "client-certificate");
    assert_eq!(told_of[0]["subject"], "CN=late");
    assert_eq!(told_of[0]["sources"][0], "127.0.0.1");
    assert_eq!(metric(&gate, "portcullis_client_certificates_expiring"), Some(1));
    let series =
        "portcullis_certificate_remaining_seconds{kind=\"client-certificate\",subject=\"CN=late\"";
    assert!(metric(&gate, series).is_some_and(|left| left <= 4 * HOUR));
    gate.stop();
    assert_eq!(alerts(&gate.rest_of_log()).len(), 1);
    assert_eq!(told(&out, 1).len(), 1);
}

/// A server that reads each request and answers it with this, or holds it for ever; and how many came.
fn webhook(answer: Option<&'static str>) -> (String, Arc<AtomicUsize>) {
    use std::io::Write as _;

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            // An alert fits into one segment.
            let _ = stream.read(&mut [0; 4096]);
            counted.fetch_add(1, Ordering::SeqCst);
            match answer {
                Some(answer) => {
                    // Who asked may be gone.
                    let _ = stream.write_all(answer.as_bytes());
                }
                None => held.push(stream),
            }
        }
    });
    (url, came)
}

#[test]
fn a_webhook_that_hangs_or_fails_disturbs_no_handshake() {
    let clients = pki::root("Clients");
    let failing = "HTTP/1.1 500 Failing\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for answer in [None, Some(failing)] {
        let (url, came) = webhook(answer);
        let sections = format!("{SECTIONS}[alerts]\nwebhook = \"{url}\"\n");
        let gate = setup(&clients, day(20)).start(CHAIN, &sections);
        let _ = gate.next_line(is_alert);
        while came.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        for number in 0..5 {
            let late = client(&gate, &clients, &format!("late-{number}"), day(20));
            assert_eq!(s_client(&gate, Tls::V1_3, Some(&late)), None);
            assert_eq!(gate.next_audit()["verdict"], "accepted");
        }
        let delivered =
            "portcullis_alert_deliveries_total{hook=\"webhook\",delivery=\"delivered\"}";
        assert_eq!(metric(&gate, delivered), Some(0));
        let warned = "portcullis_alerts_total{kind=\"client-certificate\",level=\"warning\"}";
        assert_eq!(metric(&gate, warned), Some(5));
    }
}

#[test]
fn check_prints_what_a_run_would_warn_of() {
    let now = pki::now();
    let clients = pki::root("Clients");
    let setup = setup(&clients, day(20));
    let root = |name: &str, not_after: i64| {
        let validity = Validity { not_before: now - 300 * 24 * HOUR, not_after };
        Authority::root(&Profile::authority(name, validity)).unwrap().certificate_pem()
    };
    let anchors = [clients.certificate_pem(), root("Soon", now + 23 * HOUR), root("Past", now - 1)];
    setup.write("clients-ca.pem", anchors.concat());
    let list = RevocationList {
        number: 1,
        this_update: now - 6 * 24 * HOUR,
        next_update: now + 24 * HOUR - 1,
        revoked: Vec::new(),
    };
    setup.write("clients.crl", clients.revocation_list(&list).unwrap().pem);
    let config = format!(
        "chain = {CHAIN}\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
         private-key = \"server.key\"\n{SECTIONS}[revocation]\nissuers = [\"clients-ca.pem\"]\n\
         [revocation.crl]\nfiles = [\"clients.crl\"]\n"
    );
    setup.write("portcullis.toml", &config);
    assert_eq!(
        warned_of(&setup),
        [
            ("CN=Clients", "clients.crl"),
            ("CN=Past", "policies.ca-chain.assets.anchors"),
            ("CN=Soon", "policies.ca-chain.assets.anchors"),
            ("CN=gate", "listen.certificate"),
        ]
        .map(|(subject, source)| (subject.to_owned(), source.to_owned()))
    );
    setup.write("portcullis.toml", config + "[alerts]\nwarn-before = \"1s\"\n");
    assert_eq!(warned_of(&setup).len(), 1, "of what has expired");
}

/// The subject, and the last part of the first source, of each warning of `portcullis check`, sorted.
fn warned_of(setup: &Setup) -> Vec<(String, String)> {
    let output = Command::new(binary())
        .args(["check", "--format", "json", "--config"])
        .arg(setup.path("portcullis.toml"))
        .arg("--plugins")
        .arg(components())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut warned: Vec<_> = report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| {
            let text = warning.as_str().unwrap();
            let subject = text.split('`').nth(1).unwrap();
            let sources = text.split(['(', ')']).nth(1).unwrap();
            let source = sources.split(", ").next().unwrap().rsplit('/').next().unwrap();
            (subject.to_owned(), source.to_owned())
        })
        .collect();
    warned.sort();
    warned
}
