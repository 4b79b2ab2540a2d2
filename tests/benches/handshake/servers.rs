//! The servers, each a process of its own on one core or two, with the same certificates, without resumption and without a
//! log of accesses.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis_engine::Certificate;
use portcullis_pki::{RevocationList, RevocationReason, Revoked};
use portcullis_tests::gate::{Setup, components, target};
use portcullis_tests::pki;
use portcullis_tests::process::Process;
use portcullis_tests::released::address_told;
use portcullis_tests::strangers::Strangers;

const REVOKED: u64 = 1000;
const PINS: u64 = 1000;

/// A server that runs. Ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// The folder of the servers' files.
pub(crate) fn prepare(strangers: &Strangers) -> Setup {
    let setup = Setup::new();
    let (root, intermediate) = (&strangers.root, &strangers.intermediate);
    setup.write("clients-ca.pem", root.certificate_pem());
    setup.write("bundles.pem", format!("spiffe://example.org\n{}", root.certificate_pem()));
    setup.write("pins.txt", pins(strangers.client(0)));
    for (name, authority) in [("root.crl", root), ("intermediate.crl", intermediate)] {
        let revoked = (0..REVOKED).map(|number| Revoked {
            serial_number: (number << 8 | 1).to_be_bytes().to_vec(),
            at: pki::now(),
            reason: RevocationReason::Unspecified,
        });
        let list = RevocationList {
            number: 1,
            this_update: pki::now() - 60,
            next_update: pki::now() + 24 * 60 * 60,
            revoked: revoked.collect(),
        };
        setup.write(name, authority.revocation_list(&list).expect("a CRL").pem);
    }
    let server = |name: &str| std::fs::read_to_string(setup.path(name)).expect("a file");
    setup.write("server-with-key.pem", server("server.pem") + &server("server.key"));
    setup
}

/// The pin of the clients' one key, among others.
fn pins(leaf: Vec<u8>) -> String {
    let leaf = Certificate::from_der(leaf).expect("our own certificate");
    let own = data_encoding::HEXLOWER.encode(&leaf.public_key().spki_sha256);
    let others = (0..PINS).map(|number| format!("spki-sha256 {number:064x}\n"));
    others.chain([format!("spki-sha256 {own}\n")]).collect()
}

/// The gate as it is released, with this chain, a TOML array.
pub(crate) fn gate(setup: &Setup, cores: &str, chain: &str) -> Server {
    let policies = [
        ("ca-chain", "anchors", "clients-ca.pem"),
        ("pin-list", "pins", "pins.txt"),
        ("revocation", "anchors", "clients-ca.pem"),
        ("spiffe-id", "bundles", "bundles.pem"),
    ];
    let mut config = format!(
        "chain = {chain}\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
         private-key = \"server.key\"\n[limits]\nrequests-per-second = 1000000\n\
         [revocation.crl]\nfiles = [\"root.crl\", \"intermediate.crl\"]\n"
    );
    for (policy, asset, file) in policies.iter().filter(|(policy, ..)| chain.contains(policy)) {
        config.push_str(&format!("[policies.{policy}]\nassets = {{ {asset} = \"{file}\" }}\n"));
    }
    setup.write("portcullis.toml", config);
    let mut command = on(cores, &binary());
    command
        .env("PORTCULLIS_LOG", "warn")
        .args(["run", "--format", "json", "--config"])
        .arg(setup.path("portcullis.toml"))
        .arg("--plugins")
        .arg(components());
    Server::that_tells(command)
}

/// Rustls with its own verifier, and the gate's HTTP behind it: this very program.
pub(crate) fn native(setup: &Setup, cores: &str) -> Server {
    let mut command = on(cores, &std::env::current_exe().expect("this program"));
    command.arg(super::SERVE_NATIVE).arg(setup.directory());
    Server::that_tells(command)
}

pub(crate) fn nginx(setup: &Setup, cores: &str, workers: usize) -> Server {
    let (address, folder) = (free_address(), setup.directory().display());
    let config = format!(
        "daemon off;\nworker_processes {workers};\npid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off; log_not_found off;\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         server {{\n\
         listen {address} ssl backlog=1024;\n\
         ssl_certificate server.pem; ssl_certificate_key server.key;\n\
         ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off;\n\
         ssl_client_certificate clients-ca.pem; ssl_verify_client on; ssl_verify_depth 2;\n\
         location / {{ return 404; }}\n\
         }} }}\n"
    );
    setup.write("nginx.conf", config);
    let there = Path::new(xtask::peers::NGINX);
    let mut command = on(cores, if there.exists() { there } else { Path::new("nginx") });
    command.arg("-p").arg(setup.directory()).arg("-c").arg(setup.path("nginx.conf"));
    Server::that_listens(command, address)
}

pub(crate) fn haproxy(setup: &Setup, cores: &str, threads: usize) -> Server {
    let (address, folder) = (free_address(), setup.directory().display());
    let config = format!(
        "global\n nbthread {threads}\n maxconn 4096\n tune.ssl.cachesize 0\n\
         defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
         frontend bench\n\
         bind {address} ssl crt {folder}/server-with-key.pem ca-file {folder}/clients-ca.pem verify required \
         ssl-min-ver TLSv1.3 no-tls-tickets alpn http/1.1\n\
         http-request return status 404\n"
    );
    setup.write("haproxy.cfg", config);
    let there = Path::new(xtask::peers::HAPROXY);
    let mut command = on(cores, if there.exists() { there } else { Path::new("haproxy") });
    command.args(["-db", "-f"]).arg(setup.path("haproxy.cfg"));
    Server::that_listens(command, address)
}

impl Server {
    /// One that prints where it listens, as JSON.
    fn that_tells(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a program that starts");
        let address = address_told(&mut child);
        Self { child, address }
    }

    /// One that was told where to listen.
    fn that_listens(mut command: Command, address: SocketAddr) -> Self {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().expect("a program that starts");
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address }
    }

    /// The time that it has spent on its cores so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let process = Process::new(self.child.id());
        process.children().into_iter().chain([process]).map(Process::cpu_time).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers end with nginx only if it is asked to.
        let number = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &number]).status();
        let _ = self.child.wait();
    }
}

/// A program that runs on these cores only ("0", "0,1").
fn on(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program).stdin(Stdio::null());
    command
}

fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port")
}

/// The gate as it is released.
fn binary() -> PathBuf {
    target().join("release").join(format!("portcullis{}", std::env::consts::EXE_SUFFIX))
}
