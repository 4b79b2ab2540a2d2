//! How long `portcullis replay` takes for 100,000 handshakes of the four policies. `cargo xtask bench replay` runs it.
//!
//! A thousand clients come a hundred times each. Every handshake has two certificates, a path to build in three of the
//! policies, and an answer about revocation.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up ends")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use portcullis_engine::{
    Asset, Certificate, Chain, Clock, Engine, EngineOptions, Handshake, Member, NotConfigured,
    Policy, PolicyLimits, PolicySource, RecordedAnswers, Revocation, RevocationStatus, Step,
};
use portcullis_pki::{
    AltName, Authority, Issued, PathLength, Profile, write_private, write_public,
};
use portcullis_recording::{AnsweredOnce, Options, Record, Recorder};
use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::gate::{component, components};
use portcullis_tests::judge::{NOW, VALIDITY};
use serde_json::Value;
use tempfile::TempDir;

const CLIENTS: usize = 1000;
/// What waits for the writer at most: fewer than make it drop one.
const WAITING: u64 = 4096;

const CONFIG: &str = r#"
chain = ["ca-chain", "revocation", "spiffe-id", "pin-list"]
[listen]
address = "127.0.0.1:0"
certificate = "server.pem"
private-key = "server.key"
[policies.ca-chain]
assets = { anchors = "anchors.pem" }
[policies.revocation]
assets = { anchors = "anchors.pem" }
[policies.spiffe-id]
assets = { bundles = "anchors.pem" }
settings = { trust-domain = "example.org" }
[policies.pin-list]
assets = { pins = "pins.txt" }
"#;

fn main() {
    let bench = Bench::from_arguments();
    let handshakes = bench.of(100_000, 10_000);
    let folder = tempfile::tempdir().expect("a folder");
    let clients = clients(&folder);
    let start = Instant::now();
    record(folder.path(), &clients, handshakes / CLIENTS);
    let recorded = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(folder.path())
        .args(["replay", "recordings", "--format", "json", "--plugins"])
        .arg(components())
        .output()
        .expect("it runs");
    let seconds = start.elapsed().as_secs_f64();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["identical"], handshakes, "{report:#}");
    let mut figures = Figures::new("replay");
    let title = format!("{handshakes} handshakes of the four policies");
    let mut table = Table::new(&title, &["s", "handshakes/s"]);
    for (name, seconds) in [("recorded", recorded), ("replayed", seconds)] {
        let rate = handshakes as f64 / seconds;
        table.row(name, [Spread::once(seconds), Spread::once(rate)]);
    }
    figures.table(table);
    bench.finish(&figures);
}

/// A thousand clients, each two signatures away from the anchor; writes what the policies are configured with.
fn clients(folder: &TempDir) -> Vec<Issued> {
    let path = |name: &str| folder.path().join(name);
    let profile = |name: &str, path_length| Profile {
        ca: Some(path_length),
        ..Profile::authority(name, VALIDITY)
    };
    let root = Authority::root(&profile("Root", PathLength::AtMost(1))).expect("a root");
    let intermediate = root
        .intermediate(&profile("Intermediate", PathLength::AtMost(0)))
        .expect("an intermediate");
    let server = root.issue(&Profile::server("gate", Vec::new(), VALIDITY)).expect("issued");
    let clients: Vec<Issued> = (0..CLIENTS)
        .map(|number| {
            let name = format!("client-{number}");
            let id = AltName::Uri(format!("spiffe://example.org/agent/{name}"));
            let profile = Profile { alt_names: vec![id], ..Profile::client(&name, VALIDITY) };
            intermediate.issue(&profile).expect("issued")
        })
        .collect();
    let pins: String =
        clients.iter().map(|client| format!("cert-sha256 {}\n", client.sha256_hex())).collect();
    write_public(&path("server.pem"), &server.chain_pem).expect("written");
    write_private(&path("server.key"), &server.key_pem).expect("written");
    write_public(&path("anchors.pem"), &root.certificate_pem()).expect("written");
    std::fs::write(path("pins.txt"), pins).expect("written");
    std::fs::write(path("portcullis.toml"), CONFIG).expect("written");
    std::fs::write(path("intermediate.der"), intermediate.certificate_der()).expect("written");
    clients
}

/// Judges each client once, and records that so many times.
fn record(folder: &Path, clients: &[Issued], times: usize) {
    let chain = chain(folder);
    let good = RecordedAnswers::default().otherwise(RevocationStatus::Good);
    let good: Arc<dyn Revocation> = Arc::new(good);
    let intermediate = std::fs::read(folder.join("intermediate.der")).expect("a file");
    let intermediate = Arc::new(Certificate::from_der(intermediate).expect("our own"));
    let options = Options::new(folder.join("recordings"));
    let recorder = Recorder::start(options, Clock::fixed(NOW)).expect("it starts");
    let policies = Arc::from([]);
    let mut sent = 0;
    for client in clients {
        let leaf = Certificate::from_der(client.certificate_der.clone()).expect("our own");
        let handshake = Handshake {
            chain: vec![Arc::new(leaf), Arc::clone(&intermediate)],
            time: NOW,
            peer_address: ([192, 0, 2, 1], 49152).into(),
            server_name: Some("gate.example".to_owned()),
        };
        let answers = Arc::new(AnsweredOnce::new(Arc::clone(&good)));
        let asked: Arc<dyn Revocation> = Arc::clone(&answers) as _;
        let decision = chain.decide_with(&handshake, &asked);
        assert!(decision.is_accepted(), "{decision:?}");
        let record = Record::new(&handshake, &answers.answers(), &decision);
        for _ in 0..times {
            recorder.record(&policies, &record);
            sent += 1;
        }
        while sent - recorder.counts().records > WAITING {
            std::thread::yield_now();
        }
    }
    drop(recorder);
}

/// The chain of the configuration.
fn chain(folder: &Path) -> Chain {
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    let policy = |name: &str, settings: &str, asset: &str, file: &str| {
        let content = std::fs::read(folder.join(file)).expect("a file");
        let source = PolicySource {
            name: name.to_owned(),
            component: component(name),
            settings: settings.to_owned(),
            assets: vec![Asset { name: asset.to_owned(), content }],
            limits: PolicyLimits::default(),
        };
        let policy = Arc::new(Policy::load(&engine, source).expect("it loads"));
        Step::One(Member { policy, shadow: false })
    };
    let steps = vec![
        policy("ca-chain", "{}", "anchors", "anchors.pem"),
        policy("revocation", "{}", "anchors", "anchors.pem"),
        policy("spiffe-id", r#"{"trust-domain":"example.org"}"#, "bundles", "anchors.pem"),
        policy("pin-list", "{}", "pins", "pins.txt"),
    ];
    Chain::new(steps, Arc::new(NotConfigured)).expect("a chain")
}
