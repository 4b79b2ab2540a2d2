//! EST as openssl and curl speak it.

use std::process::{Command, Output};

use data_encoding::BASE64;
use portcullis_tests::pki::Identity;
use portcullis_tests::private_ca::{PrivateCa, Served};
use xtask::s_client::{Presented, alert_name, knock};

const NEW_KEY: &str = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout new.key -outform DER -out new.csr";
const NAMES: &str =
    "-subj /CN=alice -addext subjectAltName=URI:spiffe://example.org/alice,DNS:alice.example.org";

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// An authority with a client, and its server.
struct House {
    ca: PrivateCa,
    served: Served,
    alice: Identity,
}

impl House {
    fn new() -> Self {
        let ca = PrivateCa::new(&[]);
        let names = ["--spiffe", "spiffe://example.org/alice", "--dns", "alice.example.org"];
        let alice = ca.issue("alice", &names);
        let served = ca.serve_renewals();
        Self { ca, served, alice }
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) -> String {
        let output = self.ca.openssl(arguments);
        assert!(output.status.success(), "{arguments}: {}", text(&output));
        text(&output)
    }

    /// The request in Base64, as it is posted.
    fn request(&self, names: &str) -> String {
        self.openssl(&format!("{NEW_KEY} {names}"));
        BASE64.encode(&std::fs::read(self.ca.path("new.csr")).unwrap())
    }

    /// The status and the body.
    fn curl(&self, client: Option<&Identity>, path: &str, arguments: &[&str]) -> (u16, String) {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}"])
            .args(["--cacert", "ca/anchor.pem"])
            .args(arguments)
            .arg(format!("https://{}{path}", self.served.address()));
        if let Some(client) = client {
            command.arg("--cert").arg(&client.chain).arg("--key").arg(&client.key);
        }
        let output = command.current_dir(self.ca.path("")).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn post(&self, client: Option<&Identity>, path: &str, body: &str) -> (u16, String) {
        std::fs::write(self.ca.path("body"), body).unwrap();
        let kind = "content-type: application/pkcs10";
        self.curl(client, path, &["--header", kind, "--data-binary", "@body"])
    }

    fn reenroll(&self, body: &str) -> (u16, String) {
        self.post(Some(&self.alice), "/.well-known/est/simplereenroll", body)
    }

    /// The certificates of an answer, as openssl reads them.
    fn certificates(&self, answer: &str) -> String {
        let base64: String = answer.split_whitespace().collect();
        std::fs::write(self.ca.path("answer"), BASE64.decode(base64.as_bytes()).unwrap()).unwrap();
        self.openssl("pkcs7 -inform DER -in answer -print_certs -out answer.pem");
        std::fs::read_to_string(self.ca.path("answer.pem")).unwrap()
    }
}

#[test]
fn openssl_and_curl_get_a_certificate_for_a_new_key_with_the_names_that_there_were() {
    let house = House::new();
    let (status, answer) = house.reenroll(&house.request(NAMES));
    assert_eq!(status, 200, "{answer}");
    let certificates = house.certificates(&answer);
    assert_eq!(certificates.matches("BEGIN CERTIFICATE").count(), 1, "{certificates}");
    house.openssl("verify -x509_strict -CAfile ca/anchor.pem -purpose sslclient answer.pem");
    let shown = house.openssl("x509 -in answer.pem -noout -subject -ext subjectAltName -pubkey");
    for part in ["CN = alice", "spiffe://example.org/alice", "DNS:alice.example.org"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains(&house.openssl("pkey -in new.key -pubout")), "the new key: {shown}");
    // With the new one goes on what went with the old one.
    let (answer, key) = (house.ca.path("answer.pem"), house.ca.path("new.key"));
    let renewed = Identity { chain: answer.clone(), certificate: answer, key };
    std::fs::rename(&renewed.key, house.ca.path("kept.key")).unwrap();
    let renewed = Identity { key: house.ca.path("kept.key"), ..renewed };
    let request = house.request(NAMES);
    let (status, again) = house.post(Some(&renewed), "/.well-known/est/simplereenroll", &request);
    assert_eq!(status, 200, "{again}");
}

#[test]
fn a_request_that_openssl_makes_of_the_certificate_is_followed_with_the_old_key_too() {
    let house = House::new();
    house.openssl(
        "x509 -x509toreq -in alice.pem -signkey alice.key -copy_extensions copy -out old.csr",
    );
    house.openssl("req -in old.csr -outform DER -out old.der");
    let request = BASE64.encode(&std::fs::read(house.ca.path("old.der")).unwrap());
    let (status, answer) = house.reenroll(&request);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn the_authoritys_certificates_are_there_for_everybody() {
    let house = House::new();
    let (status, answer) = house.curl(None, "/.well-known/est/cacerts", &[]);
    assert_eq!(status, 200, "{answer}");
    let certificates = house.certificates(&answer);
    let anchor = std::fs::read_to_string(house.ca.path("ca/anchor.pem")).unwrap();
    let body =
        |pem: &str| pem.split("-----").nth(2).map(|it| it.split_whitespace().collect::<String>());
    assert_eq!(body(&certificates), body(&anchor));
}

#[test]
fn nothing_is_issued_for_who_has_no_certificate_asks_for_other_names_or_sends_anything_else() {
    let house = House::new();
    let good = house.request(NAMES);
    let before = house.ca.list().len();
    let simplereenroll = "/.well-known/est/simplereenroll";
    let alice = Some(&house.alice);
    let refused = |(status, body): (u16, String), expected: (u16, &str)| {
        assert_eq!((status, body.split(':').next().unwrap()), expected, "{body}");
    };
    refused(house.post(None, simplereenroll, &good), (403, "no-certificate"));
    for client in [None, alice] {
        let answer = house.post(client, "/.well-known/est/simpleenroll", &good);
        refused(answer, (403, "no-first-certificate"));
        refused(house.post(client, "/.well-known/est/serverkeygen", &good), (404, "not-found"));
        refused(house.post(client, "/", &good), (404, "not-found"));
        refused(house.curl(client, simplereenroll, &[]), (405, "method"));
    }
    for names in [
        "-subj /CN=bob -addext subjectAltName=URI:spiffe://example.org/alice,DNS:alice.example.org",
        "-subj /CN=alice -addext subjectAltName=URI:spiffe://example.org/bob,DNS:alice.example.org",
        "-subj /CN=alice",
        "-subj /CN=alice/O=more -addext subjectAltName=URI:spiffe://example.org/alice,DNS:alice.example.org",
    ] {
        refused(house.reenroll(&house.request(names)), (403, "names-differ"));
    }
    let mut stolen = BASE64.decode(good.as_bytes()).unwrap();
    *stolen.last_mut().unwrap() ^= 1;
    refused(house.reenroll(&BASE64.encode(&stolen)), (400, "bad-request"));
    for body in ["", "not Base64!", "AAAA", &good[4..], &BASE64.encode(&[0x30; 5000])] {
        refused(house.reenroll(body), (400, "bad-request"));
    }
    refused(house.reenroll(&"A".repeat(200_000)), (413, "too-large"));
    let plain = ["--header", "content-type: text/plain", "--data-binary", "@body"];
    refused(house.curl(alice, simplereenroll, &plain), (415, "content-type"));
    assert_eq!(house.ca.list().len(), before);
    assert_eq!(house.reenroll(&good).0, 200);
}

#[test]
fn who_was_revoked_or_is_not_known_gets_an_alert() {
    let house = House::new();
    let alert = |client: &Identity| {
        let presented = Presented { chain: &client.chain, key: &client.key };
        ["-tls1_2", "-tls1_3"].map(|version| {
            let anchor = house.ca.path("ca/anchor.pem");
            let seen = knock(house.served.address(), &anchor, Some(presented), &[version]);
            seen.unwrap().map(alert_name)
        })
    };
    assert_eq!(alert(&house.alice), [None; 2]);
    house.ca.json(&["revoke", "alice.pem"]);
    assert_eq!(alert(&house.alice), [Some("certificate_revoked"); 2]);
    let other = PrivateCa::new(&[]);
    assert_eq!(alert(&other.issue("alice", &[])), [Some("unknown_ca"); 2]);
}
