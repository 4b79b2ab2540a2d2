//! Suites as they are read: the certificates that they make, and what is wrong with bad ones.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is how a test fails"
)]

use std::path::PathBuf;

use portcullis_config::{Document, Mistake};
use portcullis_engine::{Certificate, sha256};
use portcullis_suite::{Suite, find_suites};
use proptest::prelude::*;
use serde_json::Value;

/// Every way in which a certificate can be described.
const DESCRIBED: &str = r#"
chain = ["any"]

[certificates.root]
subject = { country = "DE", organization = "Example", common-name = "Root", "2.5.4.5" = "1" }
ca = true
path-length = 2
permitted = { dns = ["example.org"], ip = ["10.0.0.0/8"] }
excluded = { email = ["example.com"] }
key-usage = ["keyCertSign"]

[certificates.p384]
issuer = "root"
key = "p384"
dns = ["a.example.org"]
email = ["a@example.org"]
ip = ["10.0.0.1", "::1"]
uri = ["spiffe://example.org/a"]
extended-key-usage = ["clientAuth", "serverAuth", "codeSigning", "anyExtendedKeyUsage", "1.2.3.4"]
not-before = 2026-01-15T11:00:00Z
not-after = "+36h"
serial-number = "0a1b"
extensions = [{ oid = "1.2.3.4.5", critical = true, value = "05 00" }]

[certificates.ed25519-ca]
key = "ed25519"
ca = true

[certificates.of-ed25519]
issuer = "ed25519-ca"
flaws = ["wrong-signature", "no-basic-constraints"]

[certificates.rsa-ca]
key = "rsa-2048"
ca = true

[certificates.weak]
issuer = "rsa-ca"
key = "rsa-1024"

[certificates.renewed]
issuer = "rsa-ca"
same-key-as = "p384"

[certificates.bytes]
der = "3003020101"

[[case]]
name = "one"
present = ["p384", "root"]
accept = true
"#;

const NAMES: [&str; 8] =
    ["root", "p384", "ed25519-ca", "of-ed25519", "rsa-ca", "weak", "renewed", "bytes"];

fn read(text: &str) -> Result<Suite, Mistake> {
    Suite::new(Document::new(PathBuf::from("suite.toml"), text.to_owned()))
}

fn certificate(suite: &Suite, name: &str) -> Certificate {
    Certificate::from_der(suite.certificate(name).expect("one of this name").to_vec()).unwrap()
}

/// What a mistake says, and where.
fn mistake(text: &str) -> Value {
    serde_json::to_value(read(text).expect_err("a mistake")).unwrap()
}

#[test]
fn two_runs_make_the_same_bytes_and_so_does_every_other_machine() {
    let (one, other) = (read(DESCRIBED).unwrap(), read(DESCRIBED).unwrap());
    let mut all = Vec::new();
    for name in NAMES {
        assert_eq!(one.certificate(name), other.certificate(name), "{name}");
        all.extend_from_slice(one.certificate(name).unwrap());
    }
    let digest: String = sha256(&all).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "b0b4f7a3aa65339205f457a719869b8ab91565a84723bead71c86e7bf1aba77c");
}

#[test]
fn a_certificate_says_what_its_description_says() {
    let suite = read(DESCRIBED).unwrap();
    let root = certificate(&suite, "root");
    assert_eq!(root.subject(), "serialNumber=1,CN=Root,O=Example,C=DE");
    assert!(root.is_ca());
    let client = certificate(&suite, "p384");
    assert_eq!(client.issuer(), root.subject());
    assert_eq!(client.public_key().algorithm, "ecdsa-p384");
    assert_eq!(client.serial_number(), "0a1b");
    assert_eq!((client.not_before(), client.not_after()), (1_768_474_800, 1_768_608_000));
    let names: Vec<String> = client
        .subject_alt_names()
        .iter()
        .map(|name| format!("{}:{}", name.kind, name.text))
        .collect();
    assert_eq!(
        names,
        [
            "dns:a.example.org",
            "email:a@example.org",
            "ip:10.0.0.1",
            "ip:::1",
            "uri:spiffe://example.org/a"
        ]
    );
    assert_eq!(client.extended_key_usages().len(), 5);
    assert_eq!(client.extension("1.2.3.4.5"), Some(&[5, 0][..]));
    assert_eq!(certificate(&suite, "weak").public_key().bits, 1024);
    assert_eq!(
        certificate(&suite, "renewed").public_key().spki_sha256,
        client.public_key().spki_sha256
    );
    assert_eq!(certificate(&suite, "of-ed25519").extension("2.5.29.19"), None);
}

#[test]
fn keys_of_different_names_differ() {
    let suite = read(DESCRIBED).unwrap();
    let keys: std::collections::BTreeSet<_> =
        ["root", "p384", "ed25519-ca", "of-ed25519", "rsa-ca"]
            .map(|name| certificate(&suite, name).public_key().spki_sha256)
            .into();
    assert_eq!(keys.len(), 5);
}

#[test]
fn a_bad_suite_is_shown_where_it_is_wrong() {
    let with = |certificate: &str| {
        format!(
            "chain = [\"a\"]\n[certificates.x]\n{certificate}\n[[case]]\nname = \"c\"\npresent = \"x\"\n"
        )
    };
    let case = |case: &str| {
        format!(
            "chain = [\"a\"]\n[certificates.x]\n[[case]]\nname = \"c\"\npresent = \"x\"\n{case}\n"
        )
    };
    for (text, line, key) in [
        ("chain = [\"a\"]\ntime = \"+1h\"\n".to_owned(), 2, "time"),
        ("chain = [\"a\"]\ntime = \"noon\"\n".to_owned(), 2, "time"),
        ("chain = [\"a\"]\nconfig = \"c\"\n".to_owned(), 2, "config"),
        ("chain = [\"a\"]\nconfg = \"c\"\n".to_owned(), 2, "confg"),
        ("config = \"nowhere.toml\"\n".to_owned(), 1, "config"),
        ("chain = 1\n".to_owned(), 1, "chain"),
        (with("issuer = \"y\""), 3, "certificates.x.issuer"),
        (with("issuer = \"y\"\n[certificates.y]\nissuer = \"x\""), 3, "certificates.x.issuer"),
        (with("issuer = \"y\"\n[certificates.y]\nder = \"30\""), 3, "certificates.x.issuer"),
        (
            with(
                "issuer = \"y\"\n[certificates.y]\nissuer = \"z\"\nkey = \"rsa-1024\"\n[certificates.z]",
            ),
            3,
            "certificates.x.issuer",
        ),
        (with("isuer = \"y\""), 3, "certificates.x.isuer"),
        (with("ca = \"yes\""), 3, "certificates.x.ca"),
        (with("key = \"rsa-1024\""), 2, "certificates.x"),
        (with("key = \"p521\""), 3, "certificates.x.key"),
        (with("same-key-as = \"y\""), 3, "certificates.x.same-key-as"),
        (with("same-key-as = \"x\""), 3, "certificates.x.same-key-as"),
        (with("file = \"nowhere.pem\""), 3, "certificates.x.file"),
        (with("der = \"3\""), 3, "certificates.x.der"),
        (with("der = \"30\"\nca = true"), 2, "certificates.x"),
        (with("dns = [\"ä\"]"), 2, "certificates.x"),
        (with("subject = { name = \"x\" }"), 2, "certificates.x"),
        (with("not-after = \"-2h\""), 2, "certificates.x"),
        (with("not-after = \"tomorrow\""), 3, "certificates.x.not-after"),
        (with("serial-number = \"00\""), 2, "certificates.x"),
        (with("extended-key-usage = [\"clientauth\"]"), 2, "certificates.x"),
        (with("permitted = { ip = [\"10.0.0.0\"] }"), 3, "certificates.x.permitted"),
        (with("flaws = [\"rotten\"]"), 3, "certificates.x.flaws"),
        (case("accept = true\nreject = \"expired\""), 7, "case.reject"),
        (case("accept = false"), 6, "case.accept"),
        (case("accept = { principle = \"x\" }"), 6, "case.accept"),
        (case("reject = { policy = \"x\" }"), 6, "case.reject"),
        (case("variant = \"strict\""), 6, "case.variant"),
        (case("[variants.strict.policies.a]"), 6, "variants.strict"),
        (case("peer = \"nowhere\""), 6, "case.peer"),
        (case("[[case]]\nname = \"c\"\npresent = \"x\""), 7, "case.name"),
        (case("[[case]]\nname = \"d\"\npresent = \"y\""), 8, "case.present"),
        (
            case("[[case.revocation]]\ncertificate = \"y\"\nsource = \"crl\"\nstatus = \"good\""),
            7,
            "revocation.certificate",
        ),
        (
            case("[[case.revocation]]\ncertificate = \"x\"\nsource = \"crl\"\nstatus = \"fine\""),
            9,
            "status",
        ),
    ] {
        let mistake = mistake(&text);
        assert_eq!(mistake["line"], line, "{text}\n{mistake}");
        let found = mistake["key"].as_str().unwrap_or_default();
        assert!(found.ends_with(key), "{text}\n{mistake}");
    }
}

#[test]
fn the_examples_of_the_documentation_are_suites() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, begin) in [
        ("host/suite/README.md", "# suite.toml"),
        (
            "README.md",
            "chain = [\"ca-chain\"]\n\n[policies.ca-chain]\nassets = { anchors = { certificates",
        ),
    ] {
        let text = std::fs::read_to_string(repository.join(file)).unwrap();
        let example = &text[text.find(begin).expect(file)..];
        let suite = read(&example[..example.find("```").expect("an end")]).unwrap();
        assert!(suite.cases().iter().all(|case| case.expectation.is_some()), "{file}");
    }
}

#[test]
fn a_suite_without_a_chain_or_without_a_case_says_what_is_missing() {
    assert_eq!(mistake("")["key"], "chain");
    assert_eq!(mistake("chain = [\"a\"]")["key"], "case");
}

#[test]
fn a_file_with_a_chain_of_certificates_is_refused_and_one_certificate_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let validity = portcullis_pki::Validity { not_before: 0, not_after: 1 };
    let profile = portcullis_pki::Profile::authority("Root", validity);
    let root = portcullis_pki::Authority::root(&profile).unwrap();
    let pem = root.certificate_pem();
    std::fs::write(folder.path().join("one.pem"), format!("text around it\n{pem}")).unwrap();
    std::fs::write(folder.path().join("one.der"), root.certificate_der()).unwrap();
    std::fs::write(folder.path().join("two.pem"), format!("{pem}{pem}")).unwrap();
    std::fs::write(folder.path().join("none.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let read = |file: &str| {
        let text = format!(
            "chain = [\"a\"]\n[certificates.x]\nfile = \"{file}\"\n[[case]]\nname = \"c\"\npresent = \"x\"\n"
        );
        let path = folder.path().join("suite.toml");
        std::fs::write(&path, text).unwrap();
        Suite::read(&path)
    };
    for file in ["one.pem", "one.der"] {
        assert_eq!(read(file).unwrap().certificate("x"), Some(root.certificate_der()), "{file}");
    }
    for file in ["two.pem", "none.pem", "three.pem"] {
        let mistake = serde_json::to_value(read(file).expect_err(file)).unwrap();
        assert_eq!(mistake["line"], 3);
    }
}

#[test]
fn suites_are_found_in_folders_by_their_names_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in
        ["b/suite.toml", "a/x.suite.toml", "a/other.toml", ".git/suite.toml", "target/suite.toml"]
    {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let path = |name: &str| folder.path().join(name);
    let found = find_suites(&[path(""), path("a/x.suite.toml")]).unwrap();
    assert_eq!(found, [path("a/x.suite.toml"), path("b/suite.toml")]);
    assert!(find_suites(&[path("nowhere")]).is_err());
    assert!(find_suites(&[path(".git/objects")]).is_err());
    std::fs::create_dir(path("empty")).unwrap();
    assert!(find_suites(&[path("empty")]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_reading_a_suite_panic(text in any::<String>()) {
        let _ = read(&text);
    }

    /// What is nearly a suite gets further than what is none.
    #[test]
    fn no_change_to_a_suite_makes_reading_it_panic(
        changes in proptest::collection::vec((0..DESCRIBED.len(), 0..40_usize, "[ -~\\n]{0,6}"), 1..4)
    ) {
        let mut text = DESCRIBED.to_owned();
        for (start, length, new) in changes {
            let start = start.min(text.len());
            text.replace_range(start..(start + length).min(text.len()), &new);
        }
        let _ = read(&text);
    }

    #[test]
    fn no_value_of_a_description_makes_making_it_panic(
        value in any::<String>(), oid in "[0-9.]{0,30}", hex in "[0-9a-f]{0,50}", time in "[+-][0-9]{0,12}[smhd]"
    ) {
        let quoted = toml::Value::String(value).to_string();
        let _ = read(&format!(
            "chain = [\"a\"]\n[certificates.x]\nsubject = {{ common-name = {quoted}, country = {quoted}, \"{oid}\" = {quoted} }}\n\
             [certificates.y]\ndns = [{quoted}]\nemail = [{quoted}]\nuri = [{quoted}]\n\
             [certificates.z]\nextensions = [{{ oid = \"{oid}\", value = \"{hex}\" }}]\nextended-key-usage = [\"{oid}\"]\n\
             [certificates.t]\nserial-number = \"{hex}\"\nnot-before = \"{time}\"\nnot-after = \"{time}\"\n\
             [[case]]\nname = {quoted}\npresent = \"x\"\n"
        ));
        let _ = read(&format!("chain = [\"a\"]\n[certificates.{quoted}]\nissuer = {quoted}\n[[case]]\nname = \"c\"\npresent = {quoted}\n"));
    }
}
