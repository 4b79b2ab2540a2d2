//! What a decision costs, against a native path validation in the same run. `cargo xtask bench decide` runs it.
//!
//! The subjects take turns, so that a machine that slows down slows all of them, and medians are printed: trust the
//! ratios, not the microseconds.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up ends")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::{
    Asset, Certificate, Chain, Engine, EngineOptions, Handshake, Member, Metering, NotConfigured,
    Policy, PolicyLimits, PolicySource, Preparation, RecordedAnswers, Revocation, RevocationStatus,
    Step,
};
use portcullis_pki::{AltName, Authority, PathLength, Profile, oid};
use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::guest;
use portcullis_tests::judge::{NOW, VALIDITY};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const CALLS: u32 = 100;
/// Longer than an instance takes to be made ready.
const PAUSE: Duration = Duration::from_millis(2);

struct Subject<'a> {
    name: &'static str,
    pause: Duration,
    call: Box<dyn Fn() + 'a>,
    rounds: Vec<Duration>,
}

fn main() {
    let bench = Bench::from_arguments();
    let clients = Clients::new();
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    let by_work = EngineOptions { metering: Metering::Fuel, ..EngineOptions::default() };
    let by_work = Engine::new(by_work).expect("an engine");

    let minimal = chain(&[load(&engine, "minimal", guest::policy_from(""), "{}", None)]);
    let pins = |count| clients.pins(count);
    let [ca_chain, few, many] = [
        shipped(&engine, "ca-chain", clients.anchors()),
        shipped(&engine, "pin-list", pins(10)),
        shipped(&engine, "pin-list", pins(10_000)),
    ];
    let both = chain(&[Arc::clone(&ca_chain), Arc::clone(&few)]);
    let (ca_chain, few, many) = (chain(&[ca_chain]), chain(&[few]), chain(&[many]));
    let four = |engine| {
        chain(&[
            shipped(engine, "ca-chain", clients.anchors()),
            shipped(engine, "revocation", clients.anchors()),
            shipped(engine, "spiffe-id", clients.bundles()),
            shipped(engine, "pin-list", pins(10)),
        ])
    };
    let (four, four_by_work) = (four(&engine), four(&by_work));
    let examples = examples(&engine, &clients);

    let handshake = clients.handshake();
    let good: Arc<dyn Revocation> =
        Arc::new(RecordedAnswers::default().otherwise(RevocationStatus::Good));
    let decide = |chain: &Chain| {
        let decision = black_box(chain.decide_with(&handshake, &good));
        assert!(decision.is_accepted(), "{decision:?}");
    };

    let mut subjects = vec![
        Subject::new("native webpki, two signatures", || clients.validate_natively()),
        Subject::new("parsing the two certificates", || drop(black_box(clients.parsed()))),
        Subject::new("minimal policy", || decide(&minimal)),
        Subject::new("ca-chain, two signatures", || decide(&ca_chain)),
        Subject::new("pin-list, 10 pins", || decide(&few)),
        Subject::new("pin-list, 10,000 pins", || decide(&many)),
        Subject::new("chain: ca-chain, pin-list", || decide(&both)),
        Subject::new("chain: all four", || decide(&four)),
        Subject::new("chain: all four, by work", || decide(&four_by_work)),
    ];
    for (name, chain) in &examples {
        subjects.push(Subject::new(name, || decide(chain)));
        if chain.members().any(|member| member.policy.preparation() == Preparation::ReadyAhead) {
            subjects.push(Subject::after("  after a pause, so that one is ready", PAUSE, || {
                decide(chain)
            }));
        }
    }
    // The first round warms up and is not counted.
    for round in 0..=bench.of(60, 10) {
        for subject in &mut subjects {
            let took = subject.takes();
            if round > 0 {
                subject.rounds.push(took / CALLS);
            }
        }
    }
    let mut figures = Figures::new("decide");
    figures.table(table(&subjects));
    bench.finish(&figures);
}

/// Policies in three languages, as far as they were built.
fn examples(engine: &Engine, clients: &Clients) -> Vec<(&'static str, Chain)> {
    let hours = r#"{ "maximum-validity-hours": 4000 }"#;
    let examples = [
        ("issuer-ceiling, Rust", "issuer-ceiling", hours, Some(clients.issuers())),
        ("team-of-unit, JavaScript", "team-of-unit", "{}", Some(clients.teams())),
        ("business-hours, Python", "business-hours", "{}", None),
    ];
    let mut chains = Vec::new();
    for (row, name, settings, asset) in examples {
        let path = xtask::components::folder().join("examples").join(name).with_extension("wasm");
        match std::fs::read(&path) {
            Ok(component) => {
                chains.push((row, chain(&[load(engine, name, component, settings, asset)])));
            }
            Err(error) => println!("without {row}: {}: {error}", path.display()),
        }
    }
    chains
}

fn chain(policies: &[Arc<Policy>]) -> Chain {
    let steps = policies
        .iter()
        .map(|policy| Step::One(Member { policy: Arc::clone(policy), shadow: false }));
    Chain::new(steps.collect(), Arc::new(NotConfigured)).expect("a chain")
}

/// Each against the first of the same round.
fn table(subjects: &[Subject<'_>]) -> Table {
    let mut table = Table::new("one decision", &["µs", "× native"]);
    for subject in subjects {
        let micros = subject.rounds.iter().map(|round| round.as_secs_f64() * 1e6);
        let rounds = subject.rounds.iter().zip(&subjects[0].rounds);
        let ratios = rounds.map(|(round, native)| round.as_secs_f64() / native.as_secs_f64());
        table.row(subject.name, [Spread::of(micros), Spread::of(ratios)]);
    }
    table
}

impl<'a> Subject<'a> {
    fn new(name: &'static str, call: impl Fn() + 'a) -> Self {
        Self { name, pause: Duration::ZERO, call: Box::new(call), rounds: Vec::new() }
    }

    /// Before each call there is a pause, which does not count.
    fn after(name: &'static str, pause: Duration, call: impl Fn() + 'a) -> Self {
        Self { pause, ..Self::new(name, call) }
    }

    /// How long the calls of a round take.
    fn takes(&self) -> Duration {
        if self.pause.is_zero() {
            let start = Instant::now();
            (0..CALLS).for_each(|_| (self.call)());
            return start.elapsed();
        }
        let paused = (0..CALLS).map(|_| {
            std::thread::sleep(self.pause);
            let start = Instant::now();
            (self.call)();
            start.elapsed()
        });
        paused.sum()
    }
}

fn asset(name: &str, content: String) -> Asset {
    Asset { name: name.to_owned(), content: content.into_bytes() }
}

/// The organisational unit of the client.
const UNIT: &str = "Card Payments";

/// A client two signatures away from its root.
struct Clients {
    anchors: [TrustAnchor<'static>; 1],
    root_pem: String,
    intermediate_pem: String,
    intermediate: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
}

impl Clients {
    fn new() -> Self {
        let profile = |name: &str, path_length| Profile {
            ca: Some(path_length),
            ..Profile::authority(name, VALIDITY)
        };
        let root = Authority::root(&profile("Root", PathLength::AtMost(1))).expect("a root");
        let intermediate = root
            .intermediate(&profile("Intermediate", PathLength::AtMost(0)))
            .expect("an intermediate");
        let mut client = Profile::client("client-1", VALIDITY);
        client.subject.push((oid::ORGANIZATIONAL_UNIT.to_owned(), UNIT.to_owned()));
        client.alt_names.push(AltName::Uri("spiffe://example.org/agent/client-1".to_owned()));
        let client = intermediate.issue(&client).expect("a certificate");
        let root_der = CertificateDer::from(root.certificate_der());
        let anchor = anchor_from_trusted_cert(&root_der).expect("our own root").to_owned();
        Self {
            anchors: [anchor],
            root_pem: root.certificate_pem(),
            intermediate_pem: intermediate.certificate_pem(),
            intermediate: CertificateDer::from(intermediate.certificate_der().to_vec()),
            leaf: CertificateDer::from(client.certificate_der),
        }
    }

    fn anchors(&self) -> Asset {
        asset("anchors", self.root_pem.clone())
    }

    fn bundles(&self) -> Asset {
        asset("bundles", format!("spiffe://example.org\n{}", self.root_pem))
    }

    fn issuers(&self) -> Asset {
        asset("issuers", self.intermediate_pem.clone())
    }

    fn teams(&self) -> Asset {
        asset("teams", format!("{UNIT} = payments\n"))
    }

    /// The client's own pin among others.
    fn pins(&self, count: usize) -> Asset {
        let own = self.handshake().chain[0].public_key().spki_sha256;
        let mut content = String::new();
        for number in 0..count {
            let mut pin = own;
            if number != count / 2 {
                pin[..8].copy_from_slice(&(number as u64).to_be_bytes());
            }
            let hexadecimal: String = pin.iter().map(|byte| format!("{byte:02x}")).collect();
            content.push_str(&format!("spki-sha256 {hexadecimal}\n"));
        }
        asset("pins", content)
    }

    fn parsed(&self) -> Vec<Arc<Certificate>> {
        [&self.leaf, &self.intermediate]
            .iter()
            .map(|der| Arc::new(Certificate::from_der(der.to_vec()).expect("our own")))
            .collect()
    }

    fn handshake(&self) -> Handshake {
        Handshake {
            chain: self.parsed(),
            time: NOW,
            peer_address: ([192, 0, 2, 1], 49152).into(),
            server_name: None,
        }
    }

    /// What a rustls server without policies does.
    fn validate_natively(&self) {
        let leaf = EndEntityCert::try_from(&self.leaf).expect("our own leaf");
        let path = leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &self.anchors,
            std::slice::from_ref(&self.intermediate),
            UnixTime::since_unix_epoch(Duration::from_secs(NOW.unsigned_abs())),
            KeyUsage::client_auth(),
            None,
            None,
        );
        assert!(black_box(path).is_ok());
    }
}

fn load(
    engine: &Engine,
    name: &str,
    component: Vec<u8>,
    settings: &str,
    asset: Option<Asset>,
) -> Arc<Policy> {
    let source = PolicySource {
        name: name.to_owned(),
        component,
        settings: settings.to_owned(),
        assets: asset.into_iter().collect(),
        limits: PolicyLimits::default(),
    };
    Arc::new(Policy::load(engine, source).expect("it loads"))
}

/// One of the policies that come with the gate.
fn shipped(engine: &Engine, name: &str, asset: Asset) -> Arc<Policy> {
    let path = xtask::components::folder().join(name).with_extension("wasm");
    let component = std::fs::read(&path).expect("built by `cargo xtask components`");
    load(engine, name, component, "{}", Some(asset))
}
