//! What OCSP responders say of a certificate, and which answers say nothing.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use common::crl::CrlProfile;
use common::ocsp::{Answer, good, nonce_of, refusal, revoked, unknown};
use common::server::{Reply, Request, Server};
use common::{Fixture, HOUR, NOW, Party, assert_unknown, der, extension, wait_until};
use portcullis_core::{Certificate, Revocation as _, RevocationAnswer, RevocationStatus};
use portcullis_revocation::{Nonce, RevocationChecker};
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyUsagePurpose};

/// More than any test takes; a test that waits for it has failed.
const LONG: u32 = 60_000;

impl Fixture {
    fn asking(server: &Server) -> Self {
        let mut fixture = Self::new();
        fixture.options.ocsp.responder = Some(server.url("/ocsp"));
        fixture.options.ocsp.wait_milliseconds = LONG;
        fixture.options.ocsp.timeout_milliseconds = LONG;
        fixture
    }
}

fn ask(checker: &RevocationChecker, client: &Certificate, ca: &Party) -> RevocationAnswer {
    checker.check_waiting(client, &ca.certificate, "ocsp", NOW)
}

/// What is made of one answer.
fn answer(bytes: Vec<u8>, client: &Certificate, ca: &Party) -> RevocationAnswer {
    let server = Server::start(move |_| Reply::Body(bytes.clone()));
    ask(&Fixture::asking(&server).start(), client, ca)
}

#[test]
fn good_and_revoked_are_taken_from_the_issuer_itself() {
    let ca = Party::root("CA");
    let client = ca.client(&[0x80, 1]);
    let about = |status| Answer::about(&client, &ca.certificate, status).sign(&ca);
    let got = answer(about(good()), &client, &ca);
    assert_eq!((got.status, got.source.as_str()), (RevocationStatus::Good, "ocsp"));
    assert_eq!((got.this_update, got.next_update), (Some(NOW - HOUR), Some(NOW + HOUR)));
    let got = answer(about(revoked(NOW - 5)), &client, &ca);
    assert_eq!((got.status, got.revoked_at), (RevocationStatus::Revoked, Some(NOW - 5)));
    assert_unknown(&answer(about(unknown()), &client, &ca), "does not know the certificate");
    let mut by_name = Answer::about(&client, &ca.certificate, good());
    by_name.responder_id = Some(der::tlv(0xa1, &[&ca.name()]));
    assert_eq!(answer(by_name.sign(&ca), &client, &ca).status, RevocationStatus::Good);
}

#[test]
fn answers_outside_their_time_are_refused() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let with = |adjust: &dyn Fn(&mut Answer)| {
        let mut profile = Answer::about(&client, &ca.certificate, good());
        adjust(&mut profile);
        answer(profile.sign(&ca), &client, &ca)
    };
    assert_unknown(&with(&|it| it.next_update = Some(NOW - 1)), "next update was due at");
    assert_eq!(with(&|it| it.next_update = Some(NOW)).status, RevocationStatus::Good);
    assert_unknown(&with(&|it| it.this_update = NOW + 61), "in the future");
    assert_unknown(&with(&|it| it.produced_at = NOW + 61), "in the future");
    assert_eq!(with(&|it| it.this_update = NOW + 60).status, RevocationStatus::Good);
    let no_next = |this_update| with(&|it| (it.this_update, it.next_update) = (this_update, None));
    assert_eq!(no_next(NOW - 300).status, RevocationStatus::Good);
    assert_unknown(&no_next(NOW - 301), "older than the 300 s allowed");
}

#[test]
fn answers_about_something_else_are_refused() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let with = |adjust: &dyn Fn(&mut Answer)| {
        let mut profile = Answer::about(&client, &ca.certificate, good());
        adjust(&mut profile);
        answer(profile.sign(&ca), &client, &ca)
    };
    let other = "not about the certificate asked about";
    assert_unknown(&with(&|it| it.serial = vec![3]), other);
    assert_unknown(&with(&|it| it.issuer.0[0] ^= 1), other);
    assert_unknown(&with(&|it| it.issuer.1[0] ^= 1), other);
    assert_unknown(&with(&|it| it.copies = 0), other);
    assert_unknown(&with(&|it| it.copies = 2), "answers twice");
    let critical = der::extension("1.2.3.4", true, &[5, 0]);
    assert_unknown(
        &with(&|it| it.extensions = vec![critical.clone()]),
        "critical extension `1.2.3.4`",
    );
}

#[test]
fn statuses_other_than_successful_are_named() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    for (status, name) in [
        (1, "malformedRequest"),
        (2, "internalError"),
        (3, "tryLater"),
        (5, "sigRequired"),
        (6, "unauthorized"),
    ] {
        assert_unknown(&answer(refusal(status), &client, &ca), &format!("answered `{name}`"));
    }
    assert_unknown(&answer(refusal(0), &client, &ca), "no content");
    for garbage in [&b""[..], b"hello", &[0x30, 0x80]] {
        assert_unknown(&answer(garbage.to_vec(), &client, &ca), "malformed");
    }
}

/// A responder's certificate, right unless adjusted.
fn delegate(ca: &Party, adjust: impl FnOnce(&mut CertificateParams)) -> Party {
    ca.issue(&[0x40], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.custom_extensions = vec![no_check()];
        adjust(params);
    })
}

fn no_check() -> CustomExtension {
    extension("1.3.6.1.5.5.7.48.1.5", vec![5, 0])
}

/// What is made of a good answer by this signer, whose certificate comes along.
fn delegated(signer: &Party, ca: &Party) -> RevocationAnswer {
    let client = ca.client(&[2]);
    let mut profile = Answer::about(&client, &ca.certificate, good());
    profile.certificates = vec![signer.certificate.der().to_vec()];
    answer(profile.sign(signer), &client, ca)
}

#[test]
fn responders_that_the_issuer_has_delegated_are_believed() {
    let ca = Party::root("CA");
    assert_eq!(delegated(&delegate(&ca, |_| {}), &ca).status, RevocationStatus::Good);
    let no_usage = delegate(&ca, |params| params.key_usages.clear());
    assert_eq!(delegated(&no_usage, &ca).status, RevocationStatus::Good);
}

#[test]
fn responders_that_the_issuer_has_not_delegated_are_not_believed() {
    let (ca, other) = (Party::root("CA"), Party::root("CA"));
    let refused = |signer: &Party| {
        let answer = delegated(signer, &ca);
        assert_unknown(&answer, "signer is not accepted");
        answer.detail
    };
    refused(&delegate(&other, |_| {}));
    refused(&other);
    refused(&delegate(&ca, |params| params.extended_key_usages.clear()));
    refused(&delegate(&ca, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }));
    let time = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
    refused(&delegate(&ca, |params| params.not_after = time(NOW - 1)));
    refused(&delegate(&ca, |params| params.not_before = time(NOW + 1)));
    let usage = delegate(&ca, |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert!(refused(&usage).contains("key usage"));
    // A client of the same CA cannot speak for it either.
    refused(&ca.issue(&[9], |_| {}));
}

#[test]
fn an_answer_whose_signature_does_not_verify_is_refused() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let bytes = Answer::about(&client, &ca.certificate, good()).sign(&ca);
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_unknown(&answer(flipped, &client, &ca), "");
    // Signed by the delegate's key, and another certificate of the same CA in its place.
    let (signer, stranger) = (delegate(&ca, |_| {}), delegate(&ca, |_| {}));
    let mut profile = Answer::about(&client, &ca.certificate, good());
    profile.certificates = vec![stranger.certificate.der().to_vec()];
    profile.responder_id = Some(der::tlv(0xa1, &[&stranger.name()]));
    assert_unknown(&answer(profile.sign(&signer), &client, &ca), "does not verify");
    profile.responder_id = None;
    assert_unknown(&answer(profile.sign(&signer), &client, &ca), "matches its responder ID");
}

#[test]
fn no_flipped_bit_makes_a_revoked_certificate_good() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let bytes = Answer::about(&client, &ca.certificate, revoked(NOW - 5)).sign(&ca);
    let next = Arc::new(AtomicUsize::new(0));
    let (served, byte) = (bytes.clone(), Arc::clone(&next));
    let server = Server::start(move |_| {
        let (mut flipped, byte) = (served.clone(), byte.load(Ordering::SeqCst));
        flipped[byte] ^= 1 << (byte % 8);
        Reply::Body(flipped)
    });
    for byte in 0..bytes.len() {
        next.store(byte, Ordering::SeqCst);
        let answer = ask(&Fixture::asking(&server).start(), &client, &ca);
        assert_ne!(answer.status, RevocationStatus::Good, "byte {byte}");
    }
}

#[test]
fn a_responder_without_nocheck_needs_a_crl_that_says_it_is_good() {
    let ca = Party::root("CA");
    let signer = delegate(&ca, |params| params.custom_extensions.clear());
    let client = ca.client(&[2]);
    let mut profile = Answer::about(&client, &ca.certificate, good());
    profile.certificates = vec![signer.certificate.der().to_vec()];
    let bytes = profile.sign(&signer);
    let server = Server::start(move |_| Reply::Body(bytes.clone()));
    let with_crl = |crl: Option<CrlProfile>, accept: bool| {
        let mut fixture = Fixture::asking(&server);
        fixture.options.ocsp.accept_unchecked_responders = accept;
        if let Some(crl) = crl {
            fixture.options.crl.files = vec![fixture.write("ca.crl", crl.sign(&ca))];
        }
        ask(&fixture.start(), &client, &ca)
    };
    assert_unknown(&with_crl(None, false), "no CRL says that it is good");
    assert_eq!(with_crl(None, true).status, RevocationStatus::Good);
    assert_eq!(with_crl(Some(CrlProfile::default()), false).status, RevocationStatus::Good);
    let revoked = CrlProfile::listing(&[&[0x40]]);
    assert_unknown(&with_crl(Some(revoked.clone()), false), "certificate is revoked");
    assert_unknown(&with_crl(Some(revoked), true), "certificate is revoked");
}

#[test]
fn the_nonce_must_come_back() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let (ca, subject) = (Arc::new(ca), client.clone());
    let with = |mode: Nonce, echo: &'static str| {
        let (key, subject) = (Arc::clone(&ca), subject.clone());
        let server = Server::start(move |request: &Request| {
            let mut profile = Answer::about(&subject, &key.certificate, good());
            profile.nonce = match echo {
                "same" => Some(nonce_of(&request.ocsp())),
                "other" => Some(vec![7; 32]),
                _ => None,
            };
            Reply::Body(profile.sign(&key))
        });
        let mut fixture = Fixture::asking(&server);
        fixture.options.ocsp.nonce = mode;
        ask(&fixture.start(), &client, &ca)
    };
    assert_eq!(with(Nonce::Require, "same").status, RevocationStatus::Good);
    assert_eq!(with(Nonce::Prefer, "same").status, RevocationStatus::Good);
    assert_unknown(&with(Nonce::Require, "other"), "not the one that was sent");
    assert_unknown(&with(Nonce::Prefer, "other"), "not the one that was sent");
    assert_unknown(&with(Nonce::Require, "none"), "nonce is missing");
    assert_eq!(with(Nonce::Prefer, "none").status, RevocationStatus::Good);
    assert_eq!(with(Nonce::Off, "other").status, RevocationStatus::Good);
}

#[test]
fn a_request_is_a_get_and_a_post_where_get_is_not_taken() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let bytes = Answer::about(&client, &ca.certificate, good()).sign(&ca);
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => Reply::Status(405, "Allow: POST"),
        _ => Reply::Body(bytes.clone()),
    });
    let got = ask(&Fixture::asking(&server).start(), &client, &ca);
    assert_eq!((got.status, server.requests()), (RevocationStatus::Good, 2));
}

#[test]
fn responders_are_found_in_certificates_where_their_host_is_allowed() {
    let ca = Arc::new(Party::root("CA"));
    let about: Arc<std::sync::OnceLock<Certificate>> = Arc::default();
    let (key, subject) = (Arc::clone(&ca), Arc::clone(&about));
    let server = Server::start(move |_| {
        Reply::Body(Answer::about(subject.get().unwrap(), &key.certificate, good()).sign(&key))
    });
    let client = ca.client_with_responder(&[2], &server.url("/"));
    about.set(client.clone()).unwrap();
    let mut fixture = Fixture::new();
    fixture.options.ocsp.wait_milliseconds = LONG;
    assert_unknown(&ask(&fixture.start(), &client, &ca), "not configured");
    fixture.options.allowed_hosts = vec!["ca.example".to_owned()];
    assert_unknown(&ask(&fixture.start(), &client, &ca), "no responder that is allowed");
    assert_eq!(server.requests(), 0);
    fixture.options.allowed_hosts.push(server.host());
    assert_eq!(ask(&fixture.start(), &client, &ca).status, RevocationStatus::Good);
}

#[test]
fn responders_that_misbehave_leave_the_certificate_unknown() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let with = |reply: fn() -> Reply, timeout: u32| {
        let server = Server::start(move |_| reply());
        let mut fixture = Fixture::asking(&server);
        fixture.options.ocsp.timeout_milliseconds = timeout;
        ask(&fixture.start(), &client, &ca)
    };
    assert_unknown(&with(|| Reply::Silence, 50), "did not answer in full within 50 ms");
    assert_unknown(
        &with(|| Reply::Half(vec![0x30; 1000]), 50),
        "did not answer in full within 50 ms",
    );
    assert_unknown(&with(|| Reply::Flood(10 << 20), LONG), "more than the 65536 bytes");
    assert_unknown(&with(|| Reply::Body(vec![0x30; 10 << 20]), LONG), "more than the 65536 bytes");
    assert_unknown(&with(|| Reply::Garbage, LONG), "cannot be reached");
    assert_unknown(&with(|| Reply::Status(500, "X: y"), LONG), "HTTP status 500");
    assert_unknown(
        &with(|| Reply::Status(302, "Location: http://127.0.0.1:1/"), LONG),
        "HTTP status 302",
    );
    let mut fixture = Fixture::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fixture.options.ocsp.responder = Some(format!("http://{closed}/"));
    assert_unknown(&ask(&fixture.start(), &client, &ca), "cannot be reached");
}

#[test]
fn a_responder_that_failed_is_left_alone_for_a_while() {
    let ca = Party::root("CA");
    let server = Server::start(|_| Reply::Status(503, "X: y"));
    let fixture = Fixture::asking(&server);
    let checker = fixture.start();
    for serial in 2..12 {
        assert_unknown(&ask(&checker, &ca.client(&[serial]), &ca), "HTTP status 503");
    }
    assert_eq!(server.requests(), 1);
    let status = checker.status().ocsp;
    assert_eq!((status.failing[0].failures, status.failing[0].retry_at), (1, NOW + 10));
    fixture.clock.set(NOW + 10);
    assert_unknown(&ask(&checker, &ca.client(&[2]), &ca), "HTTP status 503");
    assert_eq!(server.requests(), 2);
    assert_eq!(checker.status().ocsp.failing[0].retry_at, NOW + 30);
}

#[test]
fn a_certificate_is_asked_about_once_at_a_time_and_not_again_while_the_answer_lasts() {
    let ca = Arc::new(Party::root("CA"));
    let client = ca.client(&[2]);
    let bytes = Answer::about(&client, &ca.certificate, good()).sign(&ca);
    let (release, held) = sync_channel::<()>(0);
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |_| {
        held.lock().unwrap().recv().unwrap();
        Reply::Body(bytes.clone())
    });
    let checker = Arc::new(Fixture::asking(&server).start());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (checker, client, ca) = (Arc::clone(&checker), client.clone(), Arc::clone(&ca));
            std::thread::spawn(move || ask(&checker, &client, &ca).status)
        })
        .collect();
    wait_until(&checker, |status| status.waiting == 8);
    release.send(()).unwrap();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), RevocationStatus::Good);
    }
    assert_eq!(ask(&checker, &client, &ca).status, RevocationStatus::Good);
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_handshake_beyond_the_places_to_wait_does_not_wait() {
    let ca = Arc::new(Party::root("CA"));
    let server = Server::start(|_| Reply::Silence);
    let mut fixture = Fixture::asking(&server);
    fixture.options.maximum_waiting = 2;
    fixture.options.ocsp.maximum_in_flight = 3;
    let checker = Arc::new(fixture.start());
    for serial in 2..4 {
        let (checker, ca) = (Arc::clone(&checker), Arc::clone(&ca));
        std::thread::spawn(move || ask(&checker, &ca.client(&[serial]), &ca));
    }
    wait_until(&checker, |status| status.waiting == 2);
    assert_unknown(&ask(&checker, &ca.client(&[4]), &ca), "has not answered yet");
    assert_unknown(&ask(&checker, &ca.client(&[5]), &ca), "is being asked 3 times already");
    // Whoever does not wait may find room in a moment.
    let answer = checker.check(&ca.client(&[5]), &ca.certificate, "ocsp", NOW);
    assert_unknown(&answer, "is being asked 3 times already");
    assert!(answer.pending);
}

#[test]
fn a_responder_that_never_answers_delays_nobody_who_asks_another() {
    let ca = Arc::new(Party::root("CA"));
    let silent = Server::start(|_| Reply::Silence);
    let about: Arc<std::sync::Mutex<Vec<Certificate>>> = Arc::default();
    let (key, subjects) = (Arc::clone(&ca), Arc::clone(&about));
    let lively = Server::start(move |request| {
        let request = request.ocsp();
        let subjects = subjects.lock().unwrap();
        let asked = |client: &&Certificate| {
            let serial = der::integer(der::serial(client.der()));
            request.windows(serial.len()).any(|window| window == serial)
        };
        let client = subjects.iter().find(asked).unwrap();
        Reply::Body(Answer::about(client, &key.certificate, good()).sign(&key))
    });
    let mut fixture = Fixture::new();
    fixture.options.allowed_hosts = vec![silent.host(), lively.host()];
    fixture.options.ocsp.wait_milliseconds = LONG;
    fixture.options.ocsp.timeout_milliseconds = LONG;
    let checker = Arc::new(fixture.start());
    for serial in 0..10 {
        let client = ca.client_with_responder(&[0x50, serial], &silent.url("/"));
        let (checker, ca) = (Arc::clone(&checker), Arc::clone(&ca));
        std::thread::spawn(move || ask(&checker, &client, &ca));
    }
    wait_until(&checker, |status| status.waiting == 10);
    for serial in 0..20 {
        let client = ca.client_with_responder(&[0x60, 0x70, serial], &lively.url("/"));
        about.lock().unwrap().push(client.clone());
        assert_eq!(ask(&checker, &client, &ca).status, RevocationStatus::Good);
    }
    assert_eq!(checker.status().waiting, 10);
}

#[test]
fn the_answer_about_a_live_connection_is_refreshed_and_a_change_is_told() {
    let ca = Arc::new(Party::root("CA"));
    let (client, bystander) = (ca.client(&[2]), ca.client(&[3]));
    let is_revoked = Arc::new(AtomicBool::new(false));
    let (key, subject, flag) = (Arc::clone(&ca), client.clone(), Arc::clone(&is_revoked));
    let server = Server::start(move |_| {
        let changed = flag.load(Ordering::SeqCst);
        let status = if changed { revoked(NOW) } else { good() };
        let mut profile = Answer::about(&subject, &key.certificate, status);
        if changed {
            (profile.this_update, profile.next_update) = (NOW + HOUR / 2, Some(NOW + 3 * HOUR));
        }
        Reply::Body(profile.sign(&key))
    });
    let fixture = Fixture::asking(&server);
    let checker = fixture.start();
    let watch = checker.watch(&client, &ca.certificate);
    assert_eq!(ask(&checker, &client, &ca).status, RevocationStatus::Good);
    let mut changes = checker.subscribe();
    is_revoked.store(true, Ordering::SeqCst);
    // Half-way to the next update it is asked again.
    fixture.clock.set(NOW + HOUR / 2);
    let change = changes.blocking_recv().unwrap();
    assert!(change.concerns(&client) && !change.concerns(&bystander));
    drop(watch);
    assert_eq!(checker.status().ocsp.watched, 0);
    let later = checker.check_waiting(&client, &ca.certificate, "ocsp", NOW + HOUR);
    assert_eq!(later.status, RevocationStatus::Revoked);
}

#[test]
fn an_answer_survives_a_failed_refresh_until_it_expires() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let bytes = Answer::about(&client, &ca.certificate, good()).sign(&ca);
    let down = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&down);
    let server = Server::start(move |_| match flag.load(Ordering::SeqCst) {
        true => Reply::Body(refusal(3)),
        false => Reply::Body(bytes.clone()),
    });
    let fixture = Fixture::asking(&server);
    let checker = fixture.start();
    let _watch = checker.watch(&client, &ca.certificate);
    assert_eq!(ask(&checker, &client, &ca).status, RevocationStatus::Good);
    down.store(true, Ordering::SeqCst);
    checker.refresh();
    wait_until(&checker, |status| status.ocsp.failing.len() == 1);
    assert_eq!(ask(&checker, &client, &ca).status, RevocationStatus::Good);
    let mut changes = checker.subscribe();
    fixture.clock.set(NOW + HOUR + 1);
    assert!(changes.blocking_recv().unwrap().concerns(&client));
    let after = checker.check_waiting(&client, &ca.certificate, "ocsp", NOW + HOUR + 1);
    assert_unknown(&after, "tryLater");
}

#[test]
fn answers_survive_a_restart_and_are_checked_again() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let bytes = Answer::about(&client, &ca.certificate, revoked(NOW - 9)).sign(&ca);
    let server = Server::start(move |_| Reply::Body(bytes.clone()));
    let mut fixture = Fixture::asking(&server);
    let state = fixture.path().join("state");
    fixture.options.state_directory = Some(state.clone());
    let checker = fixture.start();
    assert_eq!(ask(&checker, &client, &ca).status, RevocationStatus::Revoked);
    let file = || {
        std::fs::read_dir(&state)
            .unwrap()
            .filter_map(Result::ok)
            .find(|entry| entry.path().extension().is_some_and(|extension| extension == "ocsp"))
    };
    while file().is_none() {
        std::thread::yield_now();
    }
    drop(checker);
    drop(server);
    let checker = fixture.start();
    assert_eq!(ask(&checker, &client, &ca).revoked_at, Some(NOW - 9));
    drop(checker);
    let path = file().unwrap().path();
    let mut damaged = std::fs::read(&path).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let checker = fixture.start();
    assert!(file().is_none());
    assert_unknown(&ask(&checker, &client, &ca), "cannot be reached");
}
