//! Short ways to write a verdict.

use crate::{Acceptance, Attribute, Rejection, Verdict};

impl Rejection {
    /// A rejection with a code, which selects the TLS alert, and a detail for the operator's log.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

impl Attribute {
    /// An attribute of this name and value.
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }
}

/// Names nobody, establishes nothing, and holds without end.
impl Default for Acceptance {
    fn default() -> Self {
        Self { principal: None, attributes: Vec::new(), valid_until: None }
    }
}

/// A rule that ends in an acceptance or a rejection is a `Result`, so that `?` ends it at the first rejection.
impl From<Result<Acceptance, Rejection>> for Verdict {
    fn from(judgement: Result<Acceptance, Rejection>) -> Self {
        match judgement {
            Ok(acceptance) => Self::Accept(acceptance),
            Err(rejection) => Self::Reject(rejection),
        }
    }
}
