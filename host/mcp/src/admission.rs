//! What a request has to pass before a server gets it, and what its answer has to pass before the client does.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::audit::Ongoing;
use crate::authorize::{self, Grants, Reader, Rules};
use crate::call::{Call, CallError, Needs, Thing};
use crate::caller::Caller;
use crate::message::Id;
use crate::mirrored;
use crate::reply::{self, Body};

/// Decides who may call what.
#[derive(Debug)]
pub(crate) struct Admission(Arc<Rules>);

/// How the answer to a request that was let through goes to its client.
#[derive(Debug)]
pub(crate) enum Passage {
    AsItIs,
    /// It may list what the client must not see.
    Filtered {
        reader: Reader,
        id: Option<Id>,
    },
}

impl Admission {
    pub(crate) fn new(rules: Rules) -> Self {
        Self(Arc::new(rules))
    }

    /// Lets a request through, or refuses it. Gives what a POST asks for, as far as that can be read.
    pub(crate) fn admit(
        &self,
        caller: &Arc<Caller>,
        server: &str,
        parts: &mut Parts,
        body: &Bytes,
        request: &mut Ongoing,
    ) -> Result<(Option<Call>, Passage), Response<Body>> {
        let grants = self.0.grants(caller, server);
        let call = match parts.method {
            Method::POST => call(&parts.headers, body, &grants, request)?,
            Method::GET | Method::DELETE if body.is_empty() => None,
            Method::GET | Method::DELETE => {
                // A server that takes another method from some header would find a message in it.
                let response = reply::text(StatusCode::BAD_REQUEST, "only POST has a body");
                return Err(reply::because(response, "unexpected-body"));
            }
            _ => return Err(reply::method_not_allowed()),
        };
        if !grants.server() || call.as_ref().is_some_and(|call| !grants.call(call)) {
            return Err(not_allowed(server, call.as_ref(), &grants));
        }
        // A GET stream may be an earlier answer, resumed.
        let may_list = call.as_ref().map_or(parts.method == Method::GET, Call::is_list);
        if grants.is_everything() || !may_list {
            return Ok((call, Passage::AsItIs));
        }
        parts.headers.remove(ACCEPT_ENCODING);
        let (rules, caller) = (Arc::clone(&self.0), Arc::clone(caller));
        let reader = Reader { rules, caller, server: server.to_owned() };
        let id = call.as_ref().and_then(|call| call.id.clone());
        Ok((call, Passage::Filtered { reader, id }))
    }
}

impl Passage {
    pub(crate) async fn pass(self, response: Response<Body>) -> Response<Body> {
        match self {
            Self::AsItIs => response,
            Self::Filtered { reader, id } => authorize::filter(response, reader, id.as_ref()).await,
        }
    }
}

/// What a message asks for. None for what is no JSON, if the client may do everything: the server says what it thinks of it.
fn call(
    headers: &http::HeaderMap,
    body: &Bytes,
    grants: &Grants<'_>,
    request: &mut Ongoing,
) -> Result<Option<Call>, Response<Body>> {
    let call = match Call::parse(body) {
        Ok(call) => call,
        Err(CallError::NotJson) if grants.is_everything() => return Ok(None),
        Err(error) => {
            let code = match error {
                CallError::NotJson => reply::PARSE_ERROR,
                _ => reply::INVALID_REQUEST,
            };
            let response = reply::error(StatusCode::BAD_REQUEST, None, code, &error.to_string());
            return Err(reply::because(response, error.code()));
        }
    };
    request.calls(&call);
    mirrored::check(headers, &call)?;
    Ok(Some(call))
}

/// A request gets a JSON-RPC error for its answer, with status 200 as MCP wants it for an answer: to the PyPI package
/// `mcp` 1 any other status is the end of the whole connection. For anything else there is no such answer, and the status says it.
fn not_allowed(server: &str, call: Option<&Call>, grants: &Grants<'_>) -> Response<Body> {
    let text = match call {
        Some(Call { needs: Needs::Things(things), .. }) if grants.server() => {
            let refused = things.iter().find(|thing| !grants.thing(thing));
            refused.map_or_else(|| "it does not say what it is for".to_owned(), described)
        }
        Some(Call { needs: Needs::Method(method), .. }) if grants.server() => {
            format!("the method `{}`", method.escape_debug())
        }
        _ => format!("the server `{server}`"),
    };
    let text = format!("not allowed for this client: {text}");
    let id = call.and_then(Call::request_id);
    let status = if id.is_some() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let response = reply::error(status, id, reply::NOT_AUTHORIZED, &text);
    reply::because(response, "not-authorized")
}

fn described(thing: &Thing) -> String {
    let kind = match thing {
        Thing::Prompt(_) => "prompt",
        Thing::Resource(_) => "resource",
        Thing::Tool(_) => "tool",
    };
    let name: String = thing.name().chars().take(100).collect();
    format!("the {kind} `{}`", name.escape_debug())
}
