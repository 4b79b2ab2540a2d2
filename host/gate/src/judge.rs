//! Asks the judge about a client, and makes sure that the answer is always a decision.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_engine::{
    Certificate, Clock, Decision, Handshake, MAXIMUM_CERTIFICATES, Rejection, Verdict,
};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::connection::Connection;
use crate::live::{Cause, Concern, LiveConnections};

/// Says whether a client may come in.
///
/// Asked once for each handshake, before the client has proved that it has the key: an accepting
/// decision counts only once the handshake is complete. May take its time, and must not wait for
/// anything that another handshake brings about.
pub trait Judge: Send + Sync + 'static {
    /// Decides on this handshake. The chain holds at least one certificate.
    fn decide(&self, handshake: &Handshake) -> Decision;

    /// Decides again about a client that came in before; the handshake's time is now.
    ///
    /// Asked on a thread that serves all such clients, one after the other, so do not wait for what is on its way: a
    /// rejection for which a revocation answer was pending is not taken for final, and the judge is asked again a little
    /// later. Default: as [`Judge::decide`].
    fn decide_again(&self, handshake: &Handshake) -> Decision {
        self.decide(handshake)
    }

    /// What is to be held for as long as a client is here by this decision, and no longer: what has the answers kept
    /// fresh that it rests on, for instance. Default: nothing.
    fn hold(&self, decision: &Decision) -> Option<Box<dyn Send>> {
        let _ = decision;
        None
    }
}

impl<F: Fn(&Handshake) -> Decision + Send + Sync + 'static> Judge for F {
    fn decide(&self, handshake: &Handshake) -> Decision {
        self(handshake)
    }
}

/// Replaces a gate's judge while it runs.
#[derive(Clone)]
pub struct JudgeSwap(Arc<Examiner>);

impl JudgeSwap {
    /// Takes effect from the next decision on, and has every client that is inside judged again.
    pub fn replace(&self, judge: Arc<dyn Judge>) {
        self.0.judge.store(Arc::new(judge));
        self.0.live.judge_again(Cause::Policies, |_| Concern::Possibly);
    }
}

/// The judge, and what it needs besides the client.
pub(crate) struct Examiner {
    judge: ArcSwap<Arc<dyn Judge>>,
    clock: Clock,
    live: LiveConnections,
}

/// A decision, and the certificates it is about.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    /// Leaf first. When one does not parse, those before it.
    pub(crate) certificates: Vec<Arc<Certificate>>,
    pub(crate) decision: Arc<Decision>,
    /// What [`LiveConnections::changes`] was before it was decided.
    pub(crate) changes: u64,
}

impl Examiner {
    pub(crate) fn new(judge: Arc<dyn Judge>, clock: Clock, live: LiveConnections) -> Self {
        Self { judge: ArcSwap::from_pointee(judge), clock, live }
    }

    pub(crate) fn swap(self: &Arc<Self>) -> JudgeSwap {
        JudgeSwap(Arc::clone(self))
    }

    /// Parses the certificates and asks the judge, unless they do not parse.
    pub(crate) fn examine(
        &self,
        encodings: &[&[u8]],
        peer_address: SocketAddr,
        server_name: Option<String>,
    ) -> Judgement {
        // Before anything that could be out of date by the time the client comes in.
        let changes = self.live.changes();
        let mut chain = Vec::new();
        if let Err(detail) = parse(encodings, &mut chain) {
            let decision = Arc::new(rejection("bad-certificate", detail));
            return Judgement { certificates: chain, decision, changes };
        }
        let handshake = Handshake { chain, time: self.clock.now(), peer_address, server_name };
        let decision = Arc::new(self.decide(&handshake));
        Judgement { certificates: handshake.chain, decision, changes }
    }

    /// Asks the judge again about a client that came in before. Blocks the thread.
    pub(crate) fn examine_again(&self, connection: &Connection) -> Decision {
        let handshake = Handshake {
            chain: connection.certificates.clone(),
            time: self.clock.now(),
            peer_address: connection.peer_address,
            server_name: connection.server_name.clone(),
        };
        or_rejection(|| self.judge.load().decide_again(&handshake))
    }

    /// What the judge wants held while a client is here by this decision.
    pub(crate) fn hold(&self, decision: &Decision) -> Option<Box<dyn Send>> {
        self.judge.load().hold(decision)
    }

    /// The judge blocks its thread. On a runtime with several, the others take over this thread's
    /// tasks meanwhile; on a runtime with one, the other connections wait.
    fn decide(&self, handshake: &Handshake) -> Decision {
        let ask = || or_rejection(|| self.judge.load().decide(handshake));
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(ask),
            _ => ask(),
        }
    }
}

/// A judge that panics lets nobody in, and the attempt is still audited.
fn or_rejection(ask: impl FnOnce() -> Decision) -> Decision {
    catch_unwind(AssertUnwindSafe(ask))
        .unwrap_or_else(|_| rejection("policy-failed", "the judge panicked".to_owned()))
}

fn parse(encodings: &[&[u8]], chain: &mut Vec<Arc<Certificate>>) -> Result<(), String> {
    let count = encodings.len();
    if count == 0 {
        return Err("no certificate".to_owned());
    }
    if count > MAXIMUM_CERTIFICATES {
        return Err(format!("{count} certificates are more than {MAXIMUM_CERTIFICATES}"));
    }
    for (index, der) in encodings.iter().enumerate() {
        let certificate = Certificate::from_der(der.to_vec())
            .map_err(|error| format!("certificate {} of {count}: {error}", index + 1))?;
        chain.push(Arc::new(certificate));
    }
    Ok(())
}

/// A rejection by the gate itself, without asking a policy.
fn rejection(code: &str, detail: String) -> Decision {
    Decision {
        verdict: Verdict::Reject(Rejection { code: code.to_owned(), detail, policy: None }),
        policies: Vec::new(),
        elapsed: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::TracingAuditor;
    use crate::options::GateOptions;

    fn code(judgement: &Judgement) -> Option<&str> {
        match &judgement.decision.verdict {
            Verdict::Accept(_) => None,
            Verdict::Reject(rejection) => Some(&rejection.code),
        }
    }

    fn examine(judge: impl Judge, encodings: &[&[u8]]) -> Judgement {
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        examiner(judge).examine(encodings, peer, None)
    }

    fn examiner(judge: impl Judge) -> Arc<Examiner> {
        let (clock, options) = (Clock::fixed(0), GateOptions::default());
        let live = LiveConnections::new(&options, clock.clone(), Arc::new(TracingAuditor));
        Arc::new(Examiner::new(Arc::new(judge), clock, live))
    }

    fn a_certificate() -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).expect("made");
        made.cert.der().to_vec()
    }

    fn must_not_be_asked(_: &Handshake) -> Decision {
        unreachable!("the judge is asked about certificates that do not parse")
    }

    #[test]
    fn no_certificate_is_rejected_unasked() {
        assert_eq!(code(&examine(must_not_be_asked, &[])), Some("bad-certificate"));
    }

    #[test]
    fn too_many_certificates_are_rejected_unasked() {
        let der = a_certificate();
        let judgement = examine(must_not_be_asked, &[&der[..]; MAXIMUM_CERTIFICATES + 1]);
        assert_eq!(code(&judgement), Some("bad-certificate"));
        assert!(judgement.certificates.is_empty());
    }

    #[test]
    fn what_parses_before_the_bad_certificate_is_kept_for_the_audit() {
        let der = a_certificate();
        let judgement = examine(must_not_be_asked, &[&der, b"garbage"]);
        assert_eq!(code(&judgement), Some("bad-certificate"));
        assert_eq!(judgement.certificates.len(), 1);
    }

    #[test]
    fn the_judge_that_replaced_another_is_asked() {
        let der = a_certificate();
        let examiner = examiner(must_not_be_asked);
        let refuses = |_: &Handshake| rejection("policy-rejected", String::new());
        examiner.swap().replace(Arc::new(refuses));
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        assert_eq!(code(&examiner.examine(&[&der], peer, None)), Some("policy-rejected"));
    }

    #[test]
    fn a_judge_that_panics_rejects() {
        let der = a_certificate();
        let judgement = examine(|_: &Handshake| unreachable!("on purpose"), &[&der]);
        assert_eq!(code(&judgement), Some("policy-failed"));
    }
}
