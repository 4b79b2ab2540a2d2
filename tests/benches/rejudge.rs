//! A hundred of a thousand clients, each with a stream, lose access by a file that changes: how soon the last one is closed, and
//! how many calls others make in the second after the change against the second before. `cargo xtask bench rejudge` runs it.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up ends")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_pki::{Authority, Issued, Profile};
use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::crowd::{self, Crowd, Streams};
use portcullis_tests::gate::Setup;
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::raw::{self, Dialer};
use portcullis_tests::released::Released;
use serde_json::json;

const CLIENTS: usize = 1000;
const GROUP: usize = 100;
/// Who call, one request after the other.
const CALLERS: usize = 16;
/// Before and after a change.
const WINDOW: Duration = Duration::from_secs(1);
/// Until those are judged again whom the last change only possibly concerned, and all is quiet.
const PAUSE: Duration = Duration::from_secs(3);

/// What came of the changes of one kind.
#[derive(Default)]
struct Rounds {
    closed_ms: Vec<f64>,
    calls_before: Vec<f64>,
    calls_after: Vec<f64>,
}

fn main() {
    let bench = Bench::from_arguments();
    let (authority, setup, streams) = (pki::root("Clients"), Setup::new(), Streams::start());
    let clients: Vec<Issued> =
        (0..CLIENTS + CALLERS).map(|client| issue(&authority, client)).collect();
    setup.write("clients-ca.pem", authority.certificate_pem());
    publish(&setup, &authority, 0..0);
    pin(&setup, &clients);
    let gate = start(&setup, &streams);
    let crowd = &clients[..CLIENTS];
    let mut crowd = Crowd::gather(gate.address(), &setup.ca(), crowd, "/streams/mcp");
    let calls = Calls::start(&setup, &gate, &clients[CLIENTS..]);

    let (mut lists, mut pins) = (Rounds::default(), Rounds::default());
    // The CRL lists those at the front, and the pins are of those behind them.
    for round in 0..bench.of(9, 4) {
        let gone = round * GROUP..(round + 1) * GROUP;
        let (rounds, change): (_, &dyn Fn()) = match round % 2 {
            0 => (&mut lists, &|| publish(&setup, &authority, 0..gone.end)),
            _ => (&mut pins, &|| pin(&setup, &clients[gone.end..])),
        };
        std::thread::sleep(PAUSE);
        rounds.calls_before.push(calls.per_second());
        let start = Instant::now();
        change();
        rounds.calls_after.push(calls.per_second());
        let (left, last) = crowd.next_to_leave(GROUP);
        assert!(left.into_iter().eq(gone), "others were closed");
        rounds.closed_ms.push(last.duration_since(start).as_secs_f64() * 1e3);
    }
    let mut figures = Figures::new("rejudge");
    let columns = ["ms to the last one closed", "calls/s before", "calls/s in the second after"];
    let mut table = Table::new("100 of 1,000 clients with a stream lose access by", &columns);
    for (name, ratio, rounds) in
        [("a CRL file", "crl_calls_ratio", &lists), ("a pin list", "pins_calls_ratio", &pins)]
    {
        let Rounds { closed_ms, calls_before, calls_after } = rounds;
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        table.row(name, [of(closed_ms), of(calls_before), of(calls_after)]);
        let ratios = calls_after.iter().zip(calls_before).map(|(after, before)| after / before);
        figures.ratio(ratio, Spread::of(ratios).map_or(0.0, |spread| spread.median));
    }
    figures.table(table);
    bench.finish(&figures);
}

fn issue(authority: &Authority, client: usize) -> Issued {
    let serial_number = Some(crowd::serial(client));
    let profile = Profile::client(&format!("client {client}"), pki::valid());
    authority.issue(&Profile { serial_number, ..profile }).expect("a certificate")
}

/// A CRL with these clients.
fn publish(setup: &Setup, authority: &Authority, clients: Range<usize>) {
    let number = u64::try_from(clients.end).expect("a number") + 1;
    replace(setup, "clients.crl", &crowd::crl(authority, number, clients));
}

/// A list of these clients' certificates.
fn pin(setup: &Setup, clients: &[Issued]) {
    let pin = |client: &Issued| format!("cert-sha256 {}\n", client.sha256_hex());
    replace(setup, "pins.txt", &clients.iter().map(pin).collect::<String>());
}

fn replace(setup: &Setup, name: &str, content: &str) {
    setup.write("aside", content);
    std::fs::rename(setup.path("aside"), setup.path(name)).expect("a file");
}

/// Clients that call and are not revoked.
struct Calls {
    count: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Calls {
    fn start(setup: &Setup, gate: &Released, callers: &[Issued]) -> Self {
        let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let callers = callers.iter().enumerate().map(|(number, caller)| {
            let name = format!("caller-{number}");
            let identity = Identity::write(setup.directory(), &name, caller);
            let dialer = Dialer::at(gate.address(), &setup.ca(), &identity);
            let (count, ended) = (Arc::clone(&count), Arc::clone(&ended));
            std::thread::spawn(move || {
                let mut connection = dialer.connect();
                let call = raw::call(7, "time", &json!({ "zone": "Asia/Tokyo" }));
                while !ended.load(Ordering::Relaxed) {
                    connection.post("/streams/mcp", "", &call);
                    connection.read_to("\"isError\":false}}");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let callers = callers.collect();
        Self { count, ended, callers }
    }

    /// In the second that begins now.
    fn per_second(&self) -> f64 {
        let (start, before) = (Instant::now(), self.count.load(Ordering::Relaxed));
        std::thread::sleep(WINDOW);
        let calls = self.count.load(Ordering::Relaxed) - before;
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let calls = calls as f64;
        calls / start.elapsed().as_secs_f64()
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Before the gate ends.
        for caller in self.callers.drain(..) {
            caller.join().expect("a caller");
        }
    }
}

fn start(setup: &Setup, streams: &Streams) -> Released {
    let url = streams.url();
    let config = format!(
        r#"
            chain = ["ca-chain", "revocation", "pin-list"]
            [listen]
            address = "127.0.0.1:0"
            certificate = "server.pem"
            private-key = "server.key"
            [policies.ca-chain]
            assets = {{ anchors = "clients-ca.pem" }}
            [policies.revocation]
            assets = {{ anchors = "clients-ca.pem" }}
            [policies.pin-list]
            assets = {{ pins = "pins.txt" }}
            [revocation]
            issuers = ["clients-ca.pem"]
            [revocation.crl]
            files = ["clients.crl"]
            [limits]
            requests-per-second = 1000000
            [servers.streams]
            url = "{url}"
            "#
    );
    setup.write("portcullis.toml", config);
    Released::start(setup, None)
}
