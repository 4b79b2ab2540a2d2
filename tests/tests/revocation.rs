//! Revocation at a real gate, with `openssl ca` and `openssl ocsp` as the authority, and with responders that fail in
//! every way: nobody comes in whose status is not known, and nobody waits for another's.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use portcullis_tests::client::{Tls, VERSIONS, assert_refused, peers, s_client};
use portcullis_tests::gate::{Gate, Setup};
use portcullis_tests::openssl_ca::{For, OpenSslCa};
use portcullis_tests::pki::Identity;
use portcullis_tests::responder::{Reply, Responder};
use xtask::s_client::{Presented, alert_name, knock};

const UNKNOWN: (&str, &str) = ("revocation-unknown", "unknown_ca");
/// Longer than a test takes on any machine.
const FOREVER_MS: u32 = 600_000;
/// Handshakes are made until something shows that cannot be waited for; so many are more than enough.
const MANY: usize = 100_000;

/// A gate that asks this responder, for whose answer a handshake waits so long. The wait does not count against the
/// policy's deadline.
fn gate(ca: &OpenSslCa, responder: &Responder, wait_ms: u32) -> Gate {
    let setup = Setup::new();
    setup.write("anchors.pem", ca.certificate_pem());
    let sections = format!(
        r#"
        handshake-timeout-ms = {FOREVER_MS}
        [policies.revocation]
        assets = {{ anchors = "anchors.pem" }}
        settings = {{ sources = ["ocsp"] }}
        [revocation.ocsp]
        responder = "{}"
        timeout-milliseconds = {FOREVER_MS}
        wait-milliseconds = {wait_ms}
        "#,
        responder.url()
    );
    setup.start(r#"["revocation"]"#, &sections)
}

/// `openssl ocsp`, signing as the one of this name.
fn openssl(ca: &Arc<OpenSslCa>, signer: &'static str) -> Responder {
    let ca = Arc::clone(ca);
    Responder::start(move |request| Reply::Body(ca.answer(request, signer)))
}

fn client(ca: &OpenSslCa, name: &str) -> Identity {
    ca.issue(name, For::Client, "rsa:2048", "")
}

#[track_caller]
fn assert_accepted(gate: &Gate, identity: &Identity) {
    for version in VERSIONS {
        let seen = s_client(gate, version, Some(identity));
        let audit = gate.next_audit();
        assert_eq!(seen, None, "{version:?}: {audit}");
        assert_eq!(audit["verdict"], "accepted", "{version:?}: {audit}");
    }
}

#[test]
fn openssl_as_a_responder_says_who_is_good_who_was_revoked_and_whom_it_does_not_know() {
    let ca = Arc::new(OpenSslCa::new("Clients"));
    let [good, revoked, stranger] = ["good", "revoked", "stranger"].map(|name| client(&ca, name));
    let _ = ca.issue("responder", For::Responder, "rsa:2048", "");
    ca.revoke("revoked");
    ca.forget("stranger");
    for signer in ["ca", "responder"] {
        let responder = openssl(&ca, signer);
        let gate = gate(&ca, &responder, FOREVER_MS);
        assert_accepted(&gate, &good);
        assert_refused(s_client, &gate, Some(&revoked), ("revoked", "certificate_revoked"));
        assert_refused(s_client, &gate, Some(&stranger), UNKNOWN);
    }
}

#[test]
fn an_answer_that_another_client_has_signed_is_not_believed() {
    let ca = Arc::new(OpenSslCa::new("Clients"));
    let (good, _) = (client(&ca, "good"), client(&ca, "impostor"));
    let responder = openssl(&ca, "impostor");
    assert_unknown(&gate(&ca, &responder, FOREVER_MS), &responder, &good);
}

#[test]
fn an_answer_that_has_expired_is_not_believed() {
    let ca = OpenSslCa::new("Clients");
    let good = client(&ca, "good");
    for (until, believed) in [("2020-01-02T00:00:00", false), ("2100-01-01T00:00:00", true)] {
        let answer = answer(&ca, &good, ("2020-01-01T00:00:00", until));
        let responder = Responder::start(move |_| Reply::Body(answer.clone()));
        let gate = gate(&ca, &responder, FOREVER_MS);
        match believed {
            true => assert_accepted(&gate, &good),
            false => assert_unknown(&gate, &responder, &good),
        }
    }
}

/// `openssl ocsp` has only answers of now.
fn answer(ca: &OpenSslCa, identity: &Identity, (from, until): (&str, &str)) -> Vec<u8> {
    let output = Command::new(peers().python_mcp_2())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/ocsp_answer.py"))
        .arg(&identity.certificate)
        .args([ca.certificate(), ca.key()])
        .args([from, until])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    BASE64.decode(output.stdout.trim_ascii()).unwrap()
}

#[test]
fn a_responder_that_sends_too_much_or_nonsense_is_not_believed() {
    let ca = OpenSslCa::new("Clients");
    let good = client(&ca, "good");
    for reply in [
        Reply::Flood(10 * 1024 * 1024),
        Reply::Body(vec![0x30; 10 * 1024 * 1024]),
        Reply::Body(b"garbage".to_vec()),
        Reply::Body(Vec::new()),
        Reply::Noise,
    ] {
        let responder = Responder::start(move |_| reply.clone());
        assert_unknown(&gate(&ca, &responder, FOREVER_MS), &responder, &good);
    }
}

#[test]
fn a_client_of_a_responder_that_says_nothing_is_refused() {
    let ca = OpenSslCa::new("Clients");
    let good = client(&ca, "good");
    let responder = Responder::start(|_| Reply::Silence);
    assert_unknown(&gate(&ca, &responder, 100), &responder, &good);
}

/// The answer must have been asked for, or it is no wonder that it is unknown.
#[track_caller]
fn assert_unknown(gate: &Gate, responder: &Responder, identity: &Identity) {
    assert_refused(s_client, gate, Some(identity), UNKNOWN);
    assert_ne!(responder.requests(), 0);
}

#[test]
fn a_client_of_a_responder_that_is_slow_comes_in_when_it_comes_again() {
    let ca = Arc::new(OpenSslCa::new("Clients"));
    let good = client(&ca, "good");
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let asked = Arc::clone(&ca);
    let responder = Responder::start(move |request| {
        released.lock().unwrap().recv().unwrap();
        Reply::Body(asked.answer(request, "ca"))
    });
    let gate = gate(&ca, &responder, 100);
    assert_unknown(&gate, &responder, &good);
    release.send(()).unwrap();
    assert!((0..MANY).any(|_| s_client(&gate, Tls::V1_3, Some(&good)).is_none()));
    assert_eq!(responder.requests(), 1);
}

#[test]
fn a_client_is_refused_once_its_authority_has_listed_it() {
    let ca = OpenSslCa::new("Clients");
    let (leaver, stayer) = (client(&ca, "leaver"), client(&ca, "stayer"));
    let setup = Setup::new();
    setup.write("anchors.pem", ca.certificate_pem());
    setup.write("clients.crl", ca.crl(""));
    let gate = setup.start(
        r#"["revocation"]"#,
        r#"
        [policies.revocation]
        assets = { anchors = "anchors.pem" }
        [revocation.crl]
        files = ["clients.crl"]
        file-poll-seconds = 1
        "#,
    );
    assert_accepted(&gate, &leaver);
    ca.revoke("leaver");
    gate.setup().write("clients.crl", ca.crl(""));
    let refused = (0..MANY).find_map(|_| {
        let alert = s_client(&gate, Tls::V1_3, Some(&leaver));
        let audit = gate.next_audit();
        alert.map(|_| audit)
    });
    assert_eq!(refused.unwrap()["code"], "revoked");
    assert_refused(s_client, &gate, Some(&leaver), ("revoked", "certificate_revoked"));
    assert_accepted(&gate, &stayer);
}

/// How many clients wait for the responder that says nothing: more than there are decisions at the same time in
/// [`gate_of_both`].
const WAITING: usize = 12;
/// How many clients whom it does not concern come in meanwhile.
const OTHERS: usize = 200;

#[test]
fn nobody_waits_for_a_responder_that_says_nothing_but_those_it_is_asked_about() {
    let (listing, hanging) = (OpenSslCa::new("Listing"), OpenSslCa::new("Hanging"));
    let (arrived, arrivals) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let responder = Responder::start(move |_| {
        arrived.send(()).unwrap();
        // Until the other end is gone.
        let _ = released.lock().unwrap().recv();
        Reply::Noise
    });
    let gate = gate_of_both(&listing, &hanging, &responder);
    let other = client(&listing, "other");
    let waiting: [Identity; WAITING] =
        std::array::from_fn(|number| client(&hanging, &format!("waiting-{number}")));

    // The gate's log is for this thread alone, so the others do without the gate.
    let (address, ca) = (gate.address(), &gate.setup().ca());
    std::thread::scope(|scope| {
        let refused = waiting.each_ref().map(|Identity { chain, key, .. }| {
            scope.spawn(move || knock(address, ca, Some(Presented { chain, key }), &[]).unwrap())
        });
        for _ in 0..WAITING {
            arrivals.recv().unwrap();
        }
        for _ in 0..OTHERS {
            assert_eq!(s_client(&gate, Tls::V1_3, Some(&other)), None);
            assert_eq!(gate.next_audit()["verdict"], "accepted");
        }
        // All of that while nobody was told anything.
        assert!(refused.iter().all(|client| !client.is_finished()));
        drop(release);
        for client in refused {
            assert_eq!(client.join().unwrap().map(alert_name), Some("unknown_ca"));
        }
    });
}

/// A gate that has a CRL of one authority, and for the other asks the responder.
fn gate_of_both(listing: &OpenSslCa, hanging: &OpenSslCa, responder: &Responder) -> Gate {
    let setup = Setup::new();
    setup.write("anchors.pem", listing.certificate_pem() + &hanging.certificate_pem());
    setup.write("listing.crl", listing.crl(""));
    let sections = format!(
        r#"
        handshake-timeout-ms = {FOREVER_MS}
        [engine]
        maximum-decisions = 4
        [policies.revocation]
        assets = {{ anchors = "anchors.pem" }}
        [revocation.crl]
        files = ["listing.crl"]
        [revocation.ocsp]
        responder = "{}"
        timeout-milliseconds = {FOREVER_MS}
        wait-milliseconds = {FOREVER_MS}
        "#,
        responder.url()
    );
    setup.start(r#"["revocation"]"#, &sections)
}
