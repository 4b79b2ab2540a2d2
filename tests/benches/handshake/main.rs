//! Full handshakes with client certificates, each with one request and its answer: the gate with four policies, against
//! rustls with its own verifier, nginx and HAProxy in the same run. `cargo xtask bench handshake` runs it.
//!
//! Servers run on one core, their clients on another, and take turns, so that a machine that slows down slows all of them:
//! trust the ratios. TLS 1.3, P-256, one intermediate, no resumption. Every client has another certificate, of more than
//! the gate remembers signatures of. Nobody logs accesses: the gate's audit is made and not written.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up ends")]

mod load;
mod native;
mod servers;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::pki;
use portcullis_tests::strangers::Strangers;

use load::{Certified, Load};
use servers::Server;

/// The first argument of this program where it is the baseline's server.
const SERVE_NATIVE: &str = "serve-native";
const CHAIN: &str = r#"["ca-chain", "pin-list", "revocation", "spiffe-id"]"#;
/// Their places among the subjects.
const NATIVE: usize = 0;
const GATE: usize = 1;
const NGINX: usize = 2;
const HAPROXY: usize = 3;

struct Subject {
    name: &'static str,
    server: Server,
    load: Load,
    rounds: Vec<Measured>,
}

/// In one round, with times in microseconds.
struct Measured {
    per_second: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder] = &arguments[..]
        && command == SERVE_NATIVE
    {
        return native::serve(Path::new(folder));
    }
    let bench = Bench::from_arguments();
    let effort = bench.of((9, Duration::from_secs(3)), (5, Duration::from_millis(800)));
    // Before this program keeps to one core: the figures tell how many there are.
    let mut figures = Figures::new("handshake");
    stay_on("1");
    let strangers = Strangers::new(pki::valid());
    let (setup, certified) = (servers::prepare(&strangers), Arc::new(Certified::of(&strangers)));
    let subject = |name, server: Server| {
        let load = Load::new(server.address, &certified);
        Subject { name, server, load, rounds: Vec::new() }
    };

    let mut subjects = [
        subject("rustls, its own verifier", servers::native(&setup, "0")),
        subject("the gate, four policies", servers::gate(&setup, "0", CHAIN)),
        subject("nginx, `ssl_verify_client on`", servers::nginx(&setup, "0", 1)),
        subject("HAProxy, `verify required`", servers::haproxy(&setup, "0", 1)),
    ];
    take_turns(&mut subjects, effort, |_| None);
    let rates: Vec<f64> = subjects.iter().map(|one| one.median(|round| round.per_second)).collect();
    for (name, other) in
        [("ratio_to_native", NATIVE), ("ratio_to_nginx", NGINX), ("ratio_to_haproxy", HAPROXY)]
    {
        figures.ratio(name, rates[GATE] / rates[other]);
    }
    figures.table(table("32 clients, a core for the server", &subjects));
    let on_one_core = subjects[GATE].median(|round| round.cpu);

    take_turns(&mut subjects, effort, |number| Some(rates[number] / 2.0));
    let p99 = |number: usize| subjects[number].median(|round| round.p99);
    figures.ratio("p99_to_native_at_half_load", p99(GATE) / p99(NATIVE));
    figures.table(table("each at half of its own rate", &subjects));
    drop(subjects);

    stay_on("0,1");
    let mut subjects = [
        subject("rustls, its own verifier", servers::native(&setup, "0,1")),
        subject("the gate, four policies", servers::gate(&setup, "0,1", CHAIN)),
    ];
    take_turns(&mut subjects, effort, |_| None);
    // The clients work on the same cores: what two cores would do without them follows from what a handshake costs.
    let on_two_cores = subjects[GATE].median(|round| round.cpu);
    figures.ratio("two_cores_to_one", 2.0 * on_one_core / on_two_cores);
    figures.table(table("two cores, which clients share", &subjects));
    bench.finish(&figures);
}

/// In each round one after the other. The first round warms up and is not counted.
fn take_turns(
    subjects: &mut [Subject],
    (rounds, length): (usize, Duration),
    rate: impl Fn(usize) -> Option<f64>,
) {
    for round in 0..=rounds {
        for (number, subject) in subjects.iter_mut().enumerate() {
            let measured = subject.round(length, rate(number));
            match round {
                0 => subject.rounds.clear(),
                _ => subject.rounds.push(measured),
            }
        }
    }
}

impl Subject {
    fn round(&self, length: Duration, rate: Option<f64>) -> Measured {
        let mut before = Duration::ZERO;
        let round = self.load.round(length, rate, || before = self.server.cpu_time());
        let cpu = self.server.cpu_time().saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "a number of handshakes")]
        let cpu = cpu.as_secs_f64() * 1e6 / round.count.max(1) as f64;
        let micros = |percent| round.percentile(percent).as_secs_f64() * 1e6;
        Measured { per_second: round.per_second(), cpu, p50: micros(50), p99: micros(99) }
    }

    fn spread(&self, of: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(of))
    }

    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        self.spread(of).expect("rounds").median
    }
}

fn table(title: &str, subjects: &[Subject]) -> Table {
    let mut table = Table::new(title, &["handshakes/s", "server's CPU µs", "p50 µs", "p99 µs"]);
    for one in subjects {
        let columns: [fn(&Measured) -> f64; 4] =
            [|r| r.per_second, |r| r.cpu, |r| r.p50, |r| r.p99];
        table.row(one.name, columns.map(|column| one.spread(column)));
    }
    table
}

/// Keeps this program, and the threads that it starts from now on, to these cores.
fn stay_on(cores: &str) {
    let number = std::process::id().to_string();
    let status = Command::new("taskset").args(["--pid", "--cpu-list", cores, &number]).output();
    assert!(status.expect("`taskset`").status.success(), "cores {cores}: two are needed");
}
