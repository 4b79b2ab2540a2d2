//! Asks the real components about the certificates of a suite.

use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Asset, Certificate, Chain, Engine, EngineOptions, Handshake, LoadError, Member, NotConfigured,
    Policy, PolicyLimits, PolicySource, Revocation, Step, Timestamp, Verdict,
};
use serde_json::Value;

use crate::gate;
use crate::ledger::Answer;

/// The components, read once.
pub struct Suite {
    engine: Engine,
    ca_chain: Vec<u8>,
    revocation: Vec<u8>,
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// Reads the components.
    #[must_use]
    pub fn new() -> Self {
        Self {
            engine: Engine::new(EngineOptions::default()).expect("an engine"),
            ca_chain: gate::component("ca-chain"),
            revocation: gate::component("revocation"),
        }
    }

    /// `ca-chain` with these anchors, a PEM bundle, and these settings; then, with CRLs, `revocation`.
    ///
    /// # Errors
    /// A policy does not take its configuration: such a gate does not start.
    pub fn chain(
        &self,
        anchors: &str,
        settings: &Value,
        crls: Option<Arc<dyn Revocation>>,
    ) -> Result<Chain, LoadError> {
        let load = |name: &str, component: &[u8], settings: String| {
            let assets =
                vec![Asset { name: "anchors".to_owned(), content: anchors.as_bytes().to_vec() }];
            // A suite is about verdicts; how long one may take on a busy machine is for other tests.
            let limits =
                PolicyLimits { deadline: Duration::from_secs(60), ..PolicyLimits::default() };
            let component = component.to_vec();
            let source =
                PolicySource { name: name.to_owned(), component, settings, assets, limits };
            let policy = Policy::load(&self.engine, source)?;
            Ok(Step::One(Member { policy: Arc::new(policy), shadow: false }))
        };
        let mut steps = vec![load("ca-chain", &self.ca_chain, settings.to_string())?];
        if crls.is_some() {
            let settings = r#"{ "sources": ["crl"] }"#.to_owned();
            steps.push(load("revocation", &self.revocation, settings)?);
        }
        let revocation = crls.unwrap_or_else(|| Arc::new(NotConfigured));
        Ok(Chain::new(steps, revocation).expect("two policies of different names are a chain"))
    }
}

/// What a chain of policies answers a client that comes with these certificates, in DER, its own first.
#[must_use]
pub fn ask(chain: &Chain, certificates: Vec<Vec<u8>>, time: Timestamp) -> Answer {
    let parsed: Result<Vec<Arc<Certificate>>, _> =
        certificates.into_iter().map(|der| Certificate::from_der(der).map(Arc::new)).collect();
    let certificates = match parsed {
        Ok(certificates) => certificates,
        // As the gate does, which asks no policy then.
        Err(error) => return rejected("bad-certificate", &error.to_string()),
    };
    let handshake = Handshake {
        chain: certificates,
        time,
        peer_address: ([192, 0, 2, 1], 49152).into(),
        server_name: None,
    };
    match chain.decide(&handshake).verdict {
        Verdict::Accept(_) => Answer::Accepted,
        Verdict::Reject(rejection) => rejected(&rejection.code, &rejection.detail),
    }
}

/// A rejection.
#[must_use]
pub fn rejected(code: &str, detail: &str) -> Answer {
    Answer::Rejected { code: code.to_owned(), detail: detail.to_owned() }
}
