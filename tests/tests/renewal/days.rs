//! Days in moments: the authority, the gate, and a client that is renewed share a clock that the test moves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_ca::{Ask, Ca, Issued, Options, Reason, Renewals, Usage};
use portcullis_connect::{
    IdentitySource, PemFiles, Renewal, RenewalError, Roots, Upstream, UpstreamOptions, stdio,
};
use portcullis_engine::{
    Asset, Certificate, Chain, Clock, Engine, EngineOptions, Handshake, Member, NotConfigured,
    Policy, PolicyLimits, PolicySource, Step,
};
use portcullis_gate::{AuditRecord, Gate, GateOptions, IdentitySwap, ServerIdentity};
use portcullis_mcp::{McpService, RequestAuditor, RequestRecord};
use portcullis_pki::{AltName, KeyType, write_private, write_public};
use portcullis_tests::connect::{newest, request};
use portcullis_tests::gate::component;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const START: i64 = 1_790_000_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority that renews, and the time there.
struct World {
    folder: TempDir,
    now: Arc<AtomicI64>,
    ca: Ca,
    authority: String,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(START));
        let options = Options {
            name: "Test".to_owned(),
            key: KeyType::P256,
            lifetime: 1000 * DAY,
            path_length: 0,
            permitted: Vec::new(),
            trust_domain: None,
            maximum_lifetime: 30 * DAY,
            crl_lifetime: DAY,
            crl_url: None,
            ocsp_url: None,
        };
        let directory = folder.path().join("ca");
        let ca = Ca::init(&directory, &options, None, clock(&now)).unwrap();
        let renewing = Ca::open(&directory, clock(&now)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = format!("https://{}", listener.local_addr().unwrap());
        let renewals = Renewals::new(renewing, vec![here()]).unwrap();
        tokio::spawn(renewals.serve(listener, CancellationToken::new()));
        Self { folder, now, ca, authority }
    }

    fn clock(&self) -> Clock {
        clock(&self.now)
    }

    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, usage: Usage) -> Issued {
        let alt_names = match usage {
            Usage::Client => Vec::new(),
            Usage::Server => vec![here()],
        };
        let name = "alice".to_owned();
        self.ca.issue(&Ask { name, alt_names, usage, lifetime: DAY, key: KeyType::P256 }).unwrap()
    }

    /// A client's certificate in two files.
    fn alice(&self) -> (PathBuf, PathBuf) {
        let issued = self.issue(Usage::Client);
        self.write(&issued)
    }

    fn write(&self, issued: &Issued) -> (PathBuf, PathBuf) {
        let (chain, key) = (self.path("alice.pem"), self.path("alice.key"));
        write_public(&chain, &issued.chain_pem).unwrap();
        write_private(&key, issued.key_pem.as_ref().unwrap()).unwrap();
        (chain, key)
    }

    fn server_identity(&self) -> ServerIdentity {
        let issued = self.issue(Usage::Server);
        let key_pem = issued.key_pem.unwrap();
        ServerIdentity::from_pem(issued.chain_pem.as_bytes(), key_pem.as_bytes()).unwrap()
    }

    fn roots(&self) -> Roots {
        Roots::from_file(&self.ca.anchor_path()).unwrap()
    }

    fn renewal(&self, files: &Arc<PemFiles>) -> Renewal {
        let options = UpstreamOptions::new(&self.authority, self.roots());
        Renewal::new(options, Arc::clone(files), self.clock()).unwrap()
    }

    /// Starts a gate that lets the authority's clients in, under their common names.
    async fn gate(&self, requests: Requests) -> (String, IdentitySwap) {
        let anchors = std::fs::read(self.ca.anchor_path()).unwrap();
        let source = PolicySource {
            name: "ca-chain".to_owned(),
            component: component("ca-chain"),
            settings: r#"{ "principal": "common-name" }"#.to_owned(),
            assets: vec![Asset { name: "anchors".to_owned(), content: anchors }],
            // The machine may have other things to do.
            limits: PolicyLimits { deadline: PATIENCE, ..PolicyLimits::default() },
        };
        let engine = Engine::new(EngineOptions::default()).unwrap();
        let policy = Arc::new(Policy::load(&engine, source).unwrap());
        let steps = vec![Step::One(Member { policy, shadow: false })];
        let chain = Chain::new(steps, Arc::new(NotConfigured)).unwrap();
        let judge = Arc::new(move |handshake: &Handshake| chain.decide(handshake));
        let address = "127.0.0.1:0".parse().unwrap();
        let options = GateOptions { address, ..GateOptions::default() };
        let ignored = Arc::new(|_: &AuditRecord| ());
        let gate = Gate::bind(options, self.server_identity(), judge, self.clock(), ignored);
        let gate = gate.await.unwrap();
        let mut options = portcullis_mcp::Options::default();
        options.auditor = Arc::new(requests);
        let service = McpService::new(options, Vec::new()).unwrap();
        let url = format!("https://{}/portcullis/mcp", gate.local_address());
        let swap = gate.identity_swap();
        tokio::spawn(gate.run(service, CancellationToken::new()));
        (url, swap)
    }
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::from_fn(move || now.load(Ordering::SeqCst))
}

fn here() -> AltName {
    AltName::Ip(std::net::Ipv4Addr::LOCALHOST.into())
}

fn open(files: &(PathBuf, PathBuf)) -> Arc<PemFiles> {
    Arc::new(PemFiles::open(&files.0, Some(&files.1)).unwrap())
}

fn not_after(files: &PemFiles) -> i64 {
    files.identity().certificate().not_after()
}

/// What the gate noted of requests.
#[derive(Clone, Debug, Default)]
struct Requests(Arc<Mutex<Vec<RequestRecord>>>);

impl RequestAuditor for Requests {
    fn record(&self, record: &RequestRecord) {
        self.0.lock().unwrap().push(record.clone());
    }
}

/// An MCP client at a `connect` in this process.
struct Client {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
}

impl Client {
    fn of(upstream: Arc<Upstream>) -> Self {
        let (input, bridge_input) = tokio::io::duplex(64 * 1024);
        let (output, bridge_output) = tokio::io::duplex(64 * 1024);
        tokio::spawn(stdio::serve(
            upstream,
            BufReader::new(bridge_input),
            bridge_output,
            stdio::Options::default(),
            CancellationToken::new(),
        ));
        Self { input, output: BufReader::new(output).lines() }
    }

    async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        serde_json::from_str(&line.expect("an answer in time").unwrap().unwrap()).unwrap()
    }
}

/// What `whoami` says of the certificate.
fn serial(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    let who: Value = serde_json::from_str(text.unwrap_or_else(|| panic!("{answer}"))).unwrap();
    who["certificate"]["serial_number"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_generations_of_client_and_server_certificates_lose_no_request_and_no_session() {
    let world = World::new().await;
    let requests = Requests::default();
    let (url, server) = world.gate(requests.clone()).await;
    let files = open(&world.alice());
    let first_end = not_after(&files);
    let options = UpstreamOptions::new(url, world.roots());
    let source = Arc::clone(&files) as Arc<dyn IdentitySource>;
    let upstream = Arc::new(Upstream::new(options, source, world.clock()).unwrap());
    let renewal = world.renewal(&files);
    let mut client = Client::of(upstream);
    client
        .say(&request(
            0,
            "initialize",
            &json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } }),
        ))
        .await;
    assert!(client.next().await["result"].is_object());
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;

    let who = json!({ "name": "whoami", "arguments": {} });
    let (mut id, mut renewals, mut rotations) = (0, 0, 0);
    let (mut asked, mut answered, mut serials) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut rotated_at = START;
    while renewals < 10 || rotations < 10 {
        world.pass(HOUR);
        // Some of them in a session and some by themselves, on their way while certificates change.
        for _ in 0..4 {
            id += 1;
            let parameters = if id % 2 == 0 { newest(who.clone()) } else { who.clone() };
            client.say(&request(id, "tools/call", &parameters)).await;
            asked.insert(id);
        }
        if world.now.load(Ordering::SeqCst) - rotated_at >= 16 * HOUR {
            server.replace(world.server_identity());
            (rotations, rotated_at) = (rotations + 1, world.now.load(Ordering::SeqCst));
        }
        let step = renewal.step().await;
        renewals += u32::from(step.renewed.is_some());
        for _ in 0..4 {
            let answer = client.next().await;
            serials.insert(serial(&answer));
            answered.insert(answer["id"].as_u64().unwrap());
        }
    }
    assert_eq!(asked, answered);
    // Each generation was used, the last of them perhaps not yet.
    assert!((10..=11).contains(&serials.len()), "{serials:?}");
    assert!(world.now.load(Ordering::SeqCst) > first_end + 4 * DAY);
    let noted = requests.0.lock().unwrap();
    let refused: Vec<_> = noted.iter().filter(|record| record.code.is_some()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let opened = noted.iter().filter(|record| record.method.as_deref() == Some("initialize"));
    assert_eq!(opened.count(), 1, "the session of the first certificate is still in use");
    assert_eq!(world.ca.records().unwrap().iter().filter(|record| record.from_request).count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_revoked_or_has_expired_or_is_unknown_is_refused_in_the_handshake() {
    let world = World::new().await;
    let paths = world.alice();
    let alert = |files: Arc<PemFiles>| {
        let renewal = world.renewal(&files);
        async move {
            match renewal.renew().await {
                Err(RenewalError::Certificate { alert, .. }) => alert,
                other => panic!("{other:?}"),
            }
        }
    };
    let files = open(&paths);
    world.pass(DAY + 1);
    assert_eq!(alert(files).await, "certificate_expired");

    let issued = world.issue(Usage::Client);
    std::fs::remove_file(&paths.1).unwrap();
    let files = open(&world.write(&issued));
    world.ca.revoke(&issued.record, Reason::KeyCompromise).unwrap();
    assert_eq!(alert(files).await, "certificate_revoked");

    let other = World::new().await;
    let files = open(&other.alice());
    assert_eq!(alert(files).await, "unknown_ca", "of another authority of this very name");
    assert_eq!(world.ca.records().unwrap().len(), 4, "two clients', and two of the server's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_the_whole_line_of_renewals() {
    let world = World::new().await;
    let stolen = world.alice();
    let first = read(&stolen.0);
    let renewal = world.renewal(&open(&stolen));
    let renewed = [renewal.renew().await.unwrap(), renewal.renew().await.unwrap()];
    // The operator knows the first one, or the last: either way, all are out.
    let record = world.ca.find(&first).unwrap();
    world.ca.revoke(&record, Reason::KeyCompromise).unwrap();
    for identity in renewed {
        let record = world.ca.find(identity.certificate().serial_number()).unwrap();
        assert!(record.revocation.is_some());
    }
    assert!(matches!(
        renewal.renew().await,
        Err(RenewalError::Certificate { alert: "certificate_revoked", .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_the_certificate_that_there_is_stays() {
    let world = World::new().await;
    let files = open(&world.alice());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("https://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let options = UpstreamOptions::new(away, world.roots());
    let renewal = Renewal::new(options, Arc::clone(&files), world.clock()).unwrap();
    assert!(renewal.step().await.renewed.is_none());
    let end = not_after(&files);
    world.pass(18 * HOUR);
    for _ in 0..12 {
        let step = renewal.step().await;
        assert!(step.renewed.is_none() && step.wait <= Duration::from_secs(60), "{step:?}");
        world.pass(60);
    }
    assert!(matches!(renewal.renew().await, Err(RenewalError::Unreachable(_))));
    assert_eq!(not_after(&files), end);
    let renewal = world.renewal(&files);
    assert!(renewal.step().await.renewed.is_some());
    assert!(not_after(&files) > end);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_on_and_on_is_told_to_come_later() {
    let world = World::new().await;
    let files = open(&world.alice());
    let renewal = world.renewal(&files);
    let refused = loop {
        match renewal.renew().await {
            Ok(_) => {}
            Err(RenewalError::Status { status, reason }) => break (status, reason),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(refused.0, 429, "{}", refused.1);
    assert!(world.ca.records().unwrap().len() < 12);
    world.pass(DAY - HOUR);
    assert!(renewal.renew().await.is_err());
    world.pass(HOUR - 60);
    assert_eq!(read(&world.path("alice.pem")), files.identity().certificate().serial_number());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_told_of_and_nothing_is_issued() {
    let world = World::new().await;
    let elsewhere = world.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let (chain, key) = world.alice();
    let moved = (elsewhere.join("alice.pem"), elsewhere.join("alice.key"));
    std::fs::rename(chain, &moved.0).unwrap();
    std::fs::rename(key, &moved.1).unwrap();
    let renewal = world.renewal(&open(&moved));
    std::fs::remove_dir_all(elsewhere).unwrap();
    let before = world.ca.records().unwrap().len();
    assert!(matches!(renewal.renew().await, Err(RenewalError::Write(_))));
    assert_eq!(world.ca.records().unwrap().len(), before);
}

/// The serial number of the first certificate in a file.
fn read(path: &Path) -> String {
    use rustls_pki_types::pem::PemObject as _;
    let der = rustls_pki_types::CertificateDer::from_pem_file(path).unwrap();
    Certificate::from_der(der.to_vec()).unwrap().serial_number().to_owned()
}
