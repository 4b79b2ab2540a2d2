//! Revoked means out: whoever is inside when its verdict becomes another one goes at once, with its streams and what they
//! hold, and nobody else is disturbed.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_pki::{AltName, Authority, Issued, Profile};
use portcullis_tests::client::{VERSIONS, s_client};
use portcullis_tests::crowd::{Crowd, Streams, crl, serial};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity, now};
use portcullis_tests::process::Process;
use portcullis_tests::raw::Dialer;
use portcullis_tests::responder::{Reply, Responder};
use portcullis_tests::short_answers;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use xtask::s_client::{Presented, alert_name, knock};

const CLIENTS: usize = 1000;
/// So many go each time.
const GROUP: usize = 100;
/// Longer than it takes from when pins that end are written until the clients before them have gone.
const PIN_SECONDS: i64 = 12;

/// The numbers of the groups, by why they go.
const LISTED: usize = 0;
const ASKED_ABOUT: usize = 1;
const UNPINNED: usize = 2;
const UNTRUSTED: usize = 3;
const EXPIRING: usize = 4;
const FORMER: usize = 5;

const CHAIN: &str = r#"["ca-chain", "revocation", "pin-list"]"#;

fn group(number: usize) -> Range<usize> {
    number * GROUP..(number + 1) * GROUP
}

fn is_of(number: usize) -> impl Fn(&usize) -> bool {
    move |client| group(number).contains(client)
}

/// The same whether a pin or a certificate says so.
fn principal(client: usize) -> String {
    let kind = if is_of(FORMER)(&client) { "former" } else { "client" };
    format!("spiffe://example.org/{kind}/{client}")
}

fn issue(authority: &Authority, client: usize) -> Issued {
    let profile = Profile {
        serial_number: Some(serial(client)),
        alt_names: vec![AltName::Uri(principal(client))],
        ..Profile::client(&format!("client {client}"), pki::valid())
    };
    authority.issue(&profile).unwrap()
}

/// Pins of these clients; those of one group end at a time.
fn pins(clients: &[Issued], are_pinned: impl Fn(&usize) -> bool, end: Option<i64>) -> String {
    let pinned = clients.iter().enumerate().filter(|(client, _)| are_pinned(client));
    let pin = |(client, issued): (usize, &Issued)| {
        let end = end.filter(|_| is_of(EXPIRING)(&client)).map_or(String::new(), |end| {
            let end = OffsetDateTime::from_unix_timestamp(end).unwrap();
            format!(" expires={}", end.format(&Rfc3339).unwrap())
        });
        format!("cert-sha256 {} label={}{end}\n", issued.sha256_hex(), principal(client))
    };
    pinned.map(pin).collect()
}

/// Everybody who is inside, and what lets them stay.
struct House {
    gate: Gate,
    streams: Streams,
    crowd: Crowd,
    clients: Vec<Issued>,
    listing: Authority,
    all_asked_about_are_revoked: Arc<AtomicBool>,
    _responder: Responder,
}

impl House {
    fn full() -> Self {
        let listing = pki::root("Listing");
        let (asked, leaving) = (Arc::new(pki::root("Asked")), pki::root("Leaving"));
        let issuer = |client: usize| match client / GROUP {
            ASKED_ABOUT => &asked,
            UNTRUSTED => &leaving,
            _ => &listing,
        };
        let clients: Vec<Issued> =
            (0..CLIENTS).map(|client| issue(issuer(client), client)).collect();
        let all_asked_about_are_revoked = Arc::new(AtomicBool::new(false));
        let (revoked, authority) = (Arc::clone(&all_asked_about_are_revoked), Arc::clone(&asked));
        let responder = Responder::start(move |request| {
            let is_revoked = |_: &[u8]| revoked.load(Ordering::SeqCst);
            Reply::Body(short_answers::answer(&authority, request, is_revoked))
        });
        let (setup, streams) = (Setup::new(), Streams::start());
        let all = [&listing, &*asked, &leaving].map(Authority::certificate_pem).concat();
        setup.write("issuers.pem", &all);
        setup.write("anchors.pem", &all);
        setup.write("pins.txt", pins(&clients, |_| true, None));
        setup.write("listing.crl", crl(&listing, 1, 0..0));
        setup.write("leaving.crl", crl(&leaving, 1, 0..0));
        let gate = setup.start(CHAIN, &sections(&responder, &streams));
        let crowd = Crowd::gather(gate.address(), &gate.setup().ca(), &clients, "/streams/mcp");
        Self {
            gate,
            streams,
            crowd,
            clients,
            listing,
            all_asked_about_are_revoked,
            _responder: responder,
        }
    }

    /// Waits until these have been closed, and asserts that the log says why, that the server behind the gate is rid of
    /// them, and that all others hear what it says.
    #[track_caller]
    fn assert_leave(&mut self, number: usize, (expected, code): (&[&str], &str)) {
        let (gone, _) = self.crowd.next_to_leave(GROUP);
        assert_eq!(gone, group(number).collect::<BTreeSet<_>>());
        let (mut serials, mut causes) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..GROUP {
            let line = self.gate.next_closed();
            assert_eq!(line["code"], code, "{line}");
            causes.insert(line["cause"].as_str().unwrap().to_owned());
            serials.insert(line["serial_number"].as_str().unwrap().to_owned());
        }
        let hexadecimal = |client| data_encoding::HEXLOWER.encode(&serial(client));
        assert_eq!(serials, group(number).map(hexadecimal).collect());
        // Who was about to be judged again for the change before is judged for this one as well.
        assert!(expected.iter().any(|&cause| causes.contains(cause)), "{causes:?}");
        self.streams.wait_until_open(self.crowd.present().len());
        self.streams.say(code);
        self.crowd.all_hear(code);
    }
}

fn sections(responder: &Responder, streams: &Streams) -> String {
    format!(
        r#"
        [policies.ca-chain]
        assets = {{ anchors = "anchors.pem" }}
        [policies.revocation]
        assets = {{ anchors = "issuers.pem" }}
        [policies.pin-list]
        assets = {{ pins = "pins.txt" }}
        settings = {{ principal = "label" }}
        [revocation]
        issuers = ["issuers.pem"]
        [revocation.crl]
        files = ["listing.crl", "leaving.crl"]
        [revocation.ocsp]
        responder = "{}"
        retry-seconds = 1
        wait-milliseconds = 60000
        [metrics]
        address = "127.0.0.1:0"
        [servers.streams]
        url = "{}"
        "#,
        responder.url(),
        streams.url()
    )
}

#[test]
fn a_hundred_of_a_thousand_clients_go_at_each_change_and_the_others_hear_on() {
    let mut house = House::full();
    assert!(house.gate.scraped().contains("portcullis_connections 1000\n"));

    let list = crl(&house.listing, 2, group(LISTED));
    house.gate.setup().write("listing.crl", list);
    house.assert_leave(LISTED, (&["revocation"], "revoked"));

    house.all_asked_about_are_revoked.store(true, Ordering::SeqCst);
    // Short answers end as soon as others can be had, and with them the verdicts.
    house.assert_leave(ASKED_ABOUT, (&["revocation", "expiry"], "revoked"));

    let end = Some(now() + PIN_SECONDS);
    let pins = pins(&house.clients, |client| !is_of(UNPINNED)(client), end);
    house.gate.setup().write("pins.txt", pins);
    house.assert_leave(UNPINNED, (&["policies"], "not-pinned"));

    house.gate.setup().write("anchors.pem", house.listing.certificate_pem());
    house.assert_leave(UNTRUSTED, (&["policies"], "unknown-issuer"));

    house.assert_leave(EXPIRING, (&["expiry"], "pin-expired"));

    let bundle = format!("spiffe://example.org\n{}", house.listing.certificate_pem());
    house.gate.setup().write("bundles.pem", bundle);
    let config = std::fs::read_to_string(house.gate.setup().path("portcullis.toml")).unwrap();
    let config = config
        .replace("pin-list", "spiffe-id")
        .replace("pins = \"pins.txt\"", "bundles = \"bundles.pem\"")
        .replace("principal = \"label\"", "patterns = [\"spiffe://example.org/client/*\"]");
    house.gate.setup().write("portcullis.toml", config);
    house.assert_leave(FORMER, (&["policies"], "spiffe-id-not-allowed"));

    let metrics = house.gate.scraped();
    assert!(metrics.contains("portcullis_connections 400\n"), "{metrics}");
    let rejudged = |result: &str| -> usize {
        let end = format!("result=\"{result}\"}} ");
        let counts = metrics.lines().filter(|line| line.starts_with("portcullis_rejudged_total"));
        counts.filter_map(|line| line.split_once(&end)?.1.parse::<usize>().ok()).sum()
    };
    assert_eq!((rejudged("closed"), rejudged("undecided")), (6 * GROUP, 0), "{metrics}");
    assert!(rejudged("kept") >= 400, "{metrics}");
}

/// A gate of one authority with a CRL, and a client of it.
fn gate_with_a_list(authority: &Authority, sections: &str) -> (Gate, Identity) {
    let setup = Setup::new();
    setup.write("anchors.pem", authority.certificate_pem());
    setup.write("clients.crl", crl(authority, 1, 0..0));
    let client = Identity::write(setup.directory(), "leaver", &issue(authority, 0));
    let sections = format!(
        r#"{sections}
        [policies.revocation]
        assets = {{ anchors = "anchors.pem" }}
        [revocation.crl]
        files = ["clients.crl"]
        "#
    );
    (setup.start(r#"["revocation"]"#, &sections), client)
}

#[test]
fn the_processes_of_a_revoked_clients_sessions_end_with_its_connection() {
    let hostile = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/mcp/tests/servers/hostile.sh");
    let authority = pki::root("Clients");
    let servers = format!("[servers.stdio]\ncommand = [\"sh\", {hostile:?}]\n");
    let (gate, client) = gate_with_a_list(&authority, &servers);
    let dialer = Dialer::new(&gate, &client);
    let session = dialer.initialize("/stdio/mcp");
    let mut stream = dialer.connect();
    stream.get("/stdio/mcp", &session);
    stream.read_to("200 OK");
    let mut call = dialer.connect();
    call.post("/stdio/mcp", &session, r#"{"jsonrpc":"2.0","id":1,"method":"hang"}"#);
    call.read_to("200 OK");
    let processes: Vec<Process> = gate.process().children();
    assert!(!processes.is_empty());

    gate.setup().write("clients.crl", crl(&authority, 2, 0..1));
    for _ in 0..2 {
        assert_eq!(gate.next_closed()["code"], "revoked");
    }
    for raw in [&mut stream, &mut call] {
        raw.read_to_end();
    }
    while !gate.process().children().is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn a_revoked_clients_streams_end_at_the_server_over_http_2_as_well() {
    let (authority, streams) = (pki::root("Clients"), Streams::start());
    let servers = format!("[servers.streams]\nurl = \"{}\"\n", streams.url());
    let (gate, client) = gate_with_a_list(&authority, &servers);
    let mut curl = Command::new("curl")
        .args(["--silent", "--http2", "--noproxy", "*", "-H", "accept: text/event-stream"])
        .arg("--cacert")
        .arg(gate.setup().ca())
        .arg("--cert")
        .arg(&client.chain)
        .arg("--key")
        .arg(&client.key)
        .args([0, 1].map(|_| format!("https://{}/streams/mcp", gate.address())))
        .arg("--parallel")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    streams.wait_until_open(2);
    assert_eq!(gate.next_audit()["alpn"], "h2");
    gate.setup().write("clients.crl", crl(&authority, 2, 0..1));
    assert_eq!(gate.next_closed()["code"], "revoked");
    streams.wait_until_open(0);
    assert!(!curl.wait().unwrap().success());
}

/// The ticket of a session, got while the client was good.
#[test]
fn a_ticket_gets_a_revoked_client_nothing() {
    let authority = pki::root("Clients");
    let (gate, client) = gate_with_a_list(&authority, "resumption = \"rejudged\"\n");
    let ca = gate.setup().ca();
    let options = ["-tls1_2", "-tls1_3"];
    let knock = |version: &str, more: &[&str]| {
        let presented = Some(Presented { chain: &client.chain, key: &client.key });
        knock(gate.address(), &ca, presented, &[&[version], more].concat())
    };
    for version in options {
        let ticket = gate.setup().path(version).display().to_string();
        assert_eq!(knock(version, &["-sess_out", &ticket]).unwrap(), None);
        let audit = gate.next_audit();
        assert_eq!((&audit["verdict"], &audit["resumed"]), (&"accepted".into(), &false.into()));
        // One ticket resumes once in TLS 1.3; the gate gives another with it.
        assert_eq!(knock(version, &["-sess_in", &ticket, "-sess_out", &ticket]).unwrap(), None);
        let audit = gate.next_audit();
        assert_eq!((&audit["verdict"], &audit["resumed"]), (&"accepted".into(), &true.into()));
    }

    let mut inside = Dialer::new(&gate, &client).connect();
    inside.get("/portcullis/mcp", "");
    inside.read_to("HTTP/1.1 ");
    assert_eq!(gate.next_audit()["verdict"], "accepted");
    gate.setup().write("clients.crl", crl(&authority, 2, 0..1));
    assert_eq!(gate.next_closed()["code"], "revoked");

    for (version, option) in VERSIONS.into_iter().zip(options) {
        let ticket = gate.setup().path(option).display().to_string();
        let seen = knock(option, &["-sess_in", &ticket]).unwrap_err().to_string();
        assert!(seen.contains("neither an alert nor an answer"), "{option}: {seen}");
        let audit = gate.next_audit();
        assert_eq!((&audit["verdict"], &audit["resumed"]), (&"rejected".into(), &true.into()));
        assert_eq!(audit["code"], "revoked");
        assert_eq!(
            s_client(&gate, version, Some(&client)).map(alert_name),
            Some("certificate_revoked")
        );
        assert_eq!(gate.next_audit()["resumed"], false);
    }
}
