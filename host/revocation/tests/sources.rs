//! Where CRLs come from, when they replace one another, and what survives.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use common::crl::{CrlProfile, number, point};
use common::server::{Reply, Server};
use common::{Fixture, HOUR, NOW, Party, assert_unknown, wait_until};
use portcullis_core::{Certificate, RevocationStatus};
use portcullis_revocation::{RevocationChecker, RevocationOptions, StartError};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

fn status(checker: &RevocationChecker, client: &Certificate, ca: &Party) -> RevocationStatus {
    checker.check_waiting(client, &ca.certificate, "crl", NOW).status
}

/// A server whose body can be replaced.
fn serving(body: Vec<u8>) -> (Server, Arc<Mutex<Vec<u8>>>) {
    let body = Arc::new(Mutex::new(body));
    let served = Arc::clone(&body);
    (Server::start(move |_| Reply::Body(served.lock().unwrap().clone())), body)
}

#[test]
fn a_crl_is_fetched_from_a_configured_url() {
    let ca = Party::root("CA");
    let (server, _) = serving(CrlProfile::listing(&[&[2]]).sign(&ca));
    let mut fixture = Fixture::new();
    fixture.options.crl.urls = vec![server.url("/ca.crl")];
    let checker = fixture.start();
    wait_until(&checker, |status| status.crls[0].entries == 1);
    assert_eq!(status(&checker, &ca.client(&[2]), &ca), RevocationStatus::Revoked);
    let status = &checker.status().crls[0];
    assert_eq!((status.last_success, status.failures), (Some(NOW), 0));
    assert_eq!(status.issuer.as_deref(), Some("CN=CA"));
}

#[test]
fn a_crl_is_found_through_the_certificate_where_its_host_is_allowed() {
    let ca = Party::root("CA");
    let (server, _) = serving(CrlProfile::listing(&[&[2]]).sign(&ca));
    let client = ca.client_with_points(&[2], &[point(&server.url("/ca.crl"))]);
    let mut fixture = Fixture::new();
    let ask =
        |checker: &RevocationChecker| checker.check_waiting(&client, &ca.certificate, "crl", NOW);
    assert_unknown(&ask(&fixture.start()), "no CRL of this issuer");
    fixture.options.allowed_hosts = vec!["ca.example".to_owned()];
    assert_unknown(&ask(&fixture.start()), "no CRL of this issuer");
    assert_eq!(server.requests(), 0);

    fixture.options.allowed_hosts = vec![server.host()];
    let checker = fixture.start();
    assert_unknown(&ask(&checker), "it is being fetched");
    wait_until(&checker, |status| status.crls.first().is_some_and(|crl| crl.entries == 1));
    assert_eq!(ask(&checker).status, RevocationStatus::Revoked);

    fixture.options.crl.wait_milliseconds = 60_000;
    assert_eq!(ask(&fixture.start()).status, RevocationStatus::Revoked);
}

#[test]
fn crls_that_only_certificates_name_are_bounded_and_the_useless_make_room() {
    let ca = Party::root("CA");
    let crl = CrlProfile::default().sign(&ca);
    let server = Server::start(move |request| match request.path.as_str() {
        "/good.crl" => Reply::Body(crl.clone()),
        _ => Reply::Status(404, "X: y"),
    });
    let mut fixture = Fixture::new();
    fixture.options.allowed_hosts = vec![server.host()];
    fixture.options.crl.maximum_discovered = 1;
    fixture.options.crl.wait_milliseconds = 60_000;
    let checker = fixture.start();
    let ask = |path: &str| {
        let client = ca.client_with_points(&[2], &[point(&server.url(path))]);
        checker.check_waiting(&client, &ca.certificate, "crl", NOW)
    };
    assert_unknown(&ask("/1.crl"), "HTTP status 404");
    assert_unknown(&ask("/2.crl"), "HTTP status 404");
    assert_eq!(ask("/good.crl").status, RevocationStatus::Good);
    // The CRL in force answers for the other certificate as well, and keeps its place.
    assert_eq!(ask("/3.crl").status, RevocationStatus::Good);
    let other = Party::root("Other");
    let client = other.client_with_points(&[2], &[point(&server.url("/4.crl"))]);
    assert_unknown(
        &checker.check_waiting(&client, &other.certificate, "crl", NOW),
        "too many CRLs",
    );
}

#[test]
fn servers_that_misbehave_give_no_crl() {
    let with = |reply: fn() -> Reply| {
        let server = Server::start(move |_| reply());
        let mut fixture = Fixture::new();
        fixture.options.crl.urls = vec![server.url("/ca.crl")];
        fixture.options.crl.maximum_bytes = 1 << 20;
        fixture.options.crl.timeout_seconds = 1;
        let checker = fixture.start();
        wait_until(&checker, |status| status.crls[0].failures > 0);
        checker.status().crls[0].last_error.clone().unwrap()
    };
    assert!(with(|| Reply::Flood(10 << 20)).contains("more than the 1048576 bytes"));
    assert!(with(|| Reply::Silence).contains("did not answer in full within 1000 ms"));
    assert!(with(|| Reply::Half(vec![0x30; 1000])).contains("did not answer in full"));
    assert!(with(|| Reply::Garbage).contains("cannot be reached"));
    assert!(
        with(|| Reply::Status(302, "Location: http://127.0.0.1:1/")).contains("HTTP status 302")
    );
    assert!(with(|| Reply::Body(vec![0; 100])).contains("neither DER nor PEM"));
}

/// Serves one body over https, one connection after the other.
fn serving_tls(server: &Party, body: Vec<u8>) -> u16 {
    let key = PrivatePkcs8KeyDer::from(server.key.serialize_der());
    let chain = vec![CertificateDer::from(server.certificate.der().to_vec())];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust the certificate breaks off here.
            if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
                    .unwrap();
                stream.write_all(&body).unwrap();
                stream.flush().unwrap();
            }
        }
    });
    port
}

#[test]
fn https_needs_roots_and_a_certificate_from_them() {
    let (ca, web, other) = (Party::root("CA"), Party::root("Web"), Party::root("Other web"));
    let server = web.issue(&[9], |params| {
        params.subject_alt_names = vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
    });
    let port = serving_tls(&server, CrlProfile::listing(&[&[2]]).sign(&ca));
    let mut fixture = Fixture::new();
    fixture.options.crl.urls = vec![format!("https://127.0.0.1:{port}/ca.crl")];
    let error = |fixture: &Fixture| {
        let checker = fixture.start();
        wait_until(&checker, |status| status.crls[0].failures > 0);
        checker.status().crls[0].last_error.clone().unwrap()
    };
    assert!(error(&fixture).contains("needs `tls-roots`"));
    fixture.options.tls_roots = Some(fixture.write("roots.pem", other.pem()));
    assert!(error(&fixture).contains("certificate"), "{}", error(&fixture));
    fixture.options.tls_roots = Some(fixture.write("roots.pem", web.pem()));
    fixture.clock.set(NOW + 2000 * HOUR);
    assert!(error(&fixture).contains("expired"), "{}", error(&fixture));
    fixture.clock.set(NOW);
    let checker = fixture.start();
    wait_until(&checker, |status| status.crls[0].entries == 1);
    assert_eq!(status(&checker, &ca.client(&[2]), &ca), RevocationStatus::Revoked);
}

#[test]
fn the_last_good_crl_stays_in_force_when_a_load_fails() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let (server, body) = serving(CrlProfile::listing(&[&[2]]).sign(&ca));
    let mut fixture = Fixture::new();
    fixture.options.issuers = vec![fixture.write("ca.pem", ca.pem())];
    fixture.options.crl.urls = vec![server.url("/ca.crl")];
    let checker = fixture.start();
    wait_until(&checker, |status| status.crls[0].issuer.is_some());
    let impostor = Party::root("CA");
    let newer = CrlProfile { this_update: NOW - 60, ..CrlProfile::default() };
    let good_number = || vec![number(&[7])];
    let attempts: [(Vec<u8>, &str); 7] = [
        (b"garbage".to_vec(), "neither DER nor PEM"),
        (newer.sign(&ca)[..50].to_vec(), "malformed DER"),
        (newer.sign(&impostor), "has not signed it"),
        (
            CrlProfile { issuer: Some(Party::root("B").name()), ..newer.clone() }.sign(&ca),
            "another CA",
        ),
        (
            CrlProfile { this_update: NOW - 2 * HOUR, ..newer.clone() }.sign(&ca),
            "before the one in force",
        ),
        (
            CrlProfile { extensions: vec![number(&[6])], ..newer.clone() }.sign(&ca),
            "number `06` is lower",
        ),
        (
            CrlProfile { next_update: Some(NOW - 1), extensions: good_number(), ..newer.clone() }
                .sign(&ca),
            "it expired at 2026-11-24T11:59:59Z",
        ),
    ];
    for (bytes, reason) in attempts {
        *body.lock().unwrap() = bytes;
        checker.refresh();
        wait_until(&checker, |status| {
            status.crls[0].last_error.as_ref().is_some_and(|error| error.contains(reason))
        });
        assert_eq!(status(&checker, &client, &ca), RevocationStatus::Revoked, "{reason}");
    }
    let mut changes = checker.subscribe();
    *body.lock().unwrap() = newer.sign(&ca);
    checker.refresh();
    let change = changes.blocking_recv().unwrap();
    assert!(change.concerns(&client) && !change.concerns(&Party::root("B").client(&[2])));
    assert_eq!(status(&checker, &client, &ca), RevocationStatus::Good);
    let status = &checker.status().crls[0];
    assert_eq!((status.failures, status.last_error.as_deref()), (0, None));
}

#[test]
fn an_expired_crl_is_replaced_by_any_and_the_expiry_is_told() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let mut fixture = Fixture::new();
    let checker = fixture.start_with_crl(&CrlProfile::listing(&[&[2]]).sign(&ca));
    assert_eq!(status(&checker, &client, &ca), RevocationStatus::Revoked);
    let mut changes = checker.subscribe();
    fixture.clock.set(NOW + HOUR + 1);
    assert!(changes.blocking_recv().unwrap().concerns(&client));
    // The CA began to count anew.
    let restarted = CrlProfile {
        this_update: NOW + HOUR,
        next_update: Some(NOW + 2 * HOUR),
        extensions: vec![number(&[1])],
        ..CrlProfile::default()
    };
    fixture.write("clients.crl", restarted.sign(&ca));
    checker.refresh();
    assert!(changes.blocking_recv().unwrap().concerns(&client));
    let answer = checker.check_waiting(&client, &ca.certificate, "crl", NOW + HOUR + 1);
    assert_eq!(answer.status, RevocationStatus::Good);
}

#[test]
fn a_file_that_changes_is_loaded_again() {
    let ca = Party::root("CA");
    let mut fixture = Fixture::new();
    let checker = fixture.start_with_crl(&CrlProfile::default().sign(&ca));
    assert_eq!(status(&checker, &ca.client(&[2]), &ca), RevocationStatus::Good);
    let mut changes = checker.subscribe();
    let newer = CrlProfile { this_update: NOW - 1, ..CrlProfile::listing(&[&[2]]) };
    fixture.write("clients.crl", newer.sign(&ca));
    fixture.clock.set(NOW + 5);
    changes.blocking_recv().unwrap();
    assert_eq!(status(&checker, &ca.client(&[2]), &ca), RevocationStatus::Revoked);
}

/// The clock stands still, and so no look at the file is due.
#[test]
fn a_file_is_loaded_as_soon_as_it_changes_be_it_replaced_or_written_or_with_its_directory() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let newer = |age, serials: &[&[u8]]| {
        CrlProfile { this_update: NOW - age, ..CrlProfile::listing(serials) }.sign(&ca)
    };
    let mut fixture = Fixture::new();
    let home = fixture.path().join("crls");
    std::fs::create_dir(&home).unwrap();
    fixture.options.crl.files = vec![fixture.write("crls/clients.crl", newer(50, &[]))];
    let checker = fixture.start();
    let mut changes = checker.subscribe();
    let mut becomes = |wanted| {
        while status(&checker, &client, &ca) != wanted {
            changes.blocking_recv().unwrap();
        }
    };
    becomes(RevocationStatus::Good);
    fixture.write("crls/clients.crl", newer(40, &[&[2]]));
    becomes(RevocationStatus::Revoked);
    std::fs::write(home.join("clients.crl"), newer(30, &[])).unwrap();
    becomes(RevocationStatus::Good);
    std::fs::rename(&home, fixture.path().join("away")).unwrap();
    std::fs::create_dir(&home).unwrap();
    fixture.write("crls/clients.crl", newer(20, &[&[2]]));
    becomes(RevocationStatus::Revoked);
}

#[test]
fn a_file_that_is_missing_or_too_large_is_told() {
    let mut fixture = Fixture::new();
    fixture.options.crl.files =
        vec![fixture.path().join("missing.crl"), fixture.write("large.crl", [0x30; 101])];
    fixture.options.crl.maximum_bytes = 100;
    let crls = fixture.start().status().crls;
    assert!(crls[0].last_error.as_ref().unwrap().contains("cannot be read"));
    assert!(crls[1].last_error.as_ref().unwrap().contains("more than the 100 bytes"));
}

#[test]
fn crls_survive_a_restart_and_are_checked_again() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let (server, _) = serving(CrlProfile::listing(&[&[2]]).sign(&ca));
    let client_by_point = ca.client_with_points(&[2], &[point(&server.url("/found.crl"))]);
    let mut fixture = Fixture::new();
    let state = fixture.path().join("state");
    fixture.options.state_directory = Some(state.clone());
    fixture.options.allowed_hosts = vec![server.host()];
    fixture.options.crl.wait_milliseconds = 60_000;
    let files =
        || std::fs::read_dir(&state).unwrap().filter_map(Result::ok).map(|file| file.path());
    let checker = fixture.start();
    assert_eq!(status(&checker, &client_by_point, &ca), RevocationStatus::Revoked);
    while !files().any(|path| path.extension().is_some_and(|extension| extension == "crl")) {
        std::thread::yield_now();
    }
    drop(checker);
    drop(server);

    let checker = fixture.start();
    assert_eq!(checker.status().crls[0].issuer.as_deref(), Some("CN=CA"));
    assert_eq!(status(&checker, &client, &ca), RevocationStatus::Revoked);
    drop(checker);

    let path = files().next().unwrap();
    let kept = std::fs::read(&path).unwrap();
    for byte in [0, 5, kept.len() / 3, kept.len() - 1] {
        let mut damaged = kept.clone();
        damaged[byte] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let checker = fixture.start();
        // The last byte is the issuer certificate's own signature, which plays no part.
        if byte != kept.len() - 1 {
            assert_unknown(
                &checker.check_waiting(&client, &ca.certificate, "crl", NOW),
                "no CRL of this issuer",
            );
        }
    }
    std::fs::write(&path, &kept).unwrap();
    fixture.options.allowed_hosts.clear();
    assert_eq!(fixture.start().status().crls, []);
    assert_eq!(files().count(), 0);
}

#[test]
fn a_file_damaged_over_a_restart_leaves_the_last_good_crl() {
    let ca = Party::root("CA");
    let mut fixture = Fixture::new();
    fixture.options.state_directory = Some(fixture.path().join("state"));
    fixture.options.issuers = vec![fixture.write("ca.pem", ca.pem())];
    let crl = CrlProfile::listing(&[&[2]]).sign(&ca);
    drop(fixture.start_with_crl(&crl));
    let checker = fixture.start_with_crl(&crl[..crl.len() / 2]);
    assert_eq!(status(&checker, &ca.client(&[2]), &ca), RevocationStatus::Revoked);
    assert_eq!(checker.status().crls[0].failures, 1);
}

#[test]
fn once_checked_a_crl_takes_only_its_index() {
    let ca = Party::root("CA");
    let serials: Vec<[u8; 3]> = (0..10_000_u32)
        .map(|n| {
            let [_, high, middle, low] = (0x10_0000 + n).to_be_bytes();
            [high, middle, low]
        })
        .collect();
    let serials: Vec<&[u8]> = serials.iter().map(|serial| &serial[..]).collect();
    let mut fixture = Fixture::new();
    fixture.options.issuers = vec![fixture.write("ca.pem", ca.pem())];
    let checker = fixture.start_with_crl(&CrlProfile::listing(&serials).sign(&ca));
    let status = &checker.status().crls[0];
    assert_eq!(status.entries, 10_000);
    assert!(status.memory_bytes < 10_000 * 34, "{}", status.memory_bytes);
}

#[test]
fn options_that_cannot_be_followed_are_named() {
    let fixture = Fixture::new();
    let start = |adjust: &dyn Fn(&mut RevocationOptions)| {
        let mut options = fixture.options.clone();
        adjust(&mut options);
        RevocationChecker::start(options, fixture.clock.clock()).unwrap_err()
    };
    let empty = fixture.write("empty.pem", "");
    assert!(matches!(start(&|it| it.issuers = vec![empty.clone()]), StartError::Pem { .. }));
    let wrong = fixture.write("wrong.pem", common::pem("CERTIFICATE", b"wrong"));
    assert!(matches!(
        start(&|it| it.issuers = vec![wrong.clone()]),
        StartError::Certificate { .. }
    ));
    assert!(matches!(start(&|it| it.tls_roots = Some("missing".into())), StartError::Pem { .. }));
    for url in ["ldap://ca.example/", "ca.crl"] {
        let error = start(&|it| it.crl.urls = vec![url.to_owned()]);
        assert!(error.to_string().contains(url), "{error}");
        assert!(matches!(
            start(&|it| it.ocsp.responder = Some(url.to_owned())),
            StartError::Url(_)
        ));
        assert!(matches!(
            start(&|it| it.allowed_hosts = vec![url.replace("ca.crl", "a/b")]),
            StartError::Url(_)
        ));
    }
}
