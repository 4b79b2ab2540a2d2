//! What a case must come to, and how it differs from what it came to.

use std::collections::BTreeMap;

use portcullis_config::time;
use portcullis_engine::{Identity, Rejection, Timestamp, Verdict, printable};
use serde::Serialize;

use crate::format::{Accept, Reject};

/// How much of a text from a policy or a certificate is shown.
const MAXIMUM_TEXT_BYTES: usize = 1024;

/// What a case must come to. What is `None` is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expectation {
    /// The client comes in.
    Accept {
        /// Its principal; the inner `None` for nobody in particular.
        principal: Option<Option<String>>,
        /// The values of each of these attributes, in order.
        attributes: BTreeMap<String, Vec<String>>,
        /// When it is to be asked again.
        valid_until: Option<Timestamp>,
    },
    /// The client is refused.
    Reject {
        /// With this code.
        code: String,
        /// By this policy; the inner `None` for the host.
        policy: Option<Option<String>>,
        /// With a detail that contains this.
        detail: Option<String>,
    },
}

/// One point in which a verdict is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `verdict`, of which the code is a part; `policy`, `detail`, `principal`, `valid-until`, or an attribute by its name.
    pub what: String,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub got: String,
}

impl Expectation {
    pub(crate) fn accept(accept: &Accept, base: Timestamp) -> Result<Self, &'static str> {
        match accept {
            Accept::Plain(false) => {
                Err("`true`, or what is to be compared; a rejection has a code")
            }
            Accept::Plain(true) => {
                Ok(Self::Accept { principal: None, attributes: BTreeMap::new(), valid_until: None })
            }
            Accept::Compared(accepted) => Ok(Self::Accept {
                principal: accepted.principal.clone().map(some_unless_empty),
                attributes: accepted
                    .attributes
                    .iter()
                    .map(|(name, values)| (name.clone(), values.as_slice().to_vec()))
                    .collect(),
                valid_until: accepted.valid_until.map(|moment| moment.from(base)),
            }),
        }
    }

    pub(crate) fn reject(reject: &Reject) -> Self {
        match reject {
            Reject::Code(code) => Self::Reject { code: code.clone(), policy: None, detail: None },
            Reject::Compared(rejected) => Self::Reject {
                code: rejected.code.clone(),
                policy: rejected.policy.clone().map(some_unless_empty),
                detail: rejected.detail.clone(),
            },
        }
    }

    /// Every point in which the verdict is another.
    #[must_use]
    pub fn compare(&self, verdict: &Verdict) -> Vec<Difference> {
        let mut found = Differences::default();
        match (self, verdict) {
            (Self::Accept { principal, attributes, valid_until }, Verdict::Accept(identity)) => {
                if let Some(expected) = principal {
                    let (expected, got) = (quoted(expected), quoted(&identity.principal));
                    found.unless_equal("principal", expected, got);
                }
                for (name, expected) in attributes {
                    let got = values(identity, name);
                    found.unless_equal(name, list(expected), list(&got));
                }
                if let Some(expected) = valid_until {
                    let got = identity.valid_until.map_or("none".to_owned(), time::format);
                    found.unless_equal("valid-until", time::format(*expected), got);
                }
            }
            (Self::Reject { code, policy, detail }, Verdict::Reject(rejection))
                if *code == rejection.code =>
            {
                if let Some(expected) = policy {
                    let got = decided_by(&rejection.policy);
                    found.unless_equal("policy", decided_by(expected), got);
                }
                if let Some(part) = detail.as_ref().filter(|part| !rejection.detail.contains(*part))
                {
                    found.add("detail", format!("…{}…", show(part)), show(&rejection.detail));
                }
            }
            _ => found.add("verdict", self.to_string(), describe(verdict)),
        }
        found.0
    }
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn unless_equal(&mut self, what: &str, expected: String, got: String) {
        if expected != got {
            self.add(what, expected, got);
        }
    }

    fn add(&mut self, what: &str, expected: String, got: String) {
        self.0.push(Difference { what: what.to_owned(), expected, got });
    }
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Accept { principal: None, .. } => write!(f, "accepted"),
            Self::Accept { principal: Some(principal), .. } => {
                write!(f, "accepted, principal {}", quoted(principal))
            }
            Self::Reject { code, policy: None, .. } => write!(f, "rejected with `{code}`"),
            Self::Reject { code, policy: Some(policy), .. } => {
                write!(f, "rejected with `{code}` by {}", decided_by(policy))
            }
        }
    }
}

/// A verdict in one line.
pub(crate) fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept(identity) => format!("accepted, principal {}", quoted(&identity.principal)),
        Verdict::Reject(Rejection { code, detail, policy }) => {
            format!("rejected with `{code}` by {}: {}", decided_by(policy), show(detail))
        }
    }
}

/// The values of one attribute, in the order of asking.
pub(crate) fn values(identity: &Identity, name: &str) -> Vec<String> {
    let named = identity.attributes.iter().filter(|attribute| attribute.name == name);
    named.map(|attribute| attribute.value.clone()).collect()
}

fn some_unless_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn quoted(text: &Option<String>) -> String {
    text.as_ref().map_or("none".to_owned(), |text| format!("`{}`", show(text)))
}

fn decided_by(policy: &Option<String>) -> String {
    policy.as_ref().map_or("the host".to_owned(), |policy| format!("`{policy}`"))
}

fn list(values: &[String]) -> String {
    match values {
        [] => "none".to_owned(),
        values => {
            format!("`{}`", values.iter().map(|value| show(value)).collect::<Vec<_>>().join("`, `"))
        }
    }
}

fn show(text: &str) -> String {
    printable(text, MAXIMUM_TEXT_BYTES)
}
