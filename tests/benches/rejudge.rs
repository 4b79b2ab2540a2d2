//! A hundred of a thousand clients, each with a stream, are revoked: how soon the last one is closed after its authority's CRL
//! file has changed, and how many calls the others make meanwhile against the second before. `cargo xtask bench rejudge`
//! runs it.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up ends")]

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_pki::{Authority, Issued, Profile, RevocationList, RevocationReason, Revoked};
use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::crowd::{Crowd, Streams};
use portcullis_tests::gate::{Setup, components, target};
use portcullis_tests::pki::{self, Identity, now};
use portcullis_tests::raw::{self, Dialer};
use serde_json::{Value, json};

const CLIENTS: usize = 1000;
const GROUP: usize = 100;
/// Who call, one request after the other.
const CALLERS: usize = 16;
/// Before and after a change.
const WINDOW: Duration = Duration::from_secs(1);
/// Until those are judged again whom the last change only possibly concerned, and all is quiet.
const PAUSE: Duration = Duration::from_secs(3);

fn main() {
    let bench = Bench::from_arguments();
    let (authority, setup, streams) = (pki::root("Clients"), Setup::new(), Streams::start());
    setup.write("clients-ca.pem", authority.certificate_pem());
    publish(&setup, &authority, 1, 0..0);
    let gate = Gate::start(&setup, &streams);
    let clients: Vec<Issued> = (0..CLIENTS).map(|client| issue(&authority, client)).collect();
    let mut crowd = Crowd::gather(gate.address, &setup.ca(), &clients, "/streams/mcp");
    let calls = Calls::start(&setup, &gate, &authority);

    let (mut closed, mut during, mut quiet) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.of(9, 3) {
        std::thread::sleep(PAUSE);
        let before = calls.per_second();
        let revoked = round * GROUP..(round + 1) * GROUP;
        let list = 0..revoked.end;
        let start = Instant::now();
        publish(&setup, &authority, u64::try_from(round).expect("a round") + 2, list);
        let meanwhile = calls.per_second();
        let (gone, last) = crowd.next_to_leave(GROUP);
        assert!(gone.into_iter().eq(revoked), "others were closed");
        closed.push(last.duration_since(start).as_secs_f64() * 1e3);
        quiet.push(before);
        during.push(meanwhile);
    }
    let dips = during.iter().zip(&quiet).map(|(during, quiet)| during / quiet);
    let mut figures = Figures::new("rejudge");
    figures.ratio("calls_ratio_to_quiet", Spread::of(dips).map_or(0.0, |spread| spread.median));
    let columns = ["ms to the last one closed", "calls/s before", "calls/s in the second after"];
    let mut table = Table::new("100 of 1,000 clients with a stream revoked", &columns);
    table.row("CRL file", [Spread::of(closed), Spread::of(quiet), Spread::of(during)]);
    figures.table(table);
    bench.finish(&figures);
}

fn serial(client: usize) -> Vec<u8> {
    let byte = |of: usize| u8::try_from(of % 256).expect("a byte");
    vec![1, byte(client / 256), byte(client)]
}

fn issue(authority: &Authority, client: usize) -> Issued {
    let serial_number = Some(serial(client));
    let profile = Profile::client(&format!("client {client}"), pki::valid());
    authority.issue(&Profile { serial_number, ..profile }).expect("a certificate")
}

fn publish(setup: &Setup, authority: &Authority, number: u64, clients: Range<usize>) {
    let revoked = clients.map(|client| Revoked {
        serial_number: serial(client),
        at: now() - 1,
        reason: RevocationReason::Unspecified,
    });
    let list = RevocationList {
        number,
        this_update: now() - 1,
        next_update: now() + 24 * 60 * 60,
        revoked: revoked.collect(),
    };
    let list = authority.revocation_list(&list).expect("a CRL");
    setup.write("aside", list.pem);
    std::fs::rename(setup.path("aside"), setup.path("clients.crl")).expect("a file");
}

/// Clients that call and are not revoked.
struct Calls {
    count: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Calls {
    fn start(setup: &Setup, gate: &Gate, authority: &Authority) -> Self {
        let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let callers = (0..CALLERS).map(|caller| {
            let name = format!("caller-{caller}");
            let issued = issue(authority, CLIENTS + caller);
            let identity = Identity::write(setup.directory(), &name, &issued);
            let dialer = Dialer::at(gate.address, &setup.ca(), &identity);
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

/// The gate as it is released. Ends with this.
struct Gate {
    child: Child,
    address: SocketAddr,
}

impl Gate {
    fn start(setup: &Setup, streams: &Streams) -> Self {
        let url = streams.url();
        let config = format!(
            r#"
            chain = ["ca-chain", "revocation"]
            [listen]
            address = "127.0.0.1:0"
            certificate = "server.pem"
            private-key = "server.key"
            [policies.ca-chain]
            assets = {{ anchors = "clients-ca.pem" }}
            [policies.revocation]
            assets = {{ anchors = "clients-ca.pem" }}
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
        let log = File::create(setup.path("gate.log")).expect("a file");
        let mut child = Command::new(binary())
            .args(["run", "--format", "json", "--log-format", "json", "--config"])
            .arg(setup.path("portcullis.toml"))
            .arg("--plugins")
            .arg(components())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the gate, which `cargo xtask bench rejudge` builds");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("a gate that listens");
        let address = said["address"].as_str().and_then(|text| text.parse().ok());
        Self { child, address: address.expect("an address") }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    target().join("release").join(format!("portcullis{}", std::env::consts::EXE_SUFFIX))
}
