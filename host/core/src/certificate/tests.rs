use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};

use super::*;

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").der().to_vec()
}

fn parsed(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    Certificate::from_der(made(change)).expect("it parses")
}

#[test]
fn a_name_within_an_attribute_cannot_pass_for_an_attribute() {
    let certificate = parsed(|params| {
        params.distinguished_name.push(DnType::OrganizationName, "x, CN=client-1");
        params.distinguished_name.push(DnType::CommonName, "mallory");
    });
    assert_eq!(certificate.subject(), "CN=mallory,O=x\\, CN\\=client-1");
    let names: Vec<_> =
        certificate.subject_names().map(|name| (name.oid.as_str(), name.text.as_str())).collect();
    assert_eq!(names, [("2.5.4.10", "x, CN=client-1"), ("2.5.4.3", "mallory")]);
}

#[test]
fn a_line_break_in_a_name_is_escaped() {
    let certificate = parsed(|params| {
        params.distinguished_name.push(DnType::CommonName, "a\nverdict=accepted ");
    });
    assert_eq!(certificate.subject(), "CN=a\\0averdict\\=accepted\\ ");
}

#[test]
fn alternative_names_keep_their_kind_text_and_bytes() {
    let certificate = parsed(|params| {
        let ia5 = |text: &str| Ia5String::try_from(text).expect("ASCII");
        params.subject_alt_names = vec![
            SanType::DnsName(ia5("a.example")),
            SanType::URI(ia5("spiffe://example.org/a")),
            SanType::Rfc822Name(ia5("a@example.org")),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::OtherName((vec![1, 2, 3], "x".into())),
        ];
    });
    let names: Vec<_> = certificate
        .subject_alt_names()
        .iter()
        .map(|name| (name.kind, name.text.as_str(), name.value.len()))
        .collect();
    assert_eq!(
        names,
        [
            ("dns", "a.example", 9),
            ("uri", "spiffe://example.org/a", 22),
            ("email", "a@example.org", 13),
            ("ip", "192.0.2.1", 4),
            ("other", "", 11),
        ]
    );
    assert_eq!(certificate.claimed_spiffe_id(), Some("spiffe://example.org/a"));
}

#[test]
fn usages_constraints_and_extensions_are_read() {
    let certificate = parsed(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]));
    });
    assert!(certificate.is_ca());
    assert_eq!(certificate.key_usages(), Some(["keyCertSign", "cRLSign"].as_slice()));
    assert_eq!(certificate.extended_key_usages(), ["1.3.6.1.5.5.7.3.2"]);
    assert_eq!(certificate.extension("1.2.3.4"), Some([5, 0].as_slice()));
    assert_eq!(certificate.extension("1.2.3.5"), None);
    assert_eq!(certificate.public_key().algorithm, "ecdsa-p256");
    assert_eq!(certificate.public_key().bits, 256);
    assert_eq!(certificate.signature_algorithm(), "1.2.840.10045.4.3.2");
}

#[test]
fn the_size_of_an_rsa_key_is_that_of_its_modulus() {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .expect("a key");
    let der = CertificateParams::default().self_signed(&key).expect("signed").der().to_vec();
    let certificate = Certificate::from_der(der).expect("it parses");
    assert_eq!(certificate.public_key().algorithm, "rsa");
    assert_eq!(certificate.public_key().bits, 2048);
}

#[test]
fn an_extension_that_stands_twice_is_refused() {
    let der = made(|params| {
        let extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        params.custom_extensions = vec![extension.clone(), extension];
    });
    assert!(matches!(
        Certificate::from_der(der),
        Err(CertificateError::DuplicateExtension(oid)) if oid == "1.2.3.4"
    ));
}

#[test]
fn bytes_after_the_certificate_are_refused() {
    let mut der = made(|_| {});
    der.push(0);
    assert!(matches!(Certificate::from_der(der), Err(CertificateError::TrailingData(1))));
}

#[test]
fn what_is_no_certificate_or_too_large_is_refused() {
    let garbage = Certificate::from_der(vec![0x30, 0x03, 1, 1, 1]);
    assert!(matches!(garbage, Err(CertificateError::Malformed(_))));
    let large = Certificate::from_der(vec![0; MAXIMUM_CERTIFICATE_BYTES + 1]);
    assert!(matches!(large, Err(CertificateError::TooLarge(_))));
}

#[test]
fn an_alternative_name_that_is_not_ascii_is_refused() {
    let value = vec![0x30, 3, 0x82, 1, 0xff];
    let der = made(|params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], value)];
    });
    assert!(matches!(
        Certificate::from_der(der),
        Err(CertificateError::Extension(oid)) if oid == "2.5.29.17"
    ));
}
