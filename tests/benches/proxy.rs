//! A small tool call through the gate and through nginx with `ssl_verify_client on`, before the same server in the same
//! run. `cargo xtask bench proxy` runs it.
//!
//! The subjects take turns, so that a machine that slows down slows both, and medians over the rounds are printed: trust the
//! ratios, not the microseconds. Both write a line about each request into a file.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up ends")]

use std::any::Any;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_pki::Profile;
use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::gate::Setup;
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::process::Process;
use portcullis_tests::raw::{self, Dialer};
use portcullis_tests::released::Released;
use portcullis_tests::server;
use serde_json::json;

const CLIENTS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(300);
const ROUND: Duration = Duration::from_secs(3);
const IDLE_CONNECTIONS: usize = 500;

/// A server to send requests to, and what came of it.
struct Subject {
    name: &'static str,
    dialer: Dialer,
    process: Process,
    rounds: Vec<Round>,
    /// What ends with this.
    _running: Box<dyn Any>,
}

/// nginx, which ends with this.
struct Nginx(Child);

struct Round {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

fn main() {
    let bench = Bench::from_arguments();
    let (upstream, setup, authority) = (server::start(), Setup::new(), pki::root("Bench clients"));
    setup.write("clients-ca.pem", authority.certificate_pem());
    let client = authority.issue(&Profile::client("bench", pki::valid())).expect("a certificate");
    let identity = Identity::write(setup.directory(), "bench", &client);
    let mut subjects = [nginx(&setup, upstream, &identity), gate(&setup, upstream, &identity)];
    // The first round warms up and is not counted.
    for round in 0..=bench.of(9, 2) {
        for subject in &mut subjects {
            let result = load(&subject.dialer);
            if round > 0 {
                subject.rounds.push(result);
            }
        }
    }
    let mut figures = Figures::new("proxy");
    let columns = ["requests/s", "p50 µs", "p99 µs", "KiB per idle connection"];
    let mut table = Table::new("a small tool call, 64 clients", &columns);
    for subject in &subjects {
        let micros = |of: &dyn Fn(&Round) -> Duration| {
            Spread::of(subject.rounds.iter().map(|round| of(round).as_secs_f64() * 1e6))
        };
        let per_second = Spread::of(subject.rounds.iter().map(|round| round.per_second));
        let (p50, p99) = (micros(&|round| round.p50), micros(&|round| round.p99));
        table.row(subject.name, [per_second, p50, p99, Spread::once(idle(subject))]);
    }
    figures.table(table);
    let [nginx, gate] = &subjects;
    figures.ratio("ratio_to_nginx", ratio(gate, nginx, |round| round.per_second));
    figures.ratio("p99_ratio_to_nginx", ratio(gate, nginx, |round| round.p99.as_secs_f64()));
    bench.finish(&figures);
}

/// The median of one against another's in the same round.
fn ratio(one: &Subject, other: &Subject, of: impl Fn(&Round) -> f64) -> f64 {
    let rounds = one.rounds.iter().zip(&other.rounds);
    let ratios = Spread::of(rounds.map(|(one, other)| of(one) / of(other)));
    ratios.map_or(f64::NAN, |ratios| ratios.median)
}

/// Every client calls, waits for its answer, and calls again.
fn load(dialer: &Dialer) -> Round {
    let start = Instant::now() + WARM_UP;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let dialer = dialer.clone();
            std::thread::spawn(move || {
                let (mut connection, mut took) = (dialer.connect(), Vec::new());
                loop {
                    let begin = Instant::now();
                    if begin >= start + ROUND {
                        return took;
                    }
                    ask(&mut connection);
                    if begin >= start {
                        took.push(begin.elapsed());
                    }
                }
            })
        })
        .collect();
    let mut took: Vec<Duration> =
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
    took.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let per_second = took.len() as f64 / ROUND.as_secs_f64();
    Round { per_second, p50: took[took.len() / 2], p99: took[took.len() * 99 / 100] }
}

fn ask(connection: &mut raw::Raw) {
    connection.post("/bench/mcp", "", &raw::call(7, "time", &json!({ "zone": "Asia/Tokyo" })));
    connection.read_to("\"isError\":false}}");
}

/// What a connection costs that has asked once and asks nothing more.
fn idle(subject: &Subject) -> f64 {
    let resident = || {
        let workers = subject.process.children();
        let all = workers.into_iter().chain([subject.process]);
        all.map(|process| process.resident_kib().0).sum::<u64>()
    };
    let before = resident();
    let connections: Vec<_> = (0..IDLE_CONNECTIONS)
        .map(|_| {
            let mut connection = subject.dialer.connect();
            ask(&mut connection);
            connection
        })
        .collect();
    let after = resident();
    #[expect(clippy::cast_precision_loss, reason = "some KiB")]
    let each = after.saturating_sub(before) as f64 / connections.len() as f64;
    each
}

fn gate(setup: &Setup, upstream: SocketAddr, identity: &Identity) -> Subject {
    let config = format!(
        "chain = [\"ca-chain\"]\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
         private-key = \"server.key\"\n[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
         [limits]\nrequests-per-second = 1000000\nrequests-in-flight = 1000\n[servers.bench]\nurl = \"http://{upstream}/mcp\"\n"
    );
    setup.write("portcullis.toml", config);
    let gate = Released::start(setup, None);
    let (address, process) = (gate.address(), gate.process());
    subject("gate", address, process, Box::new(gate), setup, identity)
}

fn nginx(setup: &Setup, upstream: SocketAddr, identity: &Identity) -> Subject {
    // nginx does not tell which port it took.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = address.expect("a free port");
    let folder = setup.directory().display();
    let config = format!(
        "daemon off;\nworker_processes auto;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log {folder}/nginx-access.log;\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         keepalive_requests 100000000;\n\
         upstream mcp {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}\n\
         server {{\n\
         listen {address} ssl;\n\
         ssl_certificate server.pem; ssl_certificate_key server.key;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_client_certificate clients-ca.pem; ssl_verify_client on;\n\
         location /bench/mcp {{\n\
         proxy_pass http://mcp/mcp; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;\n\
         }} }} }}\n"
    );
    setup.write("nginx.conf", config);
    let child = Command::new(program())
        .arg("-p")
        .arg(setup.directory())
        .arg("-c")
        .arg(setup.path("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx");
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let process = Process::new(child.id());
    subject("nginx", address, process, Box::new(Nginx(child)), setup, identity)
}

fn subject(
    name: &'static str,
    address: SocketAddr,
    process: Process,
    running: Box<dyn Any>,
    setup: &Setup,
    identity: &Identity,
) -> Subject {
    let dialer = Dialer::at(address, &setup.ca(), identity);
    Subject { name, dialer, process, rounds: Vec::new(), _running: running }
}

fn program() -> &'static Path {
    let there = Path::new(xtask::peers::NGINX);
    if there.exists() { there } else { Path::new("nginx") }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with nginx only if it is asked to.
        let number = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &number]).status();
        let _ = self.0.wait();
    }
}
