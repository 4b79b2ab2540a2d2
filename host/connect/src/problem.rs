//! What a request is answered with when there is no answer from the server.

use bytes::Bytes;
use http::{StatusCode, Uri};
use serde::Serialize;

use crate::failure::Failure;
use crate::message::{self, Id};

/// JSON-RPC 2.0: not JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0: not a message that can be taken here.
const INVALID_REQUEST: i32 = -32600;
/// What the official SDKs answer to a request that their transport refuses.
const REFUSED: i32 = -32000;

/// Why a request gets no answer from the server. Its text is for people, `reason` for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    code: i32,
    message: String,
    data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Data {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "serialNumber")]
    serial_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl Problem {
    fn new(code: i32, reason: &'static str, message: impl Into<String>) -> Self {
        let data = Data { reason, alert: None, serial_number: None, status: None };
        Self { code, message: message.into(), data }
    }

    /// The answer to a request, or to a message whose id nobody could read.
    pub(crate) fn answer(&self, id: Option<&Id>) -> Bytes {
        message::error(id, self.code, &self.message, &self.data)
    }

    pub(crate) fn no_message(error: &message::MessageError) -> Self {
        let code = match error {
            message::MessageError::NotJson => PARSE_ERROR,
            _ => INVALID_REQUEST,
        };
        Self::new(code, "no-message", error.to_string())
    }

    pub(crate) fn too_long(maximum: usize) -> Self {
        let text = format!("a message of more than {maximum} bytes is not taken");
        Self::new(INVALID_REQUEST, "too-long", text)
    }

    pub(crate) fn id_in_use() -> Self {
        let text = "a request with this id still waits for its answer";
        Self::new(INVALID_REQUEST, "id-in-use", text)
    }

    pub(crate) fn too_many() -> Self {
        let text = "too many requests wait for their answers: wait for some of them";
        Self::new(REFUSED, "too-many", text)
    }

    pub(crate) fn not_for_headers() -> Self {
        let text = "the method or the protocol version cannot stand in a header";
        Self::new(INVALID_REQUEST, "not-for-headers", text)
    }

    pub(crate) fn timeout() -> Self {
        Self::new(REFUSED, "timeout", "the server did not answer in time")
    }

    pub(crate) fn no_answer() -> Self {
        let text =
            "the server's stream ended before it answered: the request may have been carried out";
        Self::new(REFUSED, "no-answer", text)
    }

    pub(crate) fn session_lost() -> Self {
        let text =
            "the session at the gate has ended and cannot be opened again: initialize a new one";
        Self::new(REFUSED, "session-lost", text)
    }

    pub(crate) fn no_mcp(what: &str) -> Self {
        let text = format!("the answer is not one of an MCP server: {what}");
        Self::new(REFUSED, "no-mcp", text)
    }

    pub(crate) fn redirect(url: &Uri, status: StatusCode) -> Self {
        let text = format!("{url} points elsewhere, which is not followed: give the URL itself");
        Self::new(REFUSED, "redirect", text).with_status(status)
    }

    pub(crate) fn status(url: &Uri, status: StatusCode, text: &str) -> Self {
        let hint = match status {
            StatusCode::NOT_FOUND => ": is there a server of this name?",
            _ => "",
        };
        let said = if text.is_empty() { String::new() } else { format!(" ({text})") };
        let message = format!("{url} answered with status {status}{said}{hint}");
        Self::new(REFUSED, "status", message).with_status(status)
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.data.status = Some(status.as_u16());
        self
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let mut problem = Self::new(REFUSED, failure.reason(), failure.to_string());
        if let Failure::Refused(refusal) = &failure {
            problem.data.alert = Some(refusal.alert());
            problem.data.serial_number = Some(refusal.serial_number().to_owned());
        }
        problem
    }
}
