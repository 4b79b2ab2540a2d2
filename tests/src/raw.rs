//! HTTP/1.1 over mutual TLS, written by hand: a client that can leave in the middle of anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};

use crate::gate::Gate;
use crate::pki::Identity;

/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects as one client.
#[derive(Clone, Debug)]
pub struct Dialer {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// A connection. Dropping it leaves without a word.
pub struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What was read and not looked at yet.
    unread: String,
}

impl Dialer {
    /// For a gate, with a client's certificate.
    #[must_use]
    pub fn new(gate: &Gate, identity: &Identity) -> Self {
        Self::at(gate.address(), &gate.setup().ca(), identity)
    }

    /// For any server whose certificate descends from `ca`.
    #[must_use]
    pub fn at(address: SocketAddr, ca: &Path, identity: &Identity) -> Self {
        let certificates = |path: &Path| {
            let certificates = CertificateDer::pem_file_iter(path).expect("a PEM file");
            certificates.collect::<Result<Vec<_>, _>>().expect("certificates")
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(ca));
        let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&identity.chain), key)
            .expect("a certificate and its key");
        Self { address, config: Arc::new(config) }
    }

    /// Connects.
    #[must_use]
    pub fn connect(&self) -> Raw {
        let tcp = TcpStream::connect(self.address).expect("a gate that listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        tcp.set_nodelay(true).expect("a socket");
        let name = ServerName::from(self.address.ip());
        let tls = ClientConnection::new(Arc::clone(&self.config), name).expect("a connection");
        Raw { stream: StreamOwned::new(tls, tcp), unread: String::new() }
    }

    /// Connects, and does its part of the handshake. Who is refused learns it when it reads.
    #[must_use]
    pub fn connect_fully(&self) -> Raw {
        let mut raw = self.connect();
        let StreamOwned { conn, sock } = &mut raw.stream;
        while conn.is_handshaking() {
            conn.complete_io(sock).expect("a gate that answers");
        }
        raw
    }

    /// Whether a connection of its own is let in: whether anything that it asks is answered.
    #[must_use]
    pub fn is_let_in(&self) -> bool {
        let Raw { mut stream, .. } = self.connect();
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: gate\r\n\r\n");
        asked.is_ok() && stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0)
    }

    /// Opens a session on a connection of its own: its id.
    #[must_use]
    pub fn initialize(&self, path: &str) -> String {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "portcullis-tests", "version": "1.0.0" },
        });
        let mut raw = self.connect();
        raw.post(path, "", &request(0, "initialize", &params));
        let head = raw.read_to("\r\n\r\n");
        let id = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        let id = id.unwrap_or_else(|| panic!("no session: {head}")).to_owned();
        raw.read_to("\"serverInfo\"");
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let mut raw = self.connect();
        raw.post(path, &id, initialized);
        raw.read_to("202 Accepted");
        id
    }

    /// Calls a tool on a connection of its own, and gives the answer.
    #[must_use]
    pub fn call(&self, path: &str, session: &str, tool: &str, arguments: &Value) -> Value {
        let mut raw = self.connect();
        raw.post(path, session, &call(7, tool, arguments));
        raw.answer(7)
    }
}

impl Raw {
    /// Says something.
    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("a gate that reads");
        self.stream.flush().expect("a gate that reads");
    }

    /// Sends a message, in a session unless that is empty.
    pub fn post(&mut self, path: &str, session: &str, body: &str) {
        let session = header("mcp-session-id", session);
        let length = body.len();
        self.say(&format!(
            "POST {path} HTTP/1.1\r\nhost: gate\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n{session}content-length: {length}\r\n\r\n{body}"
        ));
    }

    /// Opens a stream.
    pub fn get(&mut self, path: &str, session: &str) {
        let session = header("mcp-session-id", session);
        self.say(&format!(
            "GET {path} HTTP/1.1\r\nhost: gate\r\naccept: text/event-stream\r\n{session}\r\n"
        ));
    }

    /// The certificate that the server has shown, once something was read.
    #[must_use]
    pub fn server_certificate(&self) -> Vec<u8> {
        let certificates = self.stream.conn.peer_certificates().expect("a handshake that is over");
        certificates.first().expect("a certificate").to_vec()
    }

    /// Reads up to and with a text.
    pub fn read_to(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(end) {
                let rest = self.unread.split_off(at + end.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            let mut buffer = [0; 16 * 1024];
            let length = self.stream.read(&mut buffer).unwrap_or(0);
            assert!(length > 0, "no `{end}`, but the end: {}", self.unread);
            self.unread.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }

    /// Reads until the gate closes the connection.
    pub fn read_to_end(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while self.stream.read(&mut buffer).expect("an orderly end, with close_notify") > 0 {}
    }

    /// Reads to the answer to a request of this id, which has to fit on a line.
    pub fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = self.read_to("\n");
            let line = line.trim().trim_start_matches("data: ");
            // A JSON answer has no line break after it: the server's own is in one of an event.
            if let Ok(message) = serde_json::from_str::<Value>(line)
                && message["id"] == id
            {
                return message;
            }
        }
    }
}

fn header(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{name}: {value}\r\n") }
}

/// A request.
#[must_use]
pub fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// A call of a tool.
#[must_use]
pub fn call(id: u64, tool: &str, arguments: &Value) -> String {
    request(id, "tools/call", &json!({ "name": tool, "arguments": arguments }))
}
