//! Components that were built once against a released version of the contract, and never again: they still load and judge.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use portcullis_engine::{
    Asset, Certificate, Decision, Engine, EngineOptions, Handshake, Metering, Policy, PolicyLimits,
    PolicySource, Preparation, RecordedAnswers, Revocation, RevocationStatus, Verdict, sha256,
};
use portcullis_pki::{AltName, Authority, Profile, oid};
use portcullis_tests::judge::{self, VALIDITY};
use serde::Deserialize;

#[derive(Deserialize)]
struct Index {
    component: Vec<Kept>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kept {
    file: String,
    sha256: String,
    source: Vec<String>,
    source_sha256: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/1.0.0")
}

fn read(file: &str) -> Vec<u8> {
    let path = folder().join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha256(bytes))
}

#[test]
fn what_is_kept_is_as_it_was() {
    let index = String::from_utf8(read("components.toml")).unwrap();
    let index: Index = toml::from_str(&index).unwrap();
    for kept in &index.component {
        assert_eq!(hexadecimal(&read(&kept.file)), kept.sha256, "{} was changed", kept.file);
        assert_eq!(kept.source_sha256.len(), 64, "{}", kept.file);
        // A source that is kept beside its component does not change either.
        if let [source] = kept.source.as_slice() {
            let source = source.strip_prefix("tests/compat/1.0.0/").unwrap();
            assert_eq!(hexadecimal(&read(source)), kept.source_sha256, "{source} was changed");
        }
    }
    let mut listed: Vec<_> = index.component.iter().map(|kept| kept.file.clone()).collect();
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut found: Vec<_> = files
        .map(|name| name.into_string().unwrap())
        .filter(|name| name.ends_with(".wasm"))
        .collect();
    listed.sort();
    found.sort();
    assert_eq!(found, listed);
}

/// A client of one authority, with a SPIFFE ID and an organisational unit.
struct Client {
    anchors: String,
    leaf: Vec<u8>,
}

impl Client {
    fn of(authority: &str) -> Self {
        let authority = Authority::root(&Profile::authority(authority, VALIDITY)).unwrap();
        let mut profile = Profile::client("alice", VALIDITY);
        profile.subject.push((oid::ORGANIZATIONAL_UNIT.to_owned(), "Billing".to_owned()));
        profile.alt_names = vec![AltName::Uri("spiffe://example.org/agent/alice".to_owned())];
        let leaf = authority.issue(&profile).unwrap().certificate_der;
        Self { anchors: authority.certificate_pem(), leaf }
    }

    fn handshake(&self) -> Handshake {
        judge::handshake_with(vec![Certificate::from_der(self.leaf.clone()).unwrap()])
    }

    fn pin(&self) -> String {
        let leaf = Certificate::from_der(self.leaf.clone()).unwrap();
        format!("spki-sha256 {}\n", HEXLOWER.encode(&leaf.public_key().spki_sha256))
    }
}

/// What a kept component is given.
struct Setup {
    settings: &'static str,
    asset: Option<(&'static str, String)>,
    status: RevocationStatus,
}

/// A kept component, with what lets the client in and what keeps it out.
struct Case {
    file: &'static str,
    preparation: Preparation,
    accepts: Setup,
    rejects: Setup,
    code: &'static str,
}

fn cases(client: &Client) -> Vec<Case> {
    let stranger = Client::of("Another root");
    let asset = |name, content: String| Setup {
        settings: "{}",
        asset: Some((name, content)),
        status: RevocationStatus::Good,
    };
    let anchors = |client: &Client| asset("anchors", client.anchors.clone());
    let bundle = |domain| asset("bundles", format!("spiffe://{domain}\n{}", client.anchors));
    let unit = |settings| Setup { settings, asset: None, status: RevocationStatus::Good };
    let rust = |file, accepts, rejects, code| Case {
        file,
        preparation: Preparation::Snapshot,
        accepts,
        rejects,
        code,
    };
    let revoked = Setup { status: RevocationStatus::Revoked, ..anchors(client) };
    vec![
        rust("ca-chain.wasm", anchors(client), anchors(&stranger), "unknown-issuer"),
        rust(
            "pin-list.wasm",
            asset("pins", client.pin()),
            asset("pins", stranger.pin()),
            "not-pinned",
        ),
        rust("revocation.wasm", anchors(client), revoked, "revoked"),
        rust(
            "spiffe-id.wasm",
            bundle("example.org"),
            bundle("partner.example"),
            "unknown-trust-domain",
        ),
        Case {
            file: "unit.wasm",
            preparation: Preparation::ReadyAhead,
            accepts: unit(r#"{ "unit": "Billing" }"#),
            rejects: unit(r#"{ "unit": "Support" }"#),
            code: "other-unit",
        },
    ]
}

fn engine(metering: Metering) -> Engine {
    let options = EngineOptions { metering, quick_loading: true, ..EngineOptions::default() };
    Engine::new(options).unwrap()
}

fn load(engine: &Engine, file: &str, setup: &Setup) -> Arc<Policy> {
    let asset = setup.asset.iter().map(|(name, content)| Asset {
        name: (*name).to_owned(),
        content: content.clone().into_bytes(),
    });
    let source = PolicySource {
        name: file.to_owned(),
        component: read(file),
        settings: setup.settings.to_owned(),
        assets: asset.collect(),
        limits: PolicyLimits { deadline: Duration::from_secs(60), ..PolicyLimits::default() },
    };
    Arc::new(Policy::load(engine, source).unwrap())
}

fn decide(policy: &Arc<Policy>, setup: &Setup, handshake: &Handshake) -> Decision {
    let answers: Arc<dyn Revocation> = Arc::new(RecordedAnswers::default().otherwise(setup.status));
    judge::alone(policy).decide_with(handshake, &answers)
}

#[test]
fn what_was_built_against_1_0_0_loads_and_judges_alike_by_time_and_by_work() {
    let client = Client::of("Root");
    let handshake = client.handshake();
    let engines = [Metering::Time, Metering::Fuel].map(engine);
    for case in cases(&client) {
        let [by_time, by_work] = engines.each_ref().map(|engine| {
            [&case.accepts, &case.rejects].map(|setup| {
                let policy = load(engine, case.file, setup);
                assert_eq!(policy.preparation(), case.preparation, "{}", case.file);
                let decision = decide(&policy, setup, &handshake);
                (decision.verdict, decision.policies[0].memory_bytes)
            })
        });
        assert_eq!(judge::code(&by_time[0].0), None, "{}: {:?}", case.file, by_time[0]);
        assert_eq!(judge::code(&by_time[1].0), Some(case.code), "{}", case.file);
        assert_eq!(by_time, by_work, "{}", case.file);
    }
}

/// The clock that QuickJS imports of WASI is the handshake's.
#[test]
fn the_one_in_javascript_sees_the_handshake_s_time() {
    let client = Client::of("Root");
    let engine = engine(Metering::Time);
    let case = cases(&client).pop().unwrap();
    let policy = load(&engine, case.file, &case.accepts);
    match decide(&policy, &case.accepts, &client.handshake()).verdict {
        Verdict::Accept(identity) => {
            let attributes: Vec<_> = identity
                .attributes
                .iter()
                .map(|one| (one.name.as_str(), one.value.as_str()))
                .collect();
            assert_eq!(attributes, [("unit", "Billing"), ("clock", "0")]);
        }
        Verdict::Reject(rejection) => panic!("{rejection:?}"),
    }
}
