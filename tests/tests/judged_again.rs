//! Revoked means out: whoever is inside when its verdict becomes another one goes at once, with its streams and what they
//! hold, and nobody else is disturbed.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_pki::{Authority, Issued, Profile, RevocationList, RevocationReason, Revoked};
use portcullis_tests::client::{VERSIONS, s_client};
use portcullis_tests::crowd::{Crowd, Streams};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::pki::{self, Identity, now};
use portcullis_tests::process::Process;
use portcullis_tests::raw::Dialer;
use portcullis_tests::responder::{Reply, Responder};
use portcullis_tests::short_answers;
use xtask::s_client::{Presented, knock};

const CLIENTS: usize = 1000;
/// So many go each time.
const GROUP: usize = 100;

/// Those who are listed by a CRL.
const LISTED: usize = 0;
/// Those whom an OCSP responder is asked about.
const ASKED_ABOUT: usize = 1;

fn group(number: usize) -> Range<usize> {
    number * GROUP..(number + 1) * GROUP
}

fn serial(client: usize) -> Vec<u8> {
    vec![1, u8::try_from(client / 256).unwrap(), u8::try_from(client % 256).unwrap()]
}

fn issue(authority: &Authority, client: usize) -> Issued {
    let serial_number = Some(serial(client));
    let profile = Profile::client(&format!("client {client}"), pki::valid());
    authority.issue(&Profile { serial_number, ..profile }).unwrap()
}

fn crl(authority: &Authority, number: u64, clients: Range<usize>) -> String {
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
    authority.revocation_list(&list).unwrap().pem
}

/// Everybody who is inside, and what lets them stay.
struct House {
    gate: Gate,
    streams: Streams,
    crowd: Crowd,
    listing: Authority,
    all_asked_about_are_revoked: Arc<AtomicBool>,
    _responder: Responder,
}

impl House {
    fn full() -> Self {
        let (listing, asked) = (pki::root("Listing"), Arc::new(pki::root("Asked")));
        let clients: Vec<Issued> = (0..CLIENTS)
            .map(|client| {
                issue(if group(ASKED_ABOUT).contains(&client) { &asked } else { &listing }, client)
            })
            .collect();
        let all_asked_about_are_revoked = Arc::new(AtomicBool::new(false));
        let (revoked, authority) = (Arc::clone(&all_asked_about_are_revoked), Arc::clone(&asked));
        let responder = Responder::start(move |request| {
            let is_revoked = |_: &[u8]| revoked.load(Ordering::SeqCst);
            Reply::Body(short_answers::answer(&authority, request, is_revoked))
        });
        let (setup, streams) = (Setup::new(), Streams::start());
        setup.write("anchors.pem", listing.certificate_pem() + &asked.certificate_pem());
        setup.write("clients.crl", crl(&listing, 1, 0..0));
        let sections = format!(
            r#"
            [policies.ca-chain]
            assets = {{ anchors = "anchors.pem" }}
            [policies.revocation]
            assets = {{ anchors = "anchors.pem" }}
            [revocation]
            issuers = ["anchors.pem"]
            [revocation.crl]
            files = ["clients.crl"]
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
        );
        let gate = setup.start(r#"["ca-chain", "revocation"]"#, &sections);
        let crowd = Crowd::gather(gate.address(), &gate.setup().ca(), &clients, "/streams/mcp");
        Self { gate, streams, crowd, listing, all_asked_about_are_revoked, _responder: responder }
    }

    /// Waits until these have been closed, and asserts that the log says why, that the server behind the gate is rid of
    /// them, and that all others hear what it says.
    #[track_caller]
    fn assert_leave(&mut self, number: usize, (cause, code): (&str, &str)) {
        let (gone, _) = self.crowd.next_to_leave(GROUP);
        assert_eq!(gone, group(number).collect::<BTreeSet<_>>());
        let mut serials = BTreeSet::new();
        for _ in 0..GROUP {
            let line = self.gate.next_closed();
            assert_eq!((&line["cause"], &line["code"]), (&cause.into(), &code.into()), "{line}");
            serials.insert(line["serial_number"].as_str().unwrap().to_owned());
        }
        let hexadecimal = |client| data_encoding::HEXLOWER.encode(&serial(client));
        assert_eq!(serials, group(number).map(hexadecimal).collect());
        self.streams.wait_until_open(self.crowd.present().len());
        self.streams.say(cause);
        self.crowd.all_hear(cause);
    }
}

#[test]
fn a_hundred_of_a_thousand_clients_go_at_each_change_and_the_others_hear_on() {
    let mut house = House::full();
    assert!(house.gate.scraped().contains("portcullis_connections 1000\n"));

    let list = crl(&house.listing, 2, group(LISTED));
    house.gate.setup().write("clients.crl", list);
    house.assert_leave(LISTED, ("revocation", "revoked"));

    house.all_asked_about_are_revoked.store(true, Ordering::SeqCst);
    house.assert_leave(ASKED_ABOUT, ("revocation", "revoked"));

    let metrics = house.gate.scraped();
    for line in [
        "portcullis_connections 800\n",
        "portcullis_rejudged_total{cause=\"revocation\",result=\"closed\"} 200\n",
        "portcullis_rejudged_total{cause=\"revocation\",result=\"undecided\"} 0\n",
        "portcullis_rejudged_total{cause=\"expiry\",result=\"closed\"} 0\n",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
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

    let inside = Dialer::new(&gate, &client).connect();
    let mut inside = inside;
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
            s_client(&gate, version, Some(&client)).map(xtask::s_client::alert_name),
            Some("certificate_revoked")
        );
        assert_eq!(gate.next_audit()["resumed"], false);
    }
}
