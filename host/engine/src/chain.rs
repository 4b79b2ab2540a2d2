//! Chaining: which policies are asked, in which order, and what their answers amount to.

use std::sync::Arc;
use std::time::Instant;

use portcullis_core::{
    Attribute, Decision, Handshake, Identity, MAXIMUM_CERTIFICATES, Outcome, PolicyReport,
    Rejection, Revocation, RevocationCheck, Verdict,
};

use crate::policy::Policy;

/// Answers about revocation that one decision waits for, one after the other.
const MAXIMUM_WAITS: usize = 2 * MAXIMUM_CERTIFICATES;

/// One step of a chain.
#[derive(Clone, Debug)]
pub enum Step {
    /// Every one of the chain must be passed.
    One(Member),
    /// The first to accept speaks for the group; it rejects when none accepts.
    Any(Vec<Member>),
}

/// A policy's place in a chain.
#[derive(Clone, Debug)]
pub struct Member {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Run and recorded, and never decides.
    pub shadow: bool,
}

/// Why steps are not a chain.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChainError {
    /// Nobody would decide.
    #[error("the chain has no policy that decides; name at least one that is not in shadow mode")]
    Empty,
    /// A group without a member that decides could never accept.
    #[error(
        "an `any` group has no policy that decides; name at least one that is not in shadow mode"
    )]
    EmptyGroup,
    /// The same policy is asked twice.
    #[error("policy `{0}` stands twice in the chain")]
    Repeated(String),
}

/// Policies in the order of asking. Never without one that decides.
#[derive(Clone)]
pub struct Chain {
    steps: Vec<Step>,
    revocation: Arc<dyn Revocation>,
}

impl Chain {
    /// Makes a chain. `revocation` answers the policies that ask; [`NotConfigured`](crate::NotConfigured) knows
    /// nothing.
    ///
    /// # Errors
    ///
    /// When nobody would decide, in the chain or in a group of it, or a policy stands in it twice.
    pub fn new(steps: Vec<Step>, revocation: Arc<dyn Revocation>) -> Result<Self, ChainError> {
        let mut names: Vec<&str> = Vec::new();
        for member in members(&steps) {
            if names.contains(&member.policy.name()) {
                return Err(ChainError::Repeated(member.policy.name().to_owned()));
            }
            names.push(member.policy.name());
        }
        if members(&steps).all(|member| member.shadow) {
            return Err(ChainError::Empty);
        }
        let decides_nothing = |step: &Step| match step {
            Step::One(_) => false,
            Step::Any(group) => group.iter().all(|member| member.shadow),
        };
        if steps.iter().any(decides_nothing) {
            return Err(ChainError::EmptyGroup);
        }
        Ok(Self { steps, revocation })
    }

    /// The steps, in the order of asking.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The policies, in the order of asking.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        members(&self.steps)
    }

    /// Judges a handshake. Blocks for as long as the policies take; for a free place when more decisions are under way
    /// than the engine allows; and for answers about revocation that are on their way, within the bounds of who brings
    /// them. While it waits for those it has no place, and once one is there the policies are asked anew.
    #[must_use]
    pub fn decide(&self, handshake: &Handshake) -> Decision {
        self.decide_with(handshake, &self.revocation)
    }

    /// As [`Chain::decide`], with `revocation` in place of what the chain was made with: answers that were recorded with
    /// the handshake, for instance.
    #[must_use]
    pub fn decide_with(&self, handshake: &Handshake, revocation: &Arc<dyn Revocation>) -> Decision {
        let start = Instant::now();
        if let Err(rejection) = check_number(handshake) {
            let verdict = Verdict::Reject(rejection);
            return Decision { verdict, policies: Vec::new(), elapsed: start.elapsed() };
        }
        let handshake = &Arc::new(handshake.clone());
        let mut waited: Vec<([u8; 32], [u8; 32], String)> = Vec::new();
        loop {
            let (verdict, policies) = self.decide_once(handshake, revocation);
            let checks = policies.iter().flat_map(|report| &report.revocation);
            let pending: Vec<_> = checks
                .filter(|check| check.answer.pending && waited.len() < MAXIMUM_WAITS)
                .filter(|check| !waited.contains(&identity(check)))
                .cloned()
                .collect();
            if pending.is_empty() {
                return Decision { verdict, policies, elapsed: start.elapsed() };
            }
            for check in pending {
                waited.push(identity(&check));
                revocation.wait(&check, handshake.time);
            }
        }
    }

    fn decide_once(
        &self,
        handshake: &Arc<Handshake>,
        revocation: &Arc<dyn Revocation>,
    ) -> (Verdict, Vec<PolicyReport>) {
        let engine = self.members().next().map(|member| member.policy.engine());
        let _permit = engine.map(|engine| engine.decision_permit());
        let mut walk = Walk {
            steps: &self.steps,
            handshake,
            revocation,
            reports: Vec::new(),
            identity: Identity::default(),
        };
        let verdict = match walk.steps() {
            Ok(()) => Verdict::Accept(walk.identity),
            Err(rejection) => Verdict::Reject(rejection),
        };
        (verdict, walk.reports)
    }
}

/// What is waited for once.
fn identity(check: &RevocationCheck) -> ([u8; 32], [u8; 32], String) {
    (*check.subject.sha256(), *check.issuer.sha256(), check.source.clone())
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// The contract promises policies a chain that is not empty, nor too long.
fn check_number(handshake: &Handshake) -> Result<(), Rejection> {
    let number = handshake.chain.len();
    if (1..=MAXIMUM_CERTIFICATES).contains(&number) {
        return Ok(());
    }
    let detail = format!("{number} certificates, not 1 to {MAXIMUM_CERTIFICATES}");
    Err(Rejection { code: "bad-certificate".to_owned(), detail, policy: None })
}

fn members(steps: &[Step]) -> impl Iterator<Item = &Member> {
    steps.iter().flat_map(|step| match step {
        Step::One(member) => std::slice::from_ref(member),
        Step::Any(group) => group.as_slice(),
    })
}

/// One decision under way.
struct Walk<'a> {
    steps: &'a [Step],
    handshake: &'a Arc<Handshake>,
    revocation: &'a Arc<dyn Revocation>,
    reports: Vec<PolicyReport>,
    identity: Identity,
}

impl Walk<'_> {
    fn steps(&mut self) -> Result<(), Rejection> {
        for step in self.steps {
            match step {
                Step::One(member) => self.one(member)?,
                Step::Any(group) => self.any(group)?,
            }
        }
        Ok(())
    }

    fn one(&mut self, member: &Member) -> Result<(), Rejection> {
        let outcome = self.ask(member);
        if member.shadow { Ok(()) } else { self.take(&member.policy, outcome) }
    }

    /// The rejection of a group is that of its first member, the operator's first choice, with what the others said.
    fn any(&mut self, group: &[Member]) -> Result<(), Rejection> {
        let mut rejection: Option<Rejection> = None;
        for member in group {
            let outcome = self.ask(member);
            if member.shadow {
                continue;
            }
            if matches!(outcome, Outcome::Accepted { .. }) {
                return self.take(&member.policy, outcome);
            }
            if let Err(next) = self.take(&member.policy, outcome) {
                rejection = Some(match rejection {
                    None => next,
                    Some(mut first) => {
                        let policy = member.policy.name();
                        first.detail =
                            format!("{}; {policy}: {}: {}", first.detail, next.code, next.detail);
                        first
                    }
                });
            }
        }
        rejection.map_or(Ok(()), Err)
    }

    fn ask(&mut self, member: &Member) -> Outcome {
        let report = member.policy.evaluate(
            self.handshake,
            &self.identity.attributes,
            self.revocation,
            member.shadow,
        );
        let outcome = report.outcome.clone();
        self.reports.push(report);
        outcome
    }

    /// Adds what a deciding policy established to the identity, or says why not.
    fn take(&mut self, policy: &Policy, outcome: Outcome) -> Result<(), Rejection> {
        let reject = |code: &str, detail: String| {
            Err(Rejection { code: code.to_owned(), detail, policy: Some(policy.name().to_owned()) })
        };
        let (principal, attributes, valid_until): (_, Vec<Attribute>, _) = match outcome {
            Outcome::Accepted { principal, attributes, valid_until } => {
                (principal, attributes, valid_until)
            }
            Outcome::Failed { code, detail } => return reject(code, detail),
            Outcome::Rejected { code, detail } => return reject(&code, detail),
        };
        match (&self.identity.principal, principal) {
            (Some(known), Some(other)) if *known != other => {
                return reject(
                    "principal-conflict",
                    format!("names `{other}`, and an earlier policy `{known}`"),
                );
            }
            (None, Some(principal)) => self.identity.principal = Some(principal),
            _ => {}
        }
        self.identity.attributes.extend(attributes);
        self.identity.valid_until = match (self.identity.valid_until, valid_until) {
            (Some(earlier), Some(later)) => Some(earlier.min(later)),
            (one, other) => one.or(other),
        };
        Ok(())
    }
}
