//! What the authority issues, read back by another parser.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::{Command, Stdio};

use portcullis_pki::{
    AltName, Authority, Error, Extension, Flaw, KeyType, NameConstraint, PathLength, Profile,
    PublicKey, TestKey, TestKeyType, Validity, oid, write_public,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const VALIDITY: Validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };

fn root() -> Authority {
    Authority::root(&Profile::authority("Test root", VALIDITY)).unwrap()
}

fn parse(der: &[u8]) -> X509Certificate<'_> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    certificate
}

#[test]
fn every_kind_of_key_can_sign_and_be_certified_as_openssl_sees_it() {
    let directory = tempfile::tempdir().unwrap();
    let (anchor, leaf) = (directory.path().join("anchor.pem"), directory.path().join("leaf.pem"));
    for key in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519, KeyType::Rsa2048] {
        let authority =
            Authority::root(&Profile { key, ..Profile::authority("Signer", VALIDITY) }).unwrap();
        let issued =
            authority.issue(&Profile { key, ..Profile::client("leaf", VALIDITY) }).unwrap();
        write_public(&anchor, &authority.certificate_pem()).unwrap();
        write_public(&leaf, &issued.certificate_pem).unwrap();
        let status = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslclient", "-attime", "1795000000"])
            .arg("-CAfile")
            .args([&anchor, &leaf])
            .status()
            .unwrap();
        assert!(status.success(), "{key:?}");
    }
}

#[test]
fn a_certificate_says_what_its_profile_says() {
    let mut profile = Profile::client("alice", VALIDITY);
    profile.subject.insert(0, (oid::ORGANIZATION.to_owned(), "x, CN=mallory".to_owned()));
    profile.alt_names = vec![
        AltName::Dns("alice.example".to_owned()),
        AltName::Uri("spiffe://example.org/alice".to_owned()),
        AltName::Ip([192, 0, 2, 1].into()),
        AltName::Email("alice@example.org".to_owned()),
    ];
    profile.serial_number = Some(vec![0x01, 0x02]);
    profile.extensions =
        vec![Extension { oid: "1.2.3.4".to_owned(), critical: true, value: vec![0x05, 0x00] }];
    let issued = root().issue(&profile).unwrap();
    let certificate = parse(&issued.certificate_der);

    assert_eq!(certificate.issuer().to_string(), "CN=Test root");
    assert_eq!(certificate.subject().iter_attributes().count(), 2);
    assert_eq!(certificate.validity().not_before.timestamp(), VALIDITY.not_before);
    assert_eq!(certificate.validity().not_after.timestamp(), VALIDITY.not_after);
    assert_eq!(certificate.raw_serial(), [0x01, 0x02]);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 4);
    assert!(certificate.key_usage().unwrap().unwrap().value.digital_signature());
    assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth);
    assert!(!certificate.is_ca());
    let custom = certificate
        .extensions()
        .iter()
        .find(|extension| extension.oid.to_id_string() == "1.2.3.4")
        .unwrap();
    assert!(custom.critical);
    assert_eq!(custom.value, [0x05, 0x00]);
}

#[test]
fn an_intermediate_has_its_constraints_and_is_sent_along_without_the_root() {
    let root = root();
    let mut profile = Profile::authority("Test intermediate", VALIDITY);
    profile.ca = Some(PathLength::AtMost(0));
    profile.permitted_names = vec![NameConstraint::Dns("example.org".to_owned())];
    profile.excluded_names = vec![NameConstraint::Ip { address: [10, 0, 0, 0].into(), prefix: 8 }];
    let intermediate = root.intermediate(&profile).unwrap();
    let leaf = intermediate.issue(&Profile::client("leaf", VALIDITY)).unwrap();

    let certificate = parse(intermediate.certificate_der());
    let basic = certificate.basic_constraints().unwrap().unwrap().value;
    assert!(basic.ca);
    assert_eq!(basic.path_len_constraint, Some(0));
    let names = certificate.name_constraints().unwrap().unwrap().value;
    assert_eq!(names.permitted_subtrees.as_ref().unwrap().len(), 1);
    assert_eq!(names.excluded_subtrees.as_ref().unwrap().len(), 1);
    assert_eq!(leaf.chain_pem, leaf.certificate_pem.clone() + &intermediate.certificate_pem());
    assert!(
        root.issue(&Profile::client("a", VALIDITY)).unwrap().chain_pem.matches("BEGIN").count()
            == 1
    );
}

#[test]
fn a_leaf_names_its_own_key_and_its_issuers() {
    let root = root();
    let leaf = root.issue(&Profile::client("leaf", VALIDITY)).unwrap();
    let identifier = |certificate: &X509Certificate<'_>, authority: bool| {
        use x509_parser::extensions::ParsedExtension as Parsed;
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            Parsed::SubjectKeyIdentifier(key) if !authority => Some(key.0.to_vec()),
            Parsed::AuthorityKeyIdentifier(key) if authority => {
                key.key_identifier.as_ref().map(|key| key.0.to_vec())
            }
            _ => None,
        })
    };
    let certificate = parse(&leaf.certificate_der);
    let of_root = identifier(&parse(root.certificate_der()), false);
    assert!(of_root.is_some());
    assert_eq!(identifier(&certificate, true), of_root);
    assert!(identifier(&certificate, false).is_some());
}

#[test]
fn the_sha256_of_a_certificate_is_what_openssl_calls_its_fingerprint() {
    let issued = root().issue(&Profile::client("leaf", VALIDITY)).unwrap();
    let printed = openssl(&["x509", "-noout", "-fingerprint", "-sha256"], &issued.certificate_pem);
    let fingerprint = printed.trim().split_once('=').unwrap().1;
    assert_eq!(fingerprint.replace(':', "").to_lowercase(), issued.sha256_hex());
}

#[test]
fn serial_numbers_are_random_positive_and_long() {
    let root = root();
    let serial = || {
        let issued = root.issue(&Profile::client("leaf", VALIDITY)).unwrap();
        parse(&issued.certificate_der).raw_serial().to_vec()
    };
    let serials: std::collections::HashSet<Vec<u8>> = (0..100).map(|_| serial()).collect();
    assert_eq!(serials.len(), 100);
    for serial in serials {
        assert!((16..=20).contains(&serial.len()));
        assert!(serial[0] & 0x80 == 0);
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let refused = |change: &dyn Fn(&mut Profile)| {
        let mut profile = Profile::client("leaf", VALIDITY);
        change(&mut profile);
        root().issue(&profile).unwrap_err()
    };
    let ip = |prefix| NameConstraint::Ip { address: [10, 0, 0, 0].into(), prefix };
    assert!(matches!(refused(&|p| p.validity.not_after = 0), Error::Validity { .. }));
    assert!(matches!(refused(&|p| p.validity.not_after = i64::MAX), Error::Validity { .. }));
    assert!(matches!(refused(&|p| p.validity.not_before = i64::MIN), Error::Validity { .. }));
    assert!(matches!(refused(&|p| p.serial_number = Some(vec![])), Error::SerialNumber(0)));
    assert!(matches!(refused(&|p| p.serial_number = Some(vec![0])), Error::SerialNumber(1)));
    assert!(matches!(refused(&|p| p.serial_number = Some(vec![1; 21])), Error::SerialNumber(21)));
    assert!(matches!(
        refused(&|p| p.alt_names = vec![AltName::Dns("münchen".to_owned())]),
        Error::NotAscii(_)
    ));
    assert!(matches!(
        refused(&|p| p.permitted_names = vec![NameConstraint::Dns("münchen".to_owned())]),
        Error::NotAscii(_)
    ));
    assert!(matches!(refused(&|p| p.excluded_names = vec![ip(33)]), Error::Prefix { .. }));
    assert!(matches!(
        refused(&|p| p.subject.push((oid::COMMON_NAME.to_owned(), "two".to_owned()))),
        Error::RepeatedAttribute(_)
    ));
    assert!(matches!(
        refused(&|p| p.extended_key_usages = vec!["clientAuth".to_owned()]),
        Error::ObjectIdentifier(_)
    ));
}

#[test]
fn a_key_too_weak_to_be_generated_here_can_be_certified() {
    let key = openssl(&["genrsa", "1024"], "");
    let public = PublicKey::from_pem(&openssl(&["pkey", "-pubout"], &key)).unwrap();
    let certified = root().certify(&Profile::client("weak", VALIDITY), &public).unwrap();
    let certificate = parse(&certified.certificate_der);
    let x509_parser::public_key::PublicKey::RSA(rsa) = certificate.public_key().parsed().unwrap()
    else {
        panic!("not an RSA key")
    };
    assert_eq!(rsa.key_size(), 1024);
}

#[test]
fn a_public_key_that_is_none_is_refused() {
    assert!(matches!(PublicKey::from_pem("garbage"), Err(Error::PublicKey(_))));
    assert!(matches!(PublicKey::from_der(&[0x30, 0x00]), Err(Error::PublicKey(_))));
}

#[test]
fn debug_output_has_no_private_key() {
    let root = root();
    let issued = root.issue(&Profile::client("leaf", VALIDITY)).unwrap();
    assert!(!format!("{root:?}{issued:?}").contains("PRIVATE"));
}

fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_fixtures_key_makes_the_same_bytes_each_time_and_its_signature_verifies() {
    for kind in [
        TestKeyType::P256,
        TestKeyType::P384,
        TestKeyType::Ed25519,
        TestKeyType::Rsa2048,
        TestKeyType::Rsa3072,
        TestKeyType::Rsa4096,
    ] {
        let make = || {
            let serial_number = Some(vec![1]);
            let profile = Profile { serial_number, ..Profile::authority("Fixtures", VALIDITY) };
            let root = Authority::root_with(&profile, TestKey::derive(kind, "root").unwrap());
            let root = root.unwrap();
            let key = TestKey::derive(kind, "client").unwrap();
            let client = Profile { serial_number: Some(vec![2]), ..profile };
            let client = root.intermediate_with(&client, key).unwrap();
            (root.certificate_der().to_vec(), client.certificate_der().to_vec())
        };
        let (root, client) = make();
        assert_eq!((root.clone(), client.clone()), make(), "{kind:?}");
        let (_, issuer) = X509Certificate::from_der(&root).unwrap();
        let (_, subject) = X509Certificate::from_der(&client).unwrap();
        issuer.verify_signature(None).unwrap();
        subject.verify_signature(Some(issuer.public_key())).unwrap();
    }
}

#[test]
fn an_rsa_key_of_1024_bits_is_certified_and_signs_nothing() {
    let weak = || TestKey::derive(TestKeyType::Rsa1024, "weak").unwrap();
    assert!(!weak().signs());
    let profile = Profile::authority("Fixtures", VALIDITY);
    assert!(matches!(Authority::root_with(&profile, weak()), Err(Error::Signing(_))));
    let root = Authority::root_with(&profile, TestKey::derive(TestKeyType::P256, "").unwrap());
    root.unwrap().intermediate_with(&profile, weak()).unwrap();
}

#[test]
fn flaws_change_what_they_say_and_nothing_else() {
    let good = root().certificate_der().to_vec();
    let spoilt = |flaw: Flaw| {
        let mut der = good.clone();
        flaw.spoil(&mut der);
        der
    };
    let changed = |flaw| spoilt(flaw).iter().zip(&good).filter(|(one, other)| one != other).count();
    assert_eq!(spoilt(Flaw::Truncated), good[..good.len() - 1]);
    assert_eq!(spoilt(Flaw::TrailingData)[..good.len()], good);
    assert_eq!(changed(Flaw::WrongSignature), 1);
    assert_eq!(changed(Flaw::ContradictorySignatureAlgorithm), 1);
    assert_eq!(changed(Flaw::UnsupportedSignatureAlgorithm), 2);
    for flaw in [Flaw::WrongSignature, Flaw::UnsupportedSignatureAlgorithm] {
        let der = spoilt(flaw);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        certificate.verify_signature(None).expect_err("not the authority's");
    }
}
