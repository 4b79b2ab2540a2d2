//! The odd-numbered tests of NIST's Public Key Interoperability Test Suite, through the real components.
//!
//! Each is a certificate whose file name says what is to come out. Its path is left to be found: the client sends
//! every CA certificate that could be above its own. Every CRL of the suite is at hand, and every certificate is asked
//! about, as the suite wants it. The certificates have no extended key usage, so that relaxation is on.
#![allow(clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::{Certificate, Chain, Clock, Revocation};
use portcullis_revocation::{CrlOptions, RevocationChecker, RevocationOptions};
use portcullis_tests::client::peers;
use portcullis_tests::judge::NOW;
use portcullis_tests::ledger::{Expected, Ledger, Run, report};
use portcullis_tests::suite::{Suite, ask};
use serde_json::json;

const ANCHOR: &str = "TrustAnchorRootCertificate";

/// What the names of the tests of certificate policies have in them (sections 4.8 to 4.12 of the suite). Portcullis
/// does not process certificate policies (RFC 5280, 6.1.2): what a certificate is for is said by its extended key
/// usages and by the chain of policies, in its own sense of the word.
const ABOUT_CERTIFICATE_POLICIES: [&str; 3] = ["Mapping", "Polic", "Qualifier"];

#[test]
fn each_test_of_pkits_comes_out_as_expected_or_as_the_ledger_has_it() {
    let pkits = Pkits::read();
    let chain = pkits.chain();
    let (aside, tests): (Vec<&String>, Vec<&String>) =
        pkits.tests().partition(|name| is_about_certificate_policies(name));
    let runs: Vec<Run> = tests.iter().map(|name| pkits.run(&chain, name)).collect();

    report(aside.iter().map(|name| format!("{name}: set aside, about certificate policies")));
    report([format!("{} tests are set aside", aside.len())]);
    Ledger::read("pkits").check(&runs);
    let accepted_though_invalid = runs.iter().filter(|run| run.is_accepted_against_the_suite());
    assert_eq!(accepted_though_invalid.count(), 0, "no ledger excuses an acceptance");
}

/// The suite's certificates by file name.
struct Pkits {
    folder: PathBuf,
    certificates: BTreeMap<String, Certificate>,
}

impl Pkits {
    fn read() -> Self {
        let folder = peers().pkits();
        assert!(folder.exists(), "{} is missing: `cargo xtask test` fetches it", folder.display());
        let certificates = files(&folder.join("certs")).into_iter().map(|path| {
            let der = std::fs::read(&path).expect("a file");
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            (name, Certificate::from_der(der).expect("a certificate"))
        });
        Self { certificates: certificates.collect(), folder }
    }

    /// The odd-numbered ones.
    fn tests(&self) -> impl Iterator<Item = &String> {
        self.certificates.keys().filter(|name| number(name).is_some_and(|number| number % 2 == 1))
    }

    fn chain(&self) -> Chain {
        let crl = CrlOptions { files: files(&self.folder.join("crls")), ..CrlOptions::default() };
        let options = RevocationOptions { crl, ..RevocationOptions::default() };
        let checker = RevocationChecker::start(options, Clock::fixed(NOW));
        let crls: Arc<dyn Revocation> = Arc::new(checker.expect("files need no start"));
        let anchor = self.certificates[ANCHOR].der();
        let settings =
            json!({ "allow-absent-extended-key-usage": true, "maximum-intermediates": 15 });
        Suite::new().chain(&pem(anchor), &settings, Some(crls)).expect("a chain")
    }

    fn run(&self, chain: &Chain, name: &str) -> Run {
        let expected = if name.starts_with("Valid") { Expected::Accept } else { Expected::Reject };
        let leaf = &self.certificates[name];
        let certificates = std::iter::once(leaf).chain(self.authorities_above(leaf));
        let answer = ask(chain, certificates.map(|one| one.der().to_vec()).collect(), NOW);
        Run { case: name.to_owned(), expected, answer }
    }

    /// The CA certificates on all ways from a certificate to the anchor.
    fn authorities_above(&self, leaf: &Certificate) -> Vec<&Certificate> {
        let mut above: Vec<&Certificate> = Vec::new();
        let mut next = 0;
        let mut child = leaf;
        loop {
            let issuers = self.authorities().filter(|one| could_have_issued(one, child));
            for issuer in issuers {
                if !above.iter().any(|one| one.sha256() == issuer.sha256()) {
                    above.push(issuer);
                }
            }
            let Some(authority) = above.get(next) else { return above };
            child = authority;
            next += 1;
        }
    }

    fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        let all = self.certificates.iter();
        all.filter(|(name, _)| *name != ANCHOR && number(name).is_none()).map(|(_, one)| one)
    }
}

/// By its name and by the identifier of its key, where both are known (RFC 5280, 4.2.1.1 and 4.2.1.2).
fn could_have_issued(authority: &Certificate, child: &Certificate) -> bool {
    let wanted = child.extension("2.5.29.35");
    // Within the OCTET STRING.
    let key = authority.extension("2.5.29.14").and_then(|der| der.get(2..));
    let same_key = match (wanted, key) {
        (Some(wanted), Some(key)) => wanted.windows(key.len()).any(|bytes| bytes == key),
        _ => true,
    };
    same_key && folded(&authority.subject()) == folded(&child.issuer())
}

/// The number of a test, by its name: of `ValidTwoCRLsTest7EE`, 7. The names of CA certificates have none.
fn number(name: &str) -> Option<u32> {
    let (_, number) = name.strip_suffix("EE")?.rsplit_once("Test")?;
    number.parse().ok()
}

fn is_about_certificate_policies(name: &str) -> bool {
    ABOUT_CERTIFICATE_POLICIES.iter().any(|word| name.contains(word))
}

/// A name without what its comparison may pass over, and more: whether two names are the same is for what is tested.
fn folded(name: &str) -> String {
    name.chars().filter(|one| one.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}
