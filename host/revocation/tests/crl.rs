//! What CRLs say of a certificate, and which CRLs say nothing.

mod common;

use common::crl::{CrlProfile, REVOKED_AT, directory_point, entry, number, point, reason};
use common::{Fixture, HOUR, NOW, Party, assert_unknown, crl_answer, der, load_error, pem};
use portcullis_core::{Revocation as _, RevocationStatus};
use rcgen::{IsCa, KeyUsagePurpose};

#[test]
fn a_listed_certificate_is_revoked_and_another_is_good() {
    let ca = Party::root("CA");
    let crl = CrlProfile::listing(&[&[2], &[0, 0x80], &[0x7f; 20]]).sign(&ca);
    for serial in [&[2][..], &[0x80], &[0x7f; 20]] {
        let answer = crl_answer(&crl, &ca.client(serial), &ca);
        assert_eq!(answer.status, RevocationStatus::Revoked, "{serial:x?}");
        assert_eq!((answer.source.as_str(), answer.detail.as_str()), ("crl", ""));
        assert_eq!(answer.revoked_at, Some(REVOKED_AT));
        assert_eq!((answer.this_update, answer.next_update), (Some(NOW - HOUR), Some(NOW + HOUR)));
    }
    let answer = crl_answer(&crl, &ca.client(&[3]), &ca);
    assert_eq!((answer.status, answer.source.as_str()), (RevocationStatus::Good, "crl"));
}

#[test]
fn every_reason_but_remove_from_crl_revokes() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    for code in [0, 1, 2, 3, 4, 5, 6, 9, 10] {
        let profile =
            CrlProfile { entries: vec![entry(&[2], &[reason(code)])], ..CrlProfile::default() };
        assert_eq!(crl_answer(&profile.sign(&ca), &client, &ca).status, RevocationStatus::Revoked);
    }
    for code in [7, 8, 11] {
        let profile =
            CrlProfile { entries: vec![entry(&[2], &[reason(code)])], ..CrlProfile::default() };
        assert!(load_error(&profile.sign(&ca)).contains("not a CRL to use"));
    }
}

#[test]
fn pem_is_read_and_several_in_one_file_are_refused() {
    let ca = Party::root("CA");
    let crl = pem("X509 CRL", &CrlProfile::listing(&[&[2]]).sign(&ca));
    assert_eq!(crl_answer(crl.as_bytes(), &ca.client(&[2]), &ca).status, RevocationStatus::Revoked);
    assert!(load_error(format!("{crl}{crl}").as_bytes()).contains("the file holds 2 CRLs"));
    assert!(load_error(b"hello").contains("neither DER nor PEM"));
    assert!(load_error(b"").contains("cannot be read"));
}

#[test]
fn a_version_1_crl_has_no_extensions() {
    let ca = Party::root("CA");
    let mut profile = CrlProfile::listing(&[&[2]]);
    profile.version = None;
    assert!(load_error(&profile.sign(&ca)).contains("version 1"));
    profile.extensions.clear();
    assert_eq!(
        crl_answer(&profile.sign(&ca), &ca.client(&[2]), &ca).status,
        RevocationStatus::Revoked
    );
}

#[test]
fn an_expired_crl_says_nothing_even_of_those_that_it_lists() {
    let ca = Party::root("CA");
    let profile = CrlProfile { next_update: Some(NOW - 1), ..CrlProfile::listing(&[&[2]]) };
    for serial in [[2], [3]] {
        let answer = crl_answer(&profile.sign(&ca), &ca.client(&serial), &ca);
        assert_unknown(&answer, "next update was due at 2026-11-24T11:59:59Z");
        assert_eq!((answer.this_update, answer.next_update), (Some(NOW - HOUR), Some(NOW - 1)));
    }
    let last_second = CrlProfile { next_update: Some(NOW), ..CrlProfile::default() };
    assert_eq!(
        crl_answer(&last_second.sign(&ca), &ca.client(&[3]), &ca).status,
        RevocationStatus::Good
    );
}

#[test]
fn a_crl_of_the_future_is_refused_beyond_the_clock_skew() {
    let ca = Party::root("CA");
    let at = |this_update| CrlProfile { this_update, ..CrlProfile::default() }.sign(&ca);
    assert!(load_error(&at(NOW + 61)).contains("in the future"));
    assert_eq!(crl_answer(&at(NOW + 60), &ca.client(&[3]), &ca).status, RevocationStatus::Good);
}

#[test]
fn a_crl_without_next_update_needs_a_maximum_age() {
    let ca = Party::root("CA");
    let crl = CrlProfile { next_update: None, ..CrlProfile::listing(&[&[2]]) }.sign(&ca);
    assert_unknown(&crl_answer(&crl, &ca.client(&[2]), &ca), "older than the 0 s allowed");
    let mut fixture = Fixture::new();
    fixture.options.crl.maximum_age_without_next_update_seconds = 3_601;
    let checker = fixture.start_with_crl(&crl);
    let ask = |time| checker.check_waiting(&ca.client(&[2]), &ca.certificate, "crl", time);
    assert_eq!(ask(NOW).status, RevocationStatus::Revoked);
    assert_unknown(&ask(NOW + 1), "older than the 3601 s allowed");
}

#[test]
fn a_crl_of_another_issuer_says_nothing() {
    let (ca, other) = (Party::root("CA"), Party::root("Other"));
    let crl = CrlProfile::listing(&[&[2]]).sign(&other);
    assert_unknown(&crl_answer(&crl, &ca.client(&[2]), &ca), "no CRL of this issuer");
}

#[test]
fn a_crl_signed_by_another_key_of_the_same_name_says_nothing() {
    let (ca, impostor) = (Party::root("CA"), Party::root("CA"));
    let crl = CrlProfile::listing(&[&[3]]).sign(&impostor);
    let mut fixture = Fixture::new();
    let checker = fixture.start_with_crl(&crl);
    for _ in 0..2 {
        let answer = checker.check_waiting(&ca.client(&[2]), &ca.certificate, "crl", NOW);
        assert_unknown(&answer, "not signed by the issuer's key");
    }
    // The impostor's own clients do not open it for others.
    let answer = checker.check_waiting(&impostor.client(&[2]), &impostor.certificate, "crl", NOW);
    assert_eq!(answer.status, RevocationStatus::Good);
    let answer = checker.check_waiting(&ca.client(&[2]), &ca.certificate, "crl", NOW);
    assert_unknown(&answer, "not signed by the issuer's key");
}

#[test]
fn impostors_do_not_keep_the_issuer_from_being_recognized() {
    let ca = Party::root("CA");
    let mut fixture = Fixture::new();
    let checker = fixture.start_with_crl(&CrlProfile::listing(&[&[2]]).sign(&ca));
    for _ in 0..40 {
        let impostor = Party::root("CA");
        let answer =
            checker.check_waiting(&impostor.client(&[2]), &impostor.certificate, "crl", NOW);
        assert_unknown(&answer, "not signed by the issuer's key");
    }
    let answer = checker.check_waiting(&ca.client(&[2]), &ca.certificate, "crl", NOW);
    assert_eq!(answer.status, RevocationStatus::Revoked);
}

#[test]
fn the_issuer_must_be_allowed_to_sign_crls() {
    let ca = Party::root_with("CA", vec![KeyUsagePurpose::KeyCertSign]);
    let crl = CrlProfile::listing(&[&[2]]).sign(&ca);
    assert_unknown(&crl_answer(&crl, &ca.client(&[3]), &ca), "does not include cRLSign");
    let ca = Party::root_with("CA", Vec::new());
    let crl = CrlProfile::listing(&[&[2]]).sign(&ca);
    assert_eq!(crl_answer(&crl, &ca.client(&[3]), &ca).status, RevocationStatus::Good);
}

#[test]
fn a_certificate_and_its_issuer_must_belong_together() {
    let (ca, other) = (Party::root("CA"), Party::root("Other"));
    let crl = CrlProfile::default().sign(&ca);
    let answer = crl_answer(&crl, &ca.client(&[2]), &other);
    assert_unknown(&answer, "`CN=Other` is not the issuer `CN=CA`");
}

#[test]
fn names_are_equal_whatever_their_case_and_string_type() {
    let ca = Party::root("Clients CA");
    let printable = der::tlv(0x13, &[b"CLIENTS  ca"]);
    let name =
        der::sequence(&[&der::tlv(0x31, &[&der::sequence(&[&der::oid("2.5.4.3"), &printable])])]);
    let crl = CrlProfile { issuer: Some(name), ..CrlProfile::listing(&[&[2]]) }.sign(&ca);
    assert_eq!(crl_answer(&crl, &ca.client(&[2]), &ca).status, RevocationStatus::Revoked);
}

#[test]
fn crls_that_are_not_complete_or_not_of_one_issuer_are_refused() {
    let ca = Party::root("CA");
    let plain = CrlProfile::listing(&[&[2]]);
    let refused = |profile: CrlProfile| load_error(&profile.sign(&ca));
    assert!(
        refused(plain.clone().with_extension("2.5.29.27", true, &der::integer(&[1])))
            .contains("delta")
    );
    assert!(
        refused(plain.clone().with_extension("2.5.29.27", false, &der::integer(&[1])))
            .contains("delta")
    );
    let indirect = der::tlv(0x84, &[&[0xff]]);
    assert!(refused(plain.clone().with_scope(&[&indirect])).contains("indirect"));
    let reasons = der::tlv(0x83, &[&[6, 0x40]]);
    assert!(refused(plain.clone().with_scope(&[&reasons])).contains("only some reasons"));
    let other =
        der::extension("2.5.29.29", true, &der::sequence(&[&der::tlv(0xa4, &[&ca.name()])]));
    let profile = CrlProfile { entries: vec![entry(&[2], &[other])], ..plain };
    assert!(refused(profile).contains("indirect"));
}

#[test]
fn critical_extensions_that_are_not_known_refuse_the_whole_crl() {
    let ca = Party::root("CA");
    let profile = CrlProfile::listing(&[&[2]]).with_extension("1.2.3.4", true, &[5, 0]);
    assert!(load_error(&profile.sign(&ca)).contains("critical extension `1.2.3.4`"));
    let critical = der::extension("2.5.29.23", true, &der::oid("1.2.840.10040.2.1"));
    let profile = CrlProfile {
        entries: vec![entry(&[9], &[critical]), entry(&[2], &[])],
        ..CrlProfile::default()
    };
    assert!(load_error(&profile.sign(&ca)).contains("critical extension `2.5.29.23`"));
    let ignored = CrlProfile::listing(&[&[2]]).with_extension("1.2.3.4", false, &[5, 0]);
    assert_eq!(
        crl_answer(&ignored.sign(&ca), &ca.client(&[2]), &ca).status,
        RevocationStatus::Revoked
    );
    let twice =
        CrlProfile { extensions: vec![number(&[1]), number(&[1])], ..CrlProfile::default() };
    assert!(load_error(&twice.sign(&ca)).contains("stands twice"));
}

#[test]
fn scopes_by_kind_of_certificate_are_respected() {
    let ca = Party::root("CA");
    let (user, authority) = (
        ca.client(&[2]),
        ca.issue(&[4], |params| {
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        })
        .certificate,
    );
    let scoped = |tag| {
        CrlProfile::listing(&[&[2], &[4]]).with_scope(&[&der::tlv(tag, &[&[0xff]])]).sign(&ca)
    };
    let (users, authorities, attributes) = (scoped(0x81), scoped(0x82), scoped(0x85));
    assert_eq!(crl_answer(&users, &user, &ca).status, RevocationStatus::Revoked);
    assert_unknown(&crl_answer(&users, &authority, &ca), "no CA's");
    assert_eq!(crl_answer(&authorities, &authority, &ca).status, RevocationStatus::Revoked);
    assert_unknown(&crl_answer(&authorities, &user, &ca), "only for CA certificates");
    assert_unknown(&crl_answer(&attributes, &user, &ca), "attribute certificates");
    let both = CrlProfile::default()
        .with_scope(&[&der::tlv(0x81, &[&[0xff]]), &der::tlv(0x82, &[&[0xff]])]);
    assert!(load_error(&both.sign(&ca)).contains("two kinds"));
}

#[test]
fn distribution_points_must_match() {
    let ca = Party::root("CA");
    let (here, there) = (point("http://ca.example/1.crl"), point("http://ca.example/2.crl"));
    let crl = CrlProfile::listing(&[&[2]]).with_scope(&[&here]).sign(&ca);
    let plain = CrlProfile::listing(&[&[2]]).sign(&ca);
    let ask =
        |crl: &[u8], points: &[Vec<u8>]| crl_answer(crl, &ca.client_with_points(&[2], points), &ca);
    assert_eq!(ask(&crl, std::slice::from_ref(&here)).status, RevocationStatus::Revoked);
    assert_eq!(ask(&crl, &[there.clone(), here.clone()]).status, RevocationStatus::Revoked);
    assert_unknown(&ask(&crl, std::slice::from_ref(&there)), "another distribution point");
    assert_unknown(&crl_answer(&crl, &ca.client(&[2]), &ca), "another distribution point");
    // A CRL without a scope is for every certificate, whatever points that names.
    assert_eq!(ask(&plain, std::slice::from_ref(&there)).status, RevocationStatus::Revoked);
    let some_reasons = [here.clone(), der::tlv(0x81, &[&[6, 0x40]])].concat();
    assert_unknown(&ask(&crl, &[some_reasons]), "some reasons only");
    let other_signer = [here, der::tlv(0xa2, &[&der::tlv(0xa4, &[&ca.name()])])].concat();
    assert_unknown(&ask(&crl, &[other_signer]), "another distribution point");
}

#[test]
fn distribution_points_can_be_directory_names() {
    let ca = Party::root("CA");
    // A certificate that names no point counts as one that names its issuer.
    let own = CrlProfile::listing(&[&[2]]).with_scope(&[&directory_point(&ca.name())]).sign(&ca);
    assert_eq!(crl_answer(&own, &ca.client(&[2]), &ca).status, RevocationStatus::Revoked);
    let attribute = der::sequence(&[&der::oid("2.5.4.3"), &der::tlv(0x0c, &[b"part 1"])]);
    let relative = der::tlv(0xa0, &[&der::tlv(0xa1, &[&attribute])]);
    let ca_name = ca.name();
    let full = der::sequence(&[&ca_name[2..], &der::tlv(0x31, &[&attribute])]);
    for scope in [&relative, &directory_point(&full)] {
        let crl = CrlProfile::listing(&[&[2]]).with_scope(&[scope]).sign(&ca);
        for point in [&relative, &directory_point(&full)] {
            let client = ca.client_with_points(&[2], std::slice::from_ref(point));
            assert_eq!(crl_answer(&crl, &client, &ca).status, RevocationStatus::Revoked);
        }
        assert_unknown(&crl_answer(&crl, &ca.client(&[2]), &ca), "another distribution point");
    }
}

#[test]
fn malformed_crls_are_refused_whole() {
    let ca = Party::root("CA");
    let crl = CrlProfile::listing(&[&[2], &[3], &[4]]).sign(&ca);
    for length in [0, 1, 5, crl.len() / 2, crl.len() - 1] {
        assert!(!load_error(&crl[..length]).is_empty(), "{length}");
    }
    assert!(load_error(&[&crl[..], &[0]].concat()).contains("after the end"));
    let long = CrlProfile { entries: vec![entry(&[1; 22], &[])], ..CrlProfile::default() };
    assert!(load_error(&long.sign(&ca)).contains("more than 20 bytes"));
    let algorithm = der::sequence(&[&der::oid("1.2.840.10045.4.3.3")]);
    let two = CrlProfile { inner_algorithm: algorithm, ..CrlProfile::default() };
    assert!(load_error(&two.sign(&ca)).contains("two different signature algorithms"));
}

#[test]
fn no_flipped_bit_makes_a_revoked_certificate_good() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let crl = CrlProfile::listing(&[&[2], &[3]]).sign(&ca);
    let mut fixture = Fixture::new();
    // Each must be judged alone: the last good one stays in force otherwise.
    for byte in 0..crl.len() {
        let mut flipped = crl.clone();
        flipped[byte] ^= 1 << (byte % 8);
        let checker = fixture.start_with_crl(&flipped);
        let answer = checker.check_waiting(&client, &ca.certificate, "crl", NOW);
        assert_ne!(answer.status, RevocationStatus::Good, "byte {byte}");
    }
}

#[test]
fn of_two_crls_the_one_that_lists_the_certificate_decides() {
    let ca = Party::root("CA");
    let client = ca.client(&[2]);
    let ask = |one: CrlProfile, two: CrlProfile| {
        let mut fixture = Fixture::new();
        fixture.options.crl.files =
            vec![fixture.write("1.crl", one.sign(&ca)), fixture.write("2.crl", two.sign(&ca))];
        fixture.start().check(&client, &ca.certificate, "crl", NOW)
    };
    let listing = CrlProfile::listing(&[&[2]]);
    let newer = CrlProfile { this_update: NOW - 1, ..CrlProfile::default() };
    assert_eq!(ask(listing.clone(), newer.clone()).status, RevocationStatus::Revoked);
    assert_eq!(ask(newer.clone(), listing.clone()).status, RevocationStatus::Revoked);
    // Not even an expired one that lists it is outvoted.
    let expired = CrlProfile { next_update: Some(NOW - 1), ..listing };
    assert_unknown(&ask(expired, newer.clone()), "next update was due");
    let answer = ask(CrlProfile { this_update: NOW - 5, ..CrlProfile::default() }, newer);
    assert_eq!((answer.status, answer.this_update), (RevocationStatus::Good, Some(NOW - 1)));
}

#[test]
fn without_sources_nothing_is_known() {
    let ca = Party::root("CA");
    let checker = Fixture::new().start();
    let ask = |source| checker.check_waiting(&ca.client(&[2]), &ca.certificate, source, NOW);
    assert_unknown(&ask("crl"), "no CRL of this issuer");
    assert_unknown(&ask("ocsp"), "not configured");
    assert_unknown(&ask("smoke"), "source `smoke` is not known");
}
