//! What a gate loads again while clients are inside, and what it does not take.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_engine::Certificate;
use portcullis_pki::{Authority, Issued, Profile, RevocationList, RevocationReason, Revoked};
use portcullis_tests::client::{Tls, s_client};
use portcullis_tests::gate::{Gate, Setup, component, components};
use portcullis_tests::guest;
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::raw::{Dialer, Raw, request};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

const ANCHORS: &str = "[policies.ca-chain]\nassets = { anchors = \"pki/anchors.pem\" }\n";
const PINS: &str = "[policies.pin-list]\nassets = { pins = \"pki/pins.txt\" }\n";
const METRICS: &str = "[metrics]\naddress = \"127.0.0.1:0\"\n";

/// Clients of an authority, in a folder with `pki/anchors.pem`.
struct Clients {
    setup: Setup,
    root: Authority,
}

impl Clients {
    fn new() -> Self {
        let clients = Self { setup: Setup::new(), root: pki::root("Test clients") };
        fs::create_dir(clients.setup.path("pki")).expect("a folder");
        clients.setup.write("pki/anchors.pem", clients.root.certificate_pem());
        clients
    }

    fn issue(&self, name: &str) -> (Identity, Issued) {
        let issued = self.root.issue(&Profile::client(name, pki::valid())).expect("issued");
        (Identity::write(self.setup.directory(), name, &issued), issued)
    }
}

/// A line of the list of `pin-list`.
fn pin(issued: &Issued) -> String {
    format!("cert-sha256 {}\n", issued.sha256_hex())
}

fn is_let_in(gate: &Gate, identity: &Identity) -> bool {
    let alert = s_client(gate, Tls::V1_3, Some(identity));
    let audit = gate.next_audit();
    assert_eq!(alert.is_none(), audit["verdict"] == "accepted", "{audit}");
    alert.is_none()
}

/// Asks for a path that does not exist, and reads the answer.
fn ask(raw: &mut Raw) {
    raw.say("GET / HTTP/1.1\r\nhost: gate\r\n\r\n");
    raw.read_to("HTTP/1.1 404");
    raw.read_to("/portcullis/mcp");
}

/// Waits until the gate has tried to load so often in vain.
fn await_failures(gate: &Gate, count: u64) {
    let name = "portcullis_reloads_total{outcome=\"failed\"} ";
    let failures = || {
        let page = gate.scraped();
        let line = page.lines().find_map(|line| line.strip_prefix(name)).expect("the metric");
        line.parse::<u64>().expect("a count")
    };
    while failures() < count {
        std::thread::yield_now();
    }
}

#[track_caller]
fn assert_reloaded(gate: &Gate, changed: &str) {
    let line = gate.next_reload();
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(line["message"], "reloaded", "{line}");
    assert_eq!(line["changed"], changed, "{line}");
}

/// Something that an operator, or a program, does to the files; and what the log says of it.
type Fault<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);

#[test]
fn what_cannot_be_loaded_is_reported_once_and_what_was_loaded_before_stays_in_force() {
    let clients = Clients::new();
    let (alice, issued) = clients.issue("alice");
    clients.setup.write("pki/pins.txt", pin(&issued));
    clients.setup.write("pki/pin-list.wasm", component("pin-list"));
    let config = format!("{ANCHORS}{PINS}component = \"pki/pin-list.wasm\"\n{METRICS}");
    let expired = Authority::root(&Profile::authority("Expired", pki::expired())).expect("a root");
    let other = pki::root("Other");
    let old = Profile { validity: pki::expired(), ..pki::server() };
    let (other, old) = (other.issue(&pki::server()), other.issue(&old));
    let (other, old) = (other.expect("issued"), old.expect("issued"));
    let gate = clients.setup.start("[\"ca-chain\", \"pin-list\"]", &config);
    let write = |file: &'static str, content: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let path = gate.setup().path(file);
        let old = fs::read(&path).expect("a file");
        fs::write(path, content(old)).expect("a file");
    };
    let faults: [Fault<'_>; 9] = [
        ("a torn write", &|_| write("server.pem", &|old| old[..old.len() / 2].to_vec()), "listen"),
        (
            "a wrong key",
            &|_| write("server.key", &|_| other.key_pem.clone().into_bytes()),
            "listen",
        ),
        (
            "an expired certificate",
            &|_| {
                write("server.pem", &|_| old.chain_pem.clone().into_bytes());
                write("server.key", &|_| old.key_pem.clone().into_bytes());
            },
            "listen.certificate",
        ),
        (
            "an expired bundle",
            &|_| write("pki/anchors.pem", &|_| expired.certificate_pem().into_bytes()),
            "policies.ca-chain.assets.anchors",
        ),
        ("an empty file", &|_| write("pki/anchors.pem", &|_| Vec::new()), "policies.ca-chain"),
        ("a malformed pin", &|_| write("pki/pins.txt", &|_| b"x".to_vec()), "policies.pin-list"),
        (
            "half a component",
            &|_| write("pki/pin-list.wasm", &|old| old[..old.len() / 2].to_vec()),
            "policies.pin-list",
        ),
        (
            "a directory that is renamed away",
            &|setup| fs::rename(setup.join("pki"), setup.join("away")).expect("renamed"),
            "policies.ca-chain.assets.anchors",
        ),
        (
            "a key that is not known",
            &|_| write("portcullis.toml", &|old| [&b"unknown = 1\n"[..], &old].concat()),
            "unknown",
        ),
    ];
    let folder = gate.setup().directory();
    let saved = [
        "server.pem",
        "server.key",
        "pki/anchors.pem",
        "pki/pins.txt",
        "pki/pin-list.wasm",
        "portcullis.toml",
    ]
    .map(|file| (file, fs::read(folder.join(file)).expect("a file")));
    let mut failures = 0;
    for (what, fault, key) in faults {
        fault(folder);
        let warning = gate.next_reload();
        assert_eq!(warning["level"], "WARN", "{what}: {warning}");
        let problem = warning["problem"].as_str().expect("a problem");
        assert!(problem.contains(&format!(": {key}")), "{what}: {problem}");
        assert!(is_let_in(&gate, &alice), "{what}");
        // It is tried again, in vain, and not reported again.
        failures += 1;
        await_failures(&gate, failures);
        gate.hang_up();
        failures += 1;
        await_failures(&gate, failures);
        let asked = gate.next_reload();
        assert_eq!(asked["message"], "asked to reload", "{what}: {asked}");

        if folder.join("away").exists() {
            fs::rename(folder.join("away"), folder.join("pki")).expect("renamed");
        }
        for (file, content) in &saved {
            if fs::read(folder.join(file)).expect("a file") != *content {
                fs::write(folder.join(file), content).expect("a file");
            }
        }
        let line = gate.next_reload();
        assert_eq!(line["level"], "INFO", "{what}: {line}");
        assert!(is_let_in(&gate, &alice), "{what}");
    }
    let page = gate.scraped();
    for metric in ["last_success", "last_failure"] {
        let name = format!("portcullis_reload_{metric}_timestamp_seconds ");
        let time = page.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
        assert!(time.parse::<i64>().expect("a time") > pki::now() - 3600, "{metric}: {time}");
    }
    fs::write(folder.join("pki/pins.txt"), "").expect("a file");
    assert_reloaded(&gate, "policy pin-list");
    assert!(!is_let_in(&gate, &alice), "the next good one is taken");
}

#[test]
fn who_is_no_longer_pinned_or_signed_by_an_anchor_or_accepted_by_a_policy_is_locked_out() {
    let clients = Clients::new();
    let ((alice, of_alice), (bob, of_bob)) = (clients.issue("alice"), clients.issue("bob"));
    clients.setup.write("pki/pins.txt", pin(&of_alice) + &pin(&of_bob));
    let other = pki::root("Other clients").certificate_pem();
    let plugins = clients.setup.path("plugins");
    fs::create_dir(&plugins).expect("a folder");
    for name in ["ca-chain", "pin-list"] {
        fs::copy(
            components().join(name).with_extension("wasm"),
            plugins.join(name).with_extension("wasm"),
        )
        .expect("copied");
    }
    let server = "[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\nprivate-key = \"server.key\"\n";
    let config = |chain: &str, sections: &str| format!("chain = {chain}\n{server}{sections}");
    let both = config("[\"ca-chain\", \"pin-list\"]", &format!("{ANCHORS}{PINS}"));
    clients.setup.write("portcullis.toml", &both);
    let gate = clients.setup.launch(&plugins);
    let inside = |identity: &Identity| {
        let mut raw = Dialer::new(&gate, identity).connect();
        ask(&mut raw);
        raw
    };
    let (mut alice_inside, mut bob_inside) = (inside(&alice), inside(&bob));
    let setup = gate.setup();

    setup.write("pki/pins.txt", pin(&of_bob));
    assert_reloaded(&gate, "policy pin-list");
    alice_inside.read_to_end();
    assert!(!is_let_in(&gate, &alice) && is_let_in(&gate, &bob), "one pin was removed");
    ask(&mut bob_inside);

    setup.write("pki/anchors.pem", &other);
    assert_reloaded(&gate, "policy ca-chain");
    bob_inside.read_to_end();
    assert!(!is_let_in(&gate, &bob), "the anchor was removed");

    setup.write("portcullis.toml", config("[\"pin-list\"]", PINS));
    let warned = gate.next_reload();
    assert_eq!(warned["changed"], "policy ca-chain, the configuration", "{warned}");
    assert!(is_let_in(&gate, &bob), "the policy was removed");
    let mut bob_inside = inside(&bob);

    fs::write(plugins.join("pin-list.new"), guest::policy("evaluate-traps")).expect("a file");
    setup.write("portcullis.toml", config("[\"pin-list\"]", ""));
    assert_eq!(gate.next_reload()["level"], "WARN", "pin-list wants its asset");
    fs::rename(plugins.join("pin-list.new"), plugins.join("pin-list.wasm")).expect("renamed");
    assert_reloaded(&gate, "policy pin-list, the configuration");
    bob_inside.read_to_end();
    assert!(!is_let_in(&gate, &bob), "the component was replaced");
}

#[test]
fn sighup_loads_what_nothing_else_does_and_connections_and_sessions_are_kept() {
    let clients = Clients::new();
    let (alice, issued) = clients.issue("alice");
    clients.setup.write("pki/pins.txt", pin(&issued));
    let server = "[servers.one]\nurl = \"http://127.0.0.1:9/mcp\"\n";
    let sections = |server: &str| format!("{PINS}[reload]\nautomatic = false\n{server}");
    let gate = clients.setup.start("[\"pin-list\"]", &sections(server));
    let path = gate.setup().path("portcullis.toml");
    let mut raw = Dialer::new(&gate, &alice).connect();
    ask(&mut raw);
    let session = Dialer::new(&gate, &alice).initialize("/portcullis/mcp");
    let files = gate.process().open_files();

    let config = fs::read_to_string(&path).expect("a file");
    let changed =
        config.replace("127.0.0.1:0", "127.0.0.1:1").replace("servers.one", "servers.two");
    let message = request(1, "ping", &serde_json::json!({}));
    for _ in 0..3 {
        fs::write(&path, &changed).expect("a file");
        gate.hang_up();
        assert_eq!(gate.next_reload()["message"], "asked to reload");
        let warning = gate.next_reload();
        assert_eq!(warning["level"], "WARN");
        assert_eq!(warning["keys"], "listen.address", "{warning}");
        assert_reloaded(&gate, "the configuration");
        raw.post("/two/mcp", "", &message);
        raw.read_to("the server `two`: it cannot be reached");
        fs::write(&path, &config).expect("a file");
        gate.hang_up();
        assert_eq!(gate.next_reload()["message"], "asked to reload");
        assert_reloaded(&gate, "the configuration");
        raw.post("/two/mcp", "", &message);
        raw.read_to("HTTP/1.1 404");
        raw.read_to("/portcullis/mcp");
    }
    ask(&mut raw);
    let mut listener = Dialer::new(&gate, &alice).connect();
    listener.get("/portcullis/mcp", &session);
    listener.read_to("HTTP/1.1 200");
    drop(listener);
    assert!(gate.process().open_files() < files + 10, "nothing is left open");
}

#[test]
fn other_sources_of_revocation_are_in_force_once_their_crls_are_there() {
    let clients = Clients::new();
    let ((alice, _), (bob, of_bob)) = (clients.issue("alice"), clients.issue("bob"));
    let serial = Certificate::from_der(der(&of_bob)).expect("a certificate");
    let list = RevocationList {
        number: 1,
        this_update: pki::now() - 1,
        next_update: pki::now() + 3600,
        revoked: vec![Revoked {
            serial_number: data_encoding::HEXLOWER
                .decode(serial.serial_number().as_bytes())
                .expect("hexadecimal"),
            at: pki::now() - 1,
            reason: RevocationReason::Unspecified,
        }],
    };
    let crl = clients.root.revocation_list(&list).expect("signed").pem;
    let gate = clients.setup.start("[\"ca-chain\"]", ANCHORS);
    let mut bob_inside = Dialer::new(&gate, &bob).connect();
    ask(&mut bob_inside);

    let path = gate.setup().path("portcullis.toml");
    let config = fs::read_to_string(&path).expect("a file");
    let asked = config.replace("[\"ca-chain\"]", "[\"ca-chain\", \"revocation\"]");
    let anchors = "[policies.revocation]\nassets = { anchors = \"pki/anchors.pem\" }\n";
    fs::write(&path, format!("{asked}{anchors}[revocation.crl]\nfiles = [\"a.crl\"]\n"))
        .expect("a file");
    let warning = gate.next_reload();
    let problem = warning["problem"].as_str().expect("a problem");
    assert!(problem.contains("revocation.crl") && problem.contains("a.crl"), "{problem}");
    ask(&mut bob_inside);

    gate.setup().write("a.crl", crl);
    assert_reloaded(&gate, "revocation, policy revocation, the configuration");
    bob_inside.read_to_end();
    assert!(is_let_in(&gate, &alice) && !is_let_in(&gate, &bob));
}

fn der(issued: &Issued) -> Vec<u8> {
    let pem = issued.certificate_pem.as_bytes();
    CertificateDer::from_pem_slice(pem).expect("PEM").to_vec()
}

#[test]
fn what_is_not_signalled_is_noticed_by_and_by() {
    let clients = Clients::new();
    let (alice, issued) = clients.issue("alice");
    clients.setup.write("pki/pins.txt", pin(&issued));
    // Who writes by another name in a directory that nobody watches is not heard of.
    fs::create_dir(clients.setup.path("elsewhere")).expect("a folder");
    let elsewhere = clients.setup.path("elsewhere/pins.txt");
    fs::hard_link(clients.setup.path("pki/pins.txt"), &elsewhere).expect("a link");
    let gate = clients.setup.start("[\"pin-list\"]", &format!("{PINS}[reload]\npoll-ms = 50\n"));
    fs::write(elsewhere, "").expect("a file");
    assert_reloaded(&gate, "policy pin-list");
    assert!(!is_let_in(&gate, &alice));
}

/// Puts a pair into a directory of its own and sets the link `..data` to it, as Kubernetes does with a mounted secret.
fn mount(folder: &Path, number: usize, issued: &Issued) {
    let name = format!("..{number}");
    fs::create_dir(folder.join(&name)).expect("a folder");
    fs::write(folder.join(&name).join("tls.crt"), &issued.chain_pem).expect("a file");
    fs::write(folder.join(&name).join("tls.key"), &issued.key_pem).expect("a file");
    symlink(&name, folder.join("..data_tmp")).expect("a link");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
}

#[test]
fn a_server_certificate_is_rotated_ten_times_under_traffic_and_no_request_is_lost() {
    let clients = Clients::new();
    let (alice, issued) = clients.issue("alice");
    clients.setup.write("pki/pins.txt", pin(&issued));
    let authority = pki::root("Test servers");
    clients.setup.write("server-ca.pem", authority.certificate_pem());
    let certificates: Vec<Issued> =
        (0..11).map(|_| authority.issue(&pki::server()).expect("issued")).collect();
    let secret = clients.setup.path("secret");
    fs::create_dir(&secret).expect("a folder");
    mount(&secret, 0, &certificates[0]);
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), secret.join(name)).expect("a link");
    }
    let config = format!(
        "chain = [\"pin-list\"]\n[listen]\naddress = \"127.0.0.1:0\"\n\
         certificate = \"secret/tls.crt\"\nprivate-key = \"secret/tls.key\"\n{PINS}\
         [limits]\nrequests-per-second = 1000000\n"
    );
    clients.setup.write("portcullis.toml", config);
    let gate = clients.setup.launch(&components());
    let dialer = Dialer::new(&gate, &alice);
    let mut kept = dialer.connect();
    ask(&mut kept);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let traffic: Vec<_> = (0..4)
        .map(|number| {
            let (dialer, stop, answered) =
                (dialer.clone(), Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut kept = dialer.connect();
                while !stop.load(Ordering::Relaxed) {
                    // Half of them come anew with each request.
                    if number % 2 == 0 {
                        kept = dialer.connect();
                    }
                    ask(&mut kept);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for (number, issued) in certificates.iter().enumerate().skip(1) {
        let before = answered.load(Ordering::Relaxed);
        mount(&secret, number, issued);
        assert_reloaded(&gate, "the server's certificate");
        let mut raw = dialer.connect();
        ask(&mut raw);
        assert_eq!(raw.server_certificate(), der(issued));
        let is_served = |client: &std::thread::JoinHandle<()>| !client.is_finished();
        while answered.load(Ordering::Relaxed) < before + 4 && traffic.iter().all(is_served) {
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in traffic {
        client.join().expect("every request was answered");
    }
    ask(&mut kept);
}

#[test]
fn a_chain_that_fails_its_suite_does_not_take_over() {
    let clients = Clients::new();
    let ((alice, of_alice), (bob, of_bob)) = (clients.issue("alice"), clients.issue("bob"));
    clients.setup.write("pki/pins.txt", pin(&of_alice) + &pin(&of_bob));
    let suite = "config = \"portcullis.toml\"\n[certificates.alice]\nfile = \"client-alice.pem\"\n\
                 [[case]]\nname = \"alice comes in\"\npresent = \"alice\"\naccept = true\n";
    clients.setup.write("suite.toml", suite);
    let sections = format!("{PINS}[reload]\nsuite = \"suite.toml\"\n");
    let gate = clients.setup.start("[\"pin-list\"]", &sections);

    gate.setup().write("pki/pins.txt", "");
    let warning = gate.next_reload();
    let problem = warning["problem"].as_str().expect("a problem");
    assert!(problem.contains("reload.suite") && problem.contains("`alice comes in`"), "{problem}");
    assert!(is_let_in(&gate, &alice) && is_let_in(&gate, &bob), "the old pins are in force");

    gate.setup().write("pki/pins.txt", pin(&of_alice));
    assert_reloaded(&gate, "policy pin-list");
    assert!(is_let_in(&gate, &alice) && !is_let_in(&gate, &bob));
}

#[test]
fn systemd_is_told_when_the_gate_is_ready_reloads_and_stops() {
    let clients = Clients::new();
    let (_, issued) = clients.issue("alice");
    clients.setup.write("pki/pins.txt", pin(&issued));
    let path = clients.setup.path("notify.socket");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let told = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut setup = clients.setup;
    setup.variable("NOTIFY_SOCKET", path);
    let mut gate = setup.start("[\"pin-list\"]", PINS);
    assert_eq!(told().trim_end(), "READY=1");
    gate.hang_up();
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told().trim_end(), "READY=1");
    gate.stop();
    assert_eq!(told().trim_end(), "STOPPING=1");
}
