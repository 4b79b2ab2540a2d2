//! What waiting clients and policies cost in memory, and whether a storm of handshakes is felt by those inside. `cargo
//! xtask bench load` runs it.
//!
//! The gate has a core of its own, and so has the load, as far as there are two. Memory is what the gate's process has
//! resident; what the kernel keeps for a socket is not in it.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up ends")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::{
    Asset, CompileCache, Engine, EngineOptions, Metering, Policy, PolicyLimits, PolicySource,
};
use portcullis_pki::Profile;
use portcullis_tests::bench::{Bench, Figures, Spread, Table, grouped};
use portcullis_tests::gate::{Setup, component, components};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::process::Process;
use portcullis_tests::raw::{self, Dialer, Raw};
use portcullis_tests::released::Released;
use portcullis_tests::server;
use serde_json::json;

/// Clients that are inside and call now and then, while others arrive.
const LIVE: usize = 8;
const BETWEEN_CALLS: Duration = Duration::from_millis(5);
/// Clients of a storm that arrive at the same time.
const ARRIVING: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["storm", address, ca, number, ref names @ ..] => storm(address, ca, number, names),
        ["policies", name, metering, folder] => hold_policies(name, metering, Path::new(folder)),
        _ => measure(&Bench::from_arguments()),
    }
}

fn measure(bench: &Bench) {
    let count = bench.of(10_000, 1_000).min(open_files().saturating_sub(1_000));
    let mut figures = Figures::new("load");
    let (gate_core, own_core) = cores();
    let clients = Clients::new();
    let gate = Released::start(&clients.setup, gate_core);
    if let Some(core) = own_core {
        stay_on(core);
    }
    let dialer = Dialer::at(gate.address(), &clients.setup.ca(), &clients.known);
    let waiting = wait_inside(&gate, &dialer, count, &mut figures);
    storms(bench, &gate, &clients, &mut figures);
    drop(waiting);
    policies(&clients.setup, &mut figures);
    bench.finish(&figures);
}

/// What connections cost that wait: those that have not asked anything yet, and those that have.
fn wait_inside(gate: &Released, dialer: &Dialer, count: usize, figures: &mut Figures) -> Vec<Raw> {
    let resident = || gate.process().resident_kib().0 as f64;
    let before = resident();
    let mut waiting: Vec<Raw> = (0..count).map(|_| dialer.connect_fully()).collect();
    let arrived = resident();
    waiting.iter_mut().for_each(ask);
    let asked = resident();
    let title = format!("{} connections that wait", grouped(&count.to_string()));
    let mut table = Table::new(&title, &["KiB each", "MiB all"]);
    for (name, after) in [("after the handshake", arrived), ("after a call", asked)] {
        let kib = after - before;
        table.row(name, [Spread::once(kib / count as f64), Spread::once(kib / 1024.0)]);
    }
    figures.table(table);
    figures.ratio("kib_per_idle_connection", (asked - before) / count as f64);
    waiting
}

/// Those inside while nobody arrives, and while many do.
fn storms(bench: &Bench, gate: &Released, clients: &Clients, figures: &mut Figures) {
    let dialer = Dialer::at(gate.address(), &clients.setup.ca(), &clients.known);
    let number = bench.of(5_000, 1_000);
    let (mut quiet, mut stormy) = (Calls::default(), Calls::default());
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..=bench.of(3, 1) {
        let ((), calm) = calls_during(&dialer, || {
            std::thread::sleep(Duration::from_secs(bench.of(4, 2)));
        });
        let (rate, storm) = calls_during(&dialer, || clients.storm(gate.address(), number));
        // The first round warms up.
        if round > 0 {
            ratios.push(storm.1 / calm.1);
            rates.push(rate);
            quiet.add(calm);
            stormy.add(storm);
        }
    }
    let mut table = Table::new(
        "a call of one of eight, beside those that wait",
        &["p99 µs", "p50 µs", "handshakes/s"],
    );
    table.row("quiet", [Spread::of(quiet.p99), Spread::of(quiet.p50), None]);
    let name = format!("{} handshakes, half of them refused", grouped(&number.to_string()));
    table.row(&name, [Spread::of(stormy.p99), Spread::of(stormy.p50), Spread::of(rates)]);
    figures.table(table);
    if let Some(ratios) = Spread::of(ratios) {
        figures.ratio("p99_ratio_to_quiet", ratios.median);
    }
}

/// Of rounds, in µs.
#[derive(Default)]
struct Calls {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Calls {
    fn add(&mut self, (p50, p99): (f64, f64)) {
        self.p50.push(p50);
        self.p99.push(p99);
    }
}

/// The median and the 99th percentile, in µs, of calls that are made while something goes on.
fn calls_during<T>(dialer: &Dialer, something: impl FnOnce() -> T) -> (T, (f64, f64)) {
    let over = AtomicUsize::new(0);
    let client = || {
        let (mut connection, mut took) = (dialer.connect(), Vec::new());
        ask(&mut connection);
        while over.load(Ordering::Relaxed) == 0 {
            let start = Instant::now();
            ask(&mut connection);
            took.push(start.elapsed().as_secs_f64() * 1e6);
            std::thread::sleep(BETWEEN_CALLS);
        }
        took
    };
    let (result, mut took): (T, Vec<f64>) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..LIVE).map(|_| scope.spawn(client)).collect();
        let result = something();
        over.store(1, Ordering::Relaxed);
        let took = clients.into_iter().flat_map(|client| client.join().expect("a client"));
        (result, took.collect())
    });
    took.sort_by(f64::total_cmp);
    (result, (took[took.len() / 2], took[took.len() * 99 / 100]))
}

fn ask(connection: &mut Raw) {
    connection.post("/bench/mcp", "", &raw::call(7, "time", &json!({ "zone": "Asia/Tokyo" })));
    connection.read_to("\"isError\":false}}");
}

/// Who comes: one whom the gate knows, and one whom it does not.
struct Clients {
    setup: Setup,
    known: Identity,
}

impl Clients {
    fn new() -> Self {
        let setup = Setup::new();
        let known = pki::root("Clients");
        setup.write("clients-ca.pem", known.certificate_pem());
        for (name, authority) in [("known", &known), ("stranger", &pki::root("Strangers"))] {
            let client = authority.issue(&Profile::client(name, pki::valid())).expect("issued");
            let _ = Identity::write(setup.directory(), name, &client);
        }
        setup.write(
            "portcullis.toml",
            format!("chain = [\"ca-chain\"]\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
             private-key = \"server.key\"\nmaximum-connections = 15000\n[policies.ca-chain]\n\
             assets = {{ anchors = \"clients-ca.pem\" }}\n[http]\nheader-timeout-ms = 3600000\n\
             [limits]\nrequests-per-second = 1000000\nrequests-in-flight = 1000\n[servers.bench]\nurl = \"http://{}/mcp\"\n", server::start()),
        );
        let known = Identity::at(setup.directory(), "known");
        Self { setup, known }
    }

    /// Handshakes a second of a storm. It comes from a process of the lowest priority, so that those who call feel the gate
    /// and not it.
    fn storm(&self, address: SocketAddr, number: usize) -> f64 {
        let start = Instant::now();
        let status = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["storm", &address.to_string()])
            .arg(self.setup.ca())
            .arg(number.to_string())
            .arg(self.setup.directory())
            .status()
            .expect("`nice`");
        assert!(status.success(), "half of them were to be let in");
        number as f64 / start.elapsed().as_secs_f64()
    }
}

/// What the process of a storm does.
fn storm(address: &str, ca: &str, number: &str, names: &[&str]) {
    let address = address.parse().expect("an address");
    let number: usize = number.parse().expect("a number");
    let folder = Path::new(names[0]);
    let dialers = ["known", "stranger"]
        .map(|name| Dialer::at(address, Path::new(ca), &Identity::at(folder, name)));
    let (next, let_in) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..ARRIVING {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= number {
                        return;
                    }
                    let is_let_in = dialers[turn % 2].is_let_in();
                    let_in.fetch_add(usize::from(is_let_in), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(let_in.into_inner(), number.div_ceil(2));
}

/// What policies cost, each in a process that does nothing else.
fn policies(setup: &Setup, figures: &mut Figures) {
    let mut table = Table::new("a policy that is loaded", &["MiB"]);
    for (title, name, metering) in [
        ("pin-list", "pin-list", "time"),
        ("ca-chain", "ca-chain", "time"),
        ("team-of-unit, in JavaScript", "examples/team-of-unit", "fuel"),
        ("the same with four instances ready", "examples/team-of-unit", "time"),
        ("business-hours, in Python", "examples/business-hours", "fuel"),
    ] {
        if !components().join(name).with_extension("wasm").exists() {
            println!("without {title}, which was not built");
            continue;
        }
        let kib = || -> f64 {
            let output = Command::new(std::env::current_exe().expect("this program"))
                .args(["policies", name, metering])
                .arg(setup.directory())
                .stderr(Stdio::inherit())
                .output()
                .expect("this program");
            String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of KiB")
        };
        // The first time they are compiled, which leaves more behind.
        kib();
        let mib: Vec<f64> = (0..3).map(|_| kib() / 1024.0).collect();
        table.row(title, [Spread::of(mib)]);
    }
    figures.table(table);
}

/// What the process of some policies does: prints how many KiB another policy takes once there are some.
fn hold_policies(name: &str, metering: &str, folder: &Path) {
    let cache = folder.join("policies-cache");
    let cache = CompileCache::open(&cache, CompileCache::DEFAULT_MAXIMUM_BYTES).expect("a cache");
    let metering = if metering == "fuel" { Metering::Fuel } else { Metering::Time };
    let options = EngineOptions { metering, ..EngineOptions::default() };
    let engine = Engine::with_cache(options, Some(cache)).expect("an engine");
    let load = |number: usize| {
        let source = PolicySource {
            name: format!("p{number}"),
            component: component(name),
            settings: "{}".to_owned(),
            assets: assets(name, folder),
            limits: PolicyLimits::default(),
        };
        Policy::load(&engine, source).expect("it loads")
    };
    let resident = || {
        // Until what is made ahead is there.
        std::thread::sleep(Duration::from_secs(1));
        Process::new(std::process::id()).resident_kib().0
    };
    let more = 4;
    let mut held = vec![load(0)];
    let before = resident();
    held.extend((1..=more).map(load));
    println!("{}", resident().saturating_sub(before) as f64 / more as f64);
    drop(held);
}

fn assets(policy: &str, folder: &Path) -> Vec<Asset> {
    let (name, content) = match policy {
        "pin-list" => ("pins", format!("spki-sha256 {:064x}\n", 7).into_bytes()),
        "ca-chain" => ("anchors", std::fs::read(folder.join("clients-ca.pem")).expect("a file")),
        "examples/team-of-unit" => ("teams", b"Card Payments = payments\n".to_vec()),
        _ => return Vec::new(),
    };
    vec![Asset { name: name.to_owned(), content }]
}

/// How many files this process and those that it starts may have open from now on: as many as the system lets them.
fn open_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit that is allowed");
    limit.maximum.map_or(1_000_000, |files| usize::try_from(files).expect("a number of files"))
}

/// A core for the gate, and one for the load; none where there is only one.
fn cores() -> (Option<usize>, Option<usize>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 { (None, None) } else { (Some(0), Some(1)) }
}

/// Lets this process, and those that it starts from now on, run there alone.
fn stay_on(core: usize) {
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &core.to_string()])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "`taskset` of util-linux");
}
