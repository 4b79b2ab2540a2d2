//! What a server behind the gate learns of its caller, and what the caller cannot make it believe.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use data_encoding::BASE64;
use portcullis_engine::Certificate;
use portcullis_pki::{AltName, Profile};
use portcullis_tests::client::post;
use portcullis_tests::gate::Setup;
use portcullis_tests::pki::{self, Identity};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

/// Answers one request with a JSON-RPC result, and gives its headers, names in lower case.
fn one_request(listener: &TcpListener) -> Vec<(String, String)> {
    let (stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None if line == "\r\n" => break,
            None => {}
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    reader.read_exact(&mut vec![0; length]).expect("a body");
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    reader.get_mut().write_all(answer.as_bytes()).expect("it reads");
    headers
}

fn der_of(file: &Path) -> Vec<Vec<u8>> {
    let pem = std::fs::read(file).expect("a file");
    let certificates = CertificateDer::pem_slice_iter(&pem);
    certificates.map(|der| der.expect("a certificate").to_vec()).collect()
}

#[test]
fn a_server_learns_the_certificate_and_the_name_that_came_and_nothing_that_was_forged() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    let root = pki::root("Test clients");
    let intermediate =
        root.intermediate(&Profile::authority("Intermediate", pki::valid())).expect("issued");
    let setup = Setup::new();
    setup.write("clients-ca.pem", root.certificate_pem());
    let mut profile = Profile::client("agent", pki::valid());
    let uri = "spiffe://example.org/agent?a=b;By=evil,\"x\"";
    profile.alt_names =
        vec![AltName::Uri(uri.to_owned()), AltName::Dns("agent.example".to_owned())];
    let issued = intermediate.issue(&profile).expect("issued");
    let agent = Identity::write(setup.directory(), "agent", &issued);
    let gate = setup.start(
        r#"["ca-chain"]"#,
        &format!(
            "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
             settings = {{ principal = \"uri\" }}\n\
             [servers.all]\nurl = \"{url}\"\n\
             forward-identity = [\"principal\", \"client-cert\", \"client-cert-chain\", \"xfcc\"]\n\
             [servers.none]\nurl = \"{url}\"\nforward-identity = []\n"
        ),
    );
    let server = std::thread::spawn(move || [one_request(&listener), one_request(&listener)]);
    let forged = [
        ("Portcullis-Principal", "root"),
        ("Client-Cert", ":AAAA:"),
        ("client_cert", ":AAAA:"),
        ("X-Forwarded-Client-Cert", "By=evil"),
        ("Portcullis_Principal", "root"),
        ("Connection", "close, Portcullis-Principal, Client-Cert"),
        ("X-Kept", "kept"),
    ];
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for path in ["/all/mcp", "/none/mcp"] {
        assert_eq!(post(&gate, path, &agent, &forged, &ping).status, 200, "{path}");
    }
    let [all, none] = server.join().expect("two requests");

    let values = |headers: &[(String, String)], name: &str| -> Vec<String> {
        let named = headers.iter().filter(|(known, _)| known.replace('_', "-") == name);
        named.map(|(_, value)| value.clone()).collect()
    };
    let chain = der_of(&agent.chain);
    let sequence = |der: &[u8]| format!(":{}:", BASE64.encode(der));
    assert_eq!(values(&all, "client-cert"), [sequence(&chain[0])]);
    assert_eq!(values(&all, "client-cert-chain"), [sequence(&chain[1])]);
    assert_eq!(
        values(&all, "portcullis-principal"),
        ["spiffe://example.org/agent?a=b%3BBy=evil%2C%22x%22"]
    );
    let xfcc = values(&all, "x-forwarded-client-cert");
    let leaf = Certificate::from_der(chain[0].clone()).expect("a certificate");
    let hash = data_encoding::HEXLOWER.encode(leaf.sha256());
    assert_eq!(xfcc.len(), 1);
    // Envoy's fields, each once, however the names look.
    let fields: Vec<&str> =
        xfcc[0].split(';').map(|field| field.split('=').next().unwrap_or("")).collect();
    assert_eq!(fields, ["Hash", "Cert", "Chain", "Subject", "URI", "DNS"], "{xfcc:?}");
    assert!(xfcc[0].starts_with(&format!("Hash={hash};Cert=\"-----BEGIN%20CERTIFICATE-----%0A")));
    assert!(xfcc[0].contains(";Subject=\"CN=agent\";URI=\"spiffe://example.org/agent?a=b%3B"));
    assert!(xfcc[0].ends_with(";DNS=agent.example"), "{xfcc:?}");
    assert_eq!(values(&all, "x-kept"), ["kept"]);

    for name in
        ["client-cert", "client-cert-chain", "portcullis-principal", "x-forwarded-client-cert"]
    {
        assert_eq!(values(&none, name), [""; 0], "{name}");
    }
}
