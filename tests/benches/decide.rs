//! What a decision costs, against a native path validation in the same run. `cargo xtask bench decide` runs it.
//!
//! The subjects take turns, so that a machine that slows down slows all of them, and medians are printed: trust the
//! ratios, not the microseconds. Each call is about a client that never came before, so that nothing of it is known.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up ends")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::{
    Asset, Certificate, Chain, Engine, EngineOptions, Handshake, Member, Metering, NotConfigured,
    Policy, PolicyLimits, PolicySource, Preparation, RecordedAnswers, Revocation, RevocationStatus,
    Step,
};
use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::guest;
use portcullis_tests::judge::{NOW, VALIDITY};
use portcullis_tests::strangers::{Strangers, UNIT};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const CALLS: u32 = 100;
/// Longer than an instance takes to be made ready.
const PAUSE: Duration = Duration::from_millis(2);

const NATIVE: &str = "native webpki, two signatures";
const FOUR: &str = "chain: all four";
/// Policies of one chain: what another one costs.
const GROWTH: [usize; 5] = [1, 2, 4, 8, 16];

struct Subject<'a> {
    name: String,
    pause: Duration,
    call: Box<dyn Fn(&Handshake) + 'a>,
    rounds: Vec<Duration>,
}

fn main() {
    let bench = Bench::from_arguments();
    let clients = Clients::new();
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    let by_work = EngineOptions { metering: Metering::Fuel, ..EngineOptions::default() };
    let by_work = Engine::new(by_work).expect("an engine");

    let minimal = chain(&[load(&engine, "minimal", guest::policy_from(""), "{}", None)]);
    let alone = |component, asset| chain(&[shipped(&engine, component, component, asset)]);
    let ca_chain = alone("ca-chain", clients.anchors());
    let pin_lists =
        [10, 10_000, 100_000].map(|count| (count, alone("pin-list", clients.pins(count))));
    let four = |engine| chain(&some(engine, &clients, 4));
    let (four, four_by_work) = (four(&engine), four(&by_work));
    let growth = GROWTH.map(|count| (count, chain(&some(&engine, &clients, count))));
    let examples = examples(&engine, &clients);

    let good: Arc<dyn Revocation> =
        Arc::new(RecordedAnswers::default().otherwise(RevocationStatus::Good));
    let decide = |chain: &Chain, handshake: &Handshake| {
        let decision = black_box(chain.decide_with(handshake, &good));
        assert!(decision.is_accepted(), "{decision:?}");
    };
    let again = clients.next();

    let mut subjects = vec![
        Subject::new(NATIVE, |client| clients.validate_natively(client)),
        Subject::new("parsing the two certificates", |client| drop(black_box(parsed(client)))),
        Subject::new("minimal policy", |client| decide(&minimal, client)),
        Subject::new("ca-chain, two signatures", |client| decide(&ca_chain, client)),
        Subject::new(FOUR, |client| decide(&four, client)),
        Subject::new("  a client that comes again", |_| decide(&four, &again)),
        Subject::new("  by work", |client| decide(&four_by_work, client)),
    ];
    for (count, pin_list) in &pin_lists {
        let name = format!("pin-list, {count} pins");
        subjects.push(Subject::new(&name, |client| decide(pin_list, client)));
    }
    for (count, chain) in &growth {
        let name = format!("chain: {count} policies");
        subjects.push(Subject::new(&name, |client| decide(chain, client)));
    }
    for (name, chain) in &examples {
        subjects.push(Subject::new(name, |client| decide(chain, client)));
        if chain.members().any(|member| member.policy.preparation() == Preparation::ReadyAhead) {
            let name = "  after a pause, so that one is ready";
            subjects.push(Subject::after(name, PAUSE, |client| decide(chain, client)));
        }
    }
    // The first round warms up and is not counted.
    for round in 0..=bench.of(60, 10) {
        for subject in &mut subjects {
            let took = subject.takes(&clients);
            if round > 0 {
                subject.rounds.push(took / CALLS);
            }
        }
    }
    let mut figures = Figures::new("decide");
    let micros = |name: &str| {
        let subject = subjects.iter().find(|subject| subject.name == name)?;
        Spread::of(subject.micros()).map(|spread| spread.median)
    };
    if let (Some(native), Some(four)) = (micros(NATIVE), micros(FOUR)) {
        figures.ratio("four_policies_to_native", four / native);
        figures.ratio("microseconds_above_native", four - native);
    }
    figures.table(table(&subjects));
    bench.finish(&figures);
}

/// So many policies: those that come with the gate in turn.
fn some(engine: &Engine, clients: &Clients, count: usize) -> Vec<Arc<Policy>> {
    let of = |number: usize| {
        let (component, asset) = match number % 4 {
            0 => ("ca-chain", clients.anchors()),
            1 => ("revocation", clients.anchors()),
            2 => ("spiffe-id", clients.bundles()),
            _ => ("pin-list", clients.pins(10)),
        };
        shipped(engine, component, &format!("{component}-{number}"), asset)
    };
    (0..count).map(of).collect()
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
        let rounds = subject.rounds.iter().zip(&subjects[0].rounds);
        let ratios = rounds.map(|(round, native)| round.as_secs_f64() / native.as_secs_f64());
        table.row(&subject.name, [Spread::of(subject.micros()), Spread::of(ratios)]);
    }
    table
}

impl<'a> Subject<'a> {
    fn new(name: &str, call: impl Fn(&Handshake) + 'a) -> Self {
        let name = name.to_owned();
        Self { name, pause: Duration::ZERO, call: Box::new(call), rounds: Vec::new() }
    }

    /// Before each call there is a pause, which does not count.
    fn after(name: &str, pause: Duration, call: impl Fn(&Handshake) + 'a) -> Self {
        Self { pause, ..Self::new(name, call) }
    }

    /// How long the calls of a round take.
    fn takes(&self, clients: &Clients) -> Duration {
        let clients: Vec<Handshake> = (0..CALLS).map(|_| clients.next()).collect();
        if self.pause.is_zero() {
            let start = Instant::now();
            clients.iter().for_each(|client| (self.call)(client));
            return start.elapsed();
        }
        let paused = clients.iter().map(|client| {
            std::thread::sleep(self.pause);
            let start = Instant::now();
            (self.call)(client);
            start.elapsed()
        });
        paused.sum()
    }

    fn micros(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(|round| round.as_secs_f64() * 1e6)
    }
}

fn asset(name: &str, content: String) -> Asset {
    Asset { name: name.to_owned(), content: content.into_bytes() }
}

/// The clients, as policies and webpki take them.
struct Clients {
    strangers: Strangers,
    anchors: [TrustAnchor<'static>; 1],
    came: Cell<usize>,
}

impl Clients {
    fn new() -> Self {
        let strangers = Strangers::new(VALIDITY);
        let root = CertificateDer::from(strangers.root.certificate_der());
        let anchor = anchor_from_trusted_cert(&root).expect("our own root").to_owned();
        Self { anchors: [anchor], strangers, came: Cell::new(0) }
    }

    fn anchors(&self) -> Asset {
        asset("anchors", self.strangers.root.certificate_pem())
    }

    fn bundles(&self) -> Asset {
        asset("bundles", format!("spiffe://example.org\n{}", self.strangers.root.certificate_pem()))
    }

    fn issuers(&self) -> Asset {
        asset("issuers", self.strangers.intermediate.certificate_pem())
    }

    fn teams(&self) -> Asset {
        asset("teams", format!("{UNIT} = payments\n"))
    }

    /// The clients' own pin among others.
    fn pins(&self, count: usize) -> Asset {
        let own = self.next().chain[0].public_key().spki_sha256;
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

    /// The client who comes next.
    fn next(&self) -> Handshake {
        let number = self.came.replace(self.came.get() + 1);
        let ders =
            [self.strangers.client(number), self.strangers.intermediate.certificate_der().to_vec()];
        let chain = ders.map(|der| Arc::new(Certificate::from_der(der).expect("our own")));
        Handshake {
            chain: chain.to_vec(),
            time: NOW,
            peer_address: ([192, 0, 2, 1], 49152).into(),
            server_name: None,
        }
    }

    /// What a rustls server without policies does.
    fn validate_natively(&self, client: &Handshake) {
        let ders: Vec<_> = client.chain.iter().map(|one| CertificateDer::from(one.der())).collect();
        let leaf = EndEntityCert::try_from(&ders[0]).expect("our own leaf");
        let path = leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &self.anchors,
            &ders[1..],
            UnixTime::since_unix_epoch(Duration::from_secs(NOW.unsigned_abs())),
            KeyUsage::client_auth(),
            None,
            None,
        );
        assert!(black_box(path).is_ok());
    }
}

/// As the gate does it for each client.
fn parsed(client: &Handshake) -> Vec<Arc<Certificate>> {
    let parse = |known: &Arc<Certificate>| {
        Arc::new(Certificate::from_der(known.der().to_vec()).expect("our own"))
    };
    client.chain.iter().map(parse).collect()
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
fn shipped(engine: &Engine, component: &str, name: &str, asset: Asset) -> Arc<Policy> {
    let path = xtask::components::folder().join(component).with_extension("wasm");
    let component = std::fs::read(&path).expect("built by `cargo xtask components`");
    load(engine, name, component, "{}", Some(asset))
}
