//! Short ways to load a policy and to ask it.

use std::sync::Arc;

use portcullis_engine::{
    Certificate, Chain, Engine, Handshake, LoadError, Member, NotConfigured, Policy, PolicyLimits,
    PolicySource, Step, Verdict,
};
use portcullis_pki::{Authority, Profile, Validity};

/// The time at which the tests of the engine judge.
pub const NOW: i64 = 1_795_000_000;
/// A validity around [`NOW`].
pub const VALIDITY: Validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };

/// Loads a component under its name, without settings or assets.
///
/// # Errors
/// As [`Policy::load`].
pub fn load(
    engine: &Engine,
    name: &str,
    component: Vec<u8>,
    limits: PolicyLimits,
) -> Result<Arc<Policy>, LoadError> {
    let settings = "{}".to_owned();
    let source =
        PolicySource { name: name.to_owned(), component, settings, assets: Vec::new(), limits };
    Policy::load(engine, source).map(Arc::new)
}

/// A chain of one policy.
#[must_use]
pub fn alone(policy: &Arc<Policy>) -> Chain {
    let member = Member { policy: Arc::clone(policy), shadow: false };
    Chain::new(vec![Step::One(member)], Arc::new(NotConfigured)).expect("one policy is a chain")
}

/// The DER of a client's certificate, of an authority that is gone.
#[must_use]
pub fn certificate() -> Vec<u8> {
    let authority = Authority::root(&Profile::authority("Test root", VALIDITY)).expect("a root");
    authority.issue(&Profile::client("alice", VALIDITY)).expect("a certificate").certificate_der
}

/// A handshake of a client with one certificate.
#[must_use]
pub fn handshake() -> Handshake {
    handshake_with(vec![Certificate::from_der(certificate()).expect("our own certificate")])
}

/// A handshake of a client with these certificates, its own first.
#[must_use]
pub fn handshake_with(chain: Vec<Certificate>) -> Handshake {
    Handshake {
        chain: chain.into_iter().map(Arc::new).collect(),
        time: NOW,
        peer_address: ([192, 0, 2, 1], 49152).into(),
        server_name: Some("gate.example".to_owned()),
    }
}

/// The code of a rejection; nothing for an acceptance.
#[must_use]
pub fn code(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Accept(_) => None,
        Verdict::Reject(rejection) => Some(&rejection.code),
    }
}
