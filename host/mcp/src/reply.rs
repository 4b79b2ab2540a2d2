//! Answers that this host gives itself, without asking a server.

use std::error::Error as StdError;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::Id;

/// The body of every answer. It fails when an upstream server's does.
pub(crate) type Body = BoxBody<Bytes, BodyError>;
pub(crate) type BodyError = Box<dyn StdError + Send + Sync>;

/// JSON-RPC 2.0: not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0: not a message that can be taken here.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0: the server could not do it.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// What the official SDKs answer to a request that their transport refuses.
pub(crate) const REFUSED: i32 = -32000;
/// A call that no rule allows. New codes stand outside JSON-RPC's own range (2026-07-28, "Error Codes"); this one and
/// the next are what HTTP calls the same.
pub(crate) const NOT_AUTHORIZED: i32 = 403;
/// More than a client may ask for at this time.
pub(crate) const TOO_MANY_REQUESTS: i32 = 429;
/// 2026-07-28: a header that differs from the message.
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// What the official SDKs answer when a session is not known.
pub(crate) const SESSION_NOT_FOUND: i32 = -32001;

/// Marks, in a response's extensions, a refusal of the gate's own: why, for the operator. What begins with
/// [`OF_SERVER`] is a server's failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Because(pub(crate) &'static str);

pub(crate) const OF_SERVER: &str = "server-";

/// A refusal with its reason, for the operator.
pub(crate) fn because(mut response: Response<Body>, code: &'static str) -> Response<Body> {
    response.extensions_mut().insert(Because(code));
    response
}

/// A JSON-RPC error as the whole answer.
pub(crate) fn error(
    status: StatusCode,
    id: Option<&Id>,
    code: i32,
    message: &str,
) -> Response<Body> {
    json(status, error_message(id, code, message))
}

/// A failure that is not the client's fault, with a code for the operator. A request gets it as its answer, with status 200:
/// clients throw away what comes with another, and their callers wait. Anything else gets this status.
pub(crate) fn failure(
    status: StatusCode,
    id: Option<&Id>,
    text: &str,
    code: &'static str,
) -> Response<Body> {
    let status = if id.is_some() { StatusCode::OK } else { status };
    because(error(status, id, INTERNAL_ERROR, text), code)
}

/// A JSON-RPC error as a message on a stream.
pub(crate) fn error_message(id: Option<&Id>, code: i32, message: &str) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        jsonrpc: &'static str,
        id: Option<&'a RawValue>,
        error: Error<'a>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        code: i32,
        message: &'a str,
    }
    let message =
        Message { jsonrpc: "2.0", id: id.map(Id::as_json), error: Error { code, message } };
    // Nothing in it can fail to become JSON; an empty body would still be an error by its status.
    serde_json::to_vec(&message).unwrap_or_default().into()
}

/// A JSON-RPC message as the whole answer.
pub(crate) fn json(status: StatusCode, message: Bytes) -> Response<Body> {
    with_type(status, "application/json", full(message))
}

/// A stream of messages (Server-Sent Events).
pub(crate) fn stream(body: Body) -> Response<Body> {
    let mut response = with_type(StatusCode::OK, "text/event-stream", body);
    let headers = response.headers_mut();
    headers.insert("cache-control", HeaderValue::from_static("no-cache"));
    // Proxies in front of the gate that know this header then pass each message on at once.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// One line for people.
pub(crate) fn text(status: StatusCode, line: &str) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", full(format!("{line}\n").into()))
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// The endpoint is there, and not for this method.
pub(crate) fn method_not_allowed() -> Response<Body> {
    let mut response =
        text(StatusCode::METHOD_NOT_ALLOWED, "an MCP endpoint takes GET, POST and DELETE");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
