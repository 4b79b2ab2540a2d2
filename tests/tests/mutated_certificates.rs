//! Certificates with garbage in every place of their DER: never a panic of the host, never a failure of a policy, and
//! never an acceptance.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Asset, Certificate, Chain, Engine, EngineOptions, Member, NotConfigured, Outcome, Policy,
    PolicyLimits, PolicySource, Step,
};
use portcullis_pki::{
    AltName, Authority, Extension, KeyType, NameConstraint, PathLength, Profile, oid,
};
use portcullis_tests::der::{Content, Element};
use portcullis_tests::{gate, judge};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

const CASES: u32 = 100_000;

/// One change. Where it goes is drawn before it is known what there is.
#[derive(Clone, Debug)]
enum Mutation {
    /// An element has this content.
    Content(Index, Vec<u8>),
    /// An element has this tag.
    Tag(Index, u8),
    /// An element is left out.
    Removed(Index),
    /// An element stands twice.
    Repeated(Index),
    /// A byte has other bits, lengths and tags included.
    Flipped(Index, u8),
    /// The end is missing.
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let garbage = prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => vec(any::<u8>(), 40..2000),
        // What parsers stumble over: nothing, ends of ranges, lengths that lie, text that is none.
        2 => select(EDGES).prop_map(<[u8]>::to_vec),
    ];
    prop_oneof![
        8 => (any::<Index>(), garbage).prop_map(|(at, content)| Mutation::Content(at, content)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, tag)| Mutation::Tag(at, tag)),
        1 => any::<Index>().prop_map(Mutation::Removed),
        1 => any::<Index>().prop_map(Mutation::Repeated),
        3 => (any::<Index>(), 1..=u8::MAX).prop_map(|(at, bits)| Mutation::Flipped(at, bits)),
        1 => any::<Index>().prop_map(Mutation::Cut),
    ]
}

const EDGES: &[&[u8]] = &[
    b"",
    b"\0",
    b"\xff",
    b"\x80\0\0\0\0\0\0\0\0",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x80",
    b"\x05\0",
    b"\x06\x01\x80",
    b"\x06\0",
    b"99991231235959Z",
    b"000000000000Z",
    b"-1",
    b"\xc3\x28",
    b"\xd8\0",
    b"a\0b",
];

fn mutated(original: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut element = Element::parse(original).unwrap();
    for mutation in mutations {
        mutate_element(&mut element, mutation);
    }
    let mut der = element.encode();
    for mutation in mutations {
        match mutation {
            Mutation::Flipped(at, bits) => {
                let at = at.index(der.len());
                der[at] ^= bits;
            }
            Mutation::Cut(at) => der.truncate(at.index(der.len()).max(1)),
            _ => {}
        }
    }
    der
}

fn mutate_element(whole: &mut Element, mutation: &Mutation) {
    let (Mutation::Content(at, _)
    | Mutation::Tag(at, _)
    | Mutation::Removed(at)
    | Mutation::Repeated(at)) = mutation
    else {
        return;
    };
    let element = whole.at(at.index(whole.count())).unwrap();
    match (mutation, &mut element.content) {
        (Mutation::Content(_, content), _) => element.content = Content::Bytes(content.clone()),
        (Mutation::Tag(_, tag), _) => element.tag = *tag,
        (Mutation::Removed(_), Content::Elements(elements)) => drop(elements.pop()),
        (Mutation::Removed(_), Content::Bytes(bytes)) => bytes.clear(),
        (Mutation::Repeated(_), Content::Elements(elements)) => {
            elements.extend(elements.first().cloned());
        }
        (Mutation::Repeated(_), Content::Bytes(bytes)) => bytes.extend(bytes.clone()),
        _ => {}
    }
}

/// A root, certificates that it or its intermediate issued, with every kind of field, and the intermediate.
struct Originals {
    anchor_pem: String,
    leaves: Vec<Vec<u8>>,
    intermediate: Vec<u8>,
    below_intermediate: Vec<u8>,
}

impl Originals {
    fn new() -> Self {
        let root = Authority::root(&Profile::authority("Root", judge::VALIDITY)).unwrap();
        let mut profile = Profile::authority("Intermediate", judge::VALIDITY);
        profile.ca = Some(PathLength::AtMost(0));
        profile.permitted_names = vec![NameConstraint::Dns("example.org".to_owned())];
        profile.excluded_names =
            vec![NameConstraint::Ip { address: [10, 0, 0, 0].into(), prefix: 8 }];
        let intermediate = root.intermediate(&profile).unwrap();
        let keys = [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa2048];
        let leaves = keys.map(|key| root.issue(&rich(key)).unwrap().certificate_der);
        Self {
            anchor_pem: root.certificate_pem(),
            leaves: leaves.to_vec(),
            intermediate: intermediate.certificate_der().to_vec(),
            below_intermediate: intermediate.issue(&rich(KeyType::P256)).unwrap().certificate_der,
        }
    }

    /// The chain that a client sends, with one of its certificates mutated: that one, and the whole chain.
    fn chain(&self, which: Index, mutations: &[Mutation]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let count = self.leaves.len();
        match which.index(count + 2) {
            leaf if leaf < count => {
                let der = mutated(&self.leaves[leaf], mutations);
                (der.clone(), vec![der])
            }
            place if place == count => {
                let der = mutated(&self.below_intermediate, mutations);
                (der.clone(), vec![der, self.intermediate.clone()])
            }
            _ => {
                let der = mutated(&self.intermediate, mutations);
                (der.clone(), vec![self.below_intermediate.clone(), der])
            }
        }
    }

    fn are(&self, der: &[u8]) -> bool {
        let all = self.leaves.iter().chain([&self.intermediate, &self.below_intermediate]);
        all.into_iter().any(|original| original == der)
    }
}

fn rich(key: KeyType) -> Profile {
    let mut profile = Profile { key, ..Profile::client("alice", judge::VALIDITY) };
    profile.subject.push((oid::ORGANIZATION.to_owned(), "Example, Inc. <é>".to_owned()));
    profile.subject.push((oid::COUNTRY.to_owned(), "NL".to_owned()));
    profile.alt_names = vec![
        AltName::Dns("alice.example.org".to_owned()),
        AltName::Uri("spiffe://example.org/alice".to_owned()),
        AltName::Ip([192, 0, 2, 1].into()),
        AltName::Email("alice@example.org".to_owned()),
    ];
    let value = vec![0x30, 0x05, 0x0c, 0x03, b'a', b'b', b'c'];
    profile.extensions = vec![Extension { oid: "1.2.3.4.5".to_owned(), critical: false, value }];
    profile
}

/// `pin-list` in shadow mode, so that it looks at all that `ca-chain` then decides on.
fn chain(anchor_pem: &str) -> Chain {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let member = |name: &str, asset: &str, content: &[u8], shadow| {
        let limits = PolicyLimits { deadline: Duration::from_secs(60), ..PolicyLimits::default() };
        let source = PolicySource {
            name: name.to_owned(),
            component: gate::component(name),
            settings: "{}".to_owned(),
            assets: vec![Asset { name: asset.to_owned(), content: content.to_vec() }],
            limits,
        };
        Step::One(Member { policy: Arc::new(Policy::load(&engine, source).unwrap()), shadow })
    };
    let steps = vec![
        member("pin-list", "pins", b"", true),
        member("ca-chain", "anchors", anchor_pem.as_bytes(), false),
    ];
    Chain::new(steps, Arc::new(NotConfigured)).unwrap()
}

#[test]
fn a_certificate_that_nobody_mutated_is_accepted() {
    let originals = Originals::new();
    let chain = chain(&originals.anchor_pem);
    let below = vec![originals.below_intermediate.clone(), originals.intermediate.clone()];
    for sent in originals.leaves.iter().map(|leaf| vec![leaf.clone()]).chain([below]) {
        let parsed = sent.into_iter().map(|der| Certificate::from_der(der).unwrap()).collect();
        judge_all(&chain, parsed, true).unwrap();
    }
}

#[test]
fn a_mutated_certificate_is_refused_and_neither_host_nor_policy_fails_over_it() {
    let originals = Originals::new();
    let chain = chain(&originals.anchor_pem);
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let strategy = (any::<Index>(), vec(mutation(), 1..4));
    let result = runner.run(&strategy, |(which, mutations)| {
        let (der, sent) = originals.chain(which, &mutations);
        read_all(&der);
        let parsed: Result<Vec<Certificate>, _> =
            sent.into_iter().map(Certificate::from_der).collect();
        if let Ok(parsed) = parsed {
            judge_all(&chain, parsed, originals.are(&der))?;
        }
        Ok(())
    });
    result.unwrap();
}

/// Asks for all that a policy may ask for.
fn read_all(der: &[u8]) {
    let Ok(certificate) = Certificate::from_der(der.to_vec()) else { return };
    assert_eq!(certificate.der(), der);
    let _ = (certificate.serial_number(), certificate.subject(), certificate.issuer());
    let _ = (certificate.subject_names().count(), certificate.issuer_names().count());
    let _ = (certificate.not_before(), certificate.not_after(), certificate.is_ca());
    let _ = (certificate.subject_alt_names(), certificate.claimed_spiffe_id());
    let _ = (certificate.public_key(), certificate.signature_algorithm(), certificate.sha256());
    let _ = (certificate.key_usages(), certificate.extended_key_usages());
    let _ = (certificate.extension("2.5.29.17"), certificate.extension("1.2.3.4.5"));
}

fn judge_all(
    chain: &Chain,
    certificates: Vec<Certificate>,
    unchanged: bool,
) -> Result<(), TestCaseError> {
    let decision = chain.decide(&judge::handshake_with(certificates));
    for report in &decision.policies {
        prop_assert!(!matches!(report.outcome, Outcome::Failed { .. }), "{decision:?}");
    }
    // A mutation may be none: the same byte, the same content.
    prop_assert_eq!(decision.is_accepted(), unchanged, "{:?}", decision);
    Ok(())
}
