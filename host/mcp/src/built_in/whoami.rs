//! The tool `whoami`.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use http::request::Parts;
use portcullis_engine::rfc_3339;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::Extension;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::schemars::JsonSchema;
use rmcp::{ErrorData, Json, ServerHandler, tool, tool_handler, tool_router};
use serde::Serialize;

use crate::caller::{Caller, CertificateFacts, PolicyFacts};

/// The server of one request or session. It knows nothing: everything comes with the request.
#[derive(Clone)]
pub(super) struct WhoAmI {
    tools: ToolRouter<Self>,
}

/// Who the gate thinks the caller is.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Answer {
    /// The name that the policies gave the caller.
    principal: Option<String>,
    /// What the policies established about the caller.
    attributes: BTreeMap<String, Vec<String>>,
    certificate: Certificate,
    /// What each policy said, in the order in which they were asked.
    policies: Vec<Policy>,
}

/// The certificate that the caller presented.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Certificate {
    subject: String,
    issuer: String,
    /// In hexadecimal.
    serial_number: String,
    /// Of the DER encoding, in hexadecimal.
    sha256: String,
    /// Each as KIND:NAME.
    subject_alt_names: Vec<String>,
    /// RFC 3339.
    not_before: String,
    /// RFC 3339.
    not_after: String,
}

/// One policy's part.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Policy {
    policy: String,
    /// Recorded, and without a say.
    shadow: bool,
    /// "accepted", "rejected" or "failed".
    outcome: String,
    /// Why it did not accept.
    code: Option<String>,
    // Validators do not know schemars' "uint64", and say so for every answer.
    #[schemars(with = "i64")]
    elapsed_us: u64,
    #[schemars(with = "i64")]
    memory_bytes: u64,
}

#[tool_router(router = tools)]
impl WhoAmI {
    pub(super) fn new() -> Self {
        Self { tools: Self::tools() }
    }

    /// Answers from the connection of this very request, never from the one that opened the session.
    #[tool(
        name = "whoami",
        description = "Tells who the gate thinks you are: your principal and attributes, the certificate that you \
                       presented, and what each policy said of it.",
        annotations(title = "Who am I?", read_only_hint = true, open_world_hint = false)
    )]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<Json<Answer>, ErrorData> {
        match parts.extensions.get::<Arc<Caller>>() {
            Some(caller) => Ok(Json(Answer::from(&**caller))),
            None => Err(ErrorData::internal_error("the caller of this request is not known", None)),
        }
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for WhoAmI {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("portcullis", env!("CARGO_PKG_VERSION")))
            .with_instructions("The gate itself. Call `whoami` to see who it thinks you are.")
    }
}

impl From<&Caller> for Answer {
    fn from(caller: &Caller) -> Self {
        let mut attributes = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &caller.attributes {
            attributes.entry(name.clone()).or_default().push(value.clone());
        }
        Self {
            principal: caller.principal.clone(),
            attributes,
            certificate: Certificate::from(&caller.certificate),
            policies: caller.policies.iter().map(Policy::from).collect(),
        }
    }
}

impl From<&CertificateFacts> for Certificate {
    fn from(facts: &CertificateFacts) -> Self {
        let names = facts.subject_alt_names.iter();
        Self {
            subject: facts.subject.clone(),
            issuer: facts.issuer.clone(),
            serial_number: facts.serial_number.clone(),
            sha256: HEXLOWER.encode(&facts.sha256),
            subject_alt_names: names.map(|(kind, name)| format!("{kind}:{name}")).collect(),
            not_before: rfc_3339(facts.not_before),
            not_after: rfc_3339(facts.not_after),
        }
    }
}

impl From<&PolicyFacts> for Policy {
    fn from(facts: &PolicyFacts) -> Self {
        Self {
            policy: facts.policy.clone(),
            shadow: facts.shadow,
            outcome: facts.outcome.to_owned(),
            code: facts.code.clone(),
            elapsed_us: facts.elapsed_us,
            memory_bytes: facts.memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_is_known_of_the_caller() {
        let mut caller = Caller::of_principal(None);
        caller.attributes = [("team", "a"), ("level", "1"), ("team", "b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let certificate = &mut caller.certificate;
        certificate.subject_alt_names = vec![("dns".to_owned(), "agent.example".to_owned())];
        certificate.not_after = i64::MAX;
        let answer = Answer::from(&caller);
        assert_eq!(answer.attributes["team"], ["a", "b"]);
        assert_eq!(answer.certificate.sha256, "ab".repeat(32));
        assert_eq!(answer.certificate.subject_alt_names, ["dns:agent.example"]);
        assert_eq!(answer.certificate.not_before, "2026-09-21T14:13:20Z");
        assert_eq!(answer.certificate.not_after, i64::MAX.to_string());
    }
}
