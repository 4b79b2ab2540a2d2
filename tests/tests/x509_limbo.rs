//! The cases of C2SP/x509-limbo that `tests/data/x509-limbo` has, through the real components.
//!
//! The suite is mostly about servers, so each case is asked with the extended key usage that it is about. What it
//! expects of the name of a server has no like among clients; those cases are run too, and stand in the ledger.
#![allow(clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::path::Path;
use std::sync::Arc;

use portcullis_engine::{Clock, Revocation, Timestamp};
use portcullis_revocation::{CrlOptions, RevocationChecker, RevocationOptions};
use portcullis_tests::judge::NOW;
use portcullis_tests::ledger::{Answer, Expected, Ledger, Run};
use portcullis_tests::suite::{Suite, ask, rejected};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The suite gives no other limit than `max_chain_depth`, so elsewhere ours is as wide as it can be.
const MAXIMUM_INTERMEDIATES: u32 = 15;

#[derive(Deserialize)]
struct Limbo {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    validation_kind: Kind,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    extended_key_usage: Vec<String>,
    expected_result: Expectation,
    max_chain_depth: Option<u32>,
    crls: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Client,
    Server,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Expectation {
    Failure,
    Success,
}

#[test]
fn each_case_of_x509_limbo_comes_out_as_expected_or_as_the_ledger_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/x509-limbo/limbo.json");
    let text = std::fs::read_to_string(&path).expect("the suite is in the repository");
    let limbo: Limbo = serde_json::from_str(&text).expect("the suite's own format");
    let suite = Suite::new();
    let runs: Vec<Run> = limbo
        .testcases
        .into_iter()
        .map(|case| Run {
            expected: match case.expected_result {
                Expectation::Failure => Expected::Reject,
                Expectation::Success => Expected::Accept,
            },
            answer: case.ask(&suite),
            case: case.id,
        })
        .collect();
    Ledger::read("x509-limbo").check(&runs);
}

impl Case {
    fn ask(&self, suite: &Suite) -> Answer {
        let time = self.time();
        let directory = TempDir::new().expect("a directory");
        let crls = (!self.crls.is_empty()).then(|| checker(&self.crls, time, directory.path()));
        let settings = json!({
            "extended-key-usages": self.usages(),
            "maximum-intermediates": self.max_chain_depth.unwrap_or(MAXIMUM_INTERMEDIATES),
        });
        let chain = match suite.chain(&self.trusted_certs.concat(), &settings, crls) {
            Ok(chain) => chain,
            // Of such anchors no gate is made, and who is not let in is refused.
            Err(error) => return rejected("no-anchor", &error.to_string()),
        };
        let certificates =
            [&self.peer_certificate].into_iter().chain(&self.untrusted_intermediates);
        let certificates = certificates.map(|pem| {
            CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM").as_ref().to_vec()
        });
        ask(&chain, certificates.collect(), time)
    }

    /// In whole seconds, as the contract has it.
    fn time(&self) -> Timestamp {
        self.validation_time.as_deref().map_or(NOW, |text| {
            OffsetDateTime::parse(text, &Rfc3339).expect("RFC 3339").unix_timestamp()
        })
    }

    fn usages(&self) -> Vec<&str> {
        match (self.extended_key_usage.as_slice(), self.validation_kind) {
            ([], Kind::Client) => vec!["clientAuth"],
            ([], Kind::Server) => vec!["serverAuth"],
            (usages, _) => usages.iter().map(String::as_str).collect(),
        }
    }
}

fn checker(crls: &[String], time: Timestamp, directory: &Path) -> Arc<dyn Revocation> {
    let files = crls.iter().enumerate().map(|(index, crl)| {
        let path = directory.join(format!("{index}.crl"));
        std::fs::write(&path, crl).expect("a file");
        path
    });
    let crl = CrlOptions { files: files.collect(), ..CrlOptions::default() };
    let options = RevocationOptions { crl, ..RevocationOptions::default() };
    let clock = Clock::fixed(time);
    Arc::new(RevocationChecker::start(options, clock).expect("files need no start"))
}
