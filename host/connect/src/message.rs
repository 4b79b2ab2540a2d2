//! As much of a JSON-RPC message as a bridge between two transports has to read. The rest passes byte for byte.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A message on one line.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The message's own bytes, but for line breaks between its tokens.
    pub(crate) line: Bytes,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Notification { method: String, facts: Facts },
    Request { id: Id, method: String, facts: Facts },
    Response { id: Option<Id> },
}

/// What headers repeat, and what a notification is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The revision that the message says it is of: only those since 2026-07-28 say so.
    pub(crate) version: Option<String>,
    /// The tool or prompt, the resource's URI, or the task.
    pub(crate) name: Option<String>,
    /// The request that a cancellation is about.
    pub(crate) request_id: Option<Id>,
}

/// The id of a request, a string or a number, in one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(String);

/// Why bytes are no message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("a batch of messages is no longer part of MCP: send one message at a time")]
    Batch,
    #[error("not a JSON-RPC 2.0 request, notification or response")]
    NotAMessage,
    #[error("not JSON")]
    NotJson,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    jsonrpc: String,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestId")]
    request_id: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
}

impl Message {
    /// Reads one message.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, MessageError> {
        let text = std::str::from_utf8(&bytes).map_err(|_| MessageError::NotJson)?;
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
            if !error.is_data() {
                MessageError::NotJson
            } else if text.trim_start().starts_with('[') {
                MessageError::Batch
            } else {
                MessageError::NotAMessage
            }
        })?;
        let kind = envelope.kind()?;
        Ok(Self { line: one_line(bytes), kind })
    }

    /// Whether it is the answer to this request.
    pub(crate) fn answers(&self, request: &Id) -> bool {
        matches!(&self.kind, Kind::Response { id: Some(id) } if id == request)
    }
}

impl Envelope<'_> {
    fn kind(&self) -> Result<Kind, MessageError> {
        if self.jsonrpc != "2.0" {
            return Err(MessageError::NotAMessage);
        }
        let id = match self.id {
            Some(raw) => Some(Id::new(raw).ok_or(MessageError::NotAMessage)?),
            None => None,
        };
        let answers = self.result.is_some() || self.error.is_some();
        match (&self.method, id) {
            (Some(method), Some(id)) => {
                Ok(Kind::Request { id, method: method.clone(), facts: self.facts(method) })
            }
            (Some(method), None) => {
                Ok(Kind::Notification { method: method.clone(), facts: self.facts(method) })
            }
            // An error about a request whose id nobody could read has none.
            (None, id) if answers => Ok(Kind::Response { id }),
            (None, _) => Err(MessageError::NotAMessage),
        }
    }

    fn facts(&self, method: &str) -> Facts {
        let params = self.params.and_then(|raw| serde_json::from_str::<Params<'_>>(raw.get()).ok());
        let params = params.unwrap_or_default();
        let meta = params.meta.and_then(|raw| serde_json::from_str::<Meta>(raw.get()).ok());
        let name = match method {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => params.uri,
            "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id,
            _ => None,
        };
        Facts {
            version: meta.and_then(|meta| meta.version),
            name: name.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            request_id: params.request_id.and_then(Id::new),
        }
    }
}

impl Id {
    /// One spelling for equal ids: a server may escape a string in another way than its client did.
    fn new(raw: &RawValue) -> Option<Self> {
        let spelled = if raw.get().starts_with('"') {
            serde_json::to_string(&serde_json::from_str::<String>(raw.get()).ok()?)
        } else {
            serde_json::to_string(&serde_json::from_str::<serde_json::Number>(raw.get()).ok()?)
        };
        spelled.ok().map(Self)
    }

    fn as_json(&self) -> Option<&RawValue> {
        serde_json::from_str(&self.0).ok()
    }
}

#[derive(Serialize)]
struct ErrorMessage<'a, E> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: E,
}

#[derive(Serialize)]
struct ErrorObject<'a, D> {
    code: i32,
    message: &'a str,
    data: D,
}

/// A JSON-RPC error as the answer to a request.
pub(crate) fn error(id: Option<&Id>, code: i32, message: &str, data: &impl Serialize) -> Bytes {
    let error = ErrorObject { code, message, data };
    let message = ErrorMessage { jsonrpc: "2.0", id: id.and_then(Id::as_json), error };
    // Nothing in it can fail to become JSON.
    serde_json::to_vec(&message).unwrap_or_default().into()
}

/// The error of another message, as the answer to this request. Nothing if it is none.
pub(crate) fn readdressed(error: &Bytes, id: &Id) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    let answer: Answer<'_> = serde_json::from_slice(error).ok()?;
    let message = ErrorMessage { jsonrpc: "2.0", id: id.as_json(), error: answer.error };
    serde_json::to_vec(&message).ok().map(|bytes| one_line(bytes.into()))
}

/// A line break in valid JSON stands between tokens, never in a string, so a space says the same.
fn one_line(bytes: Bytes) -> Bytes {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !bytes.iter().any(is_break) {
        return bytes;
    }
    bytes.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &'static str) -> Result<Kind, MessageError> {
        Message::parse(Bytes::from_static(text.as_bytes())).map(|message| message.kind)
    }

    fn id(text: &str) -> Id {
        Id::new(&RawValue::from_string(text.to_owned()).unwrap()).unwrap()
    }

    fn facts(text: &'static str) -> Facts {
        match kind(text).unwrap() {
            Kind::Request { facts, .. } | Kind::Notification { facts, .. } => facts,
            kind => panic!("{kind:?}"),
        }
    }

    #[test]
    fn a_request_tells_its_revision_and_what_it_is_about() {
        let of = |name: Option<&str>, version: Option<&str>| Facts {
            name: name.map(str::to_owned),
            version: version.map(str::to_owned),
            request_id: None,
        };
        for (text, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a\u0062","arguments":{"name":1},
                    "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
                of(Some("ab"), Some("2026-07-28")),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"x:y","name":"n"}}"#,
                of(Some("x:y"), None),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"name":"n"}}"#,
                of(None, None),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":3}}"#,
                of(None, None),
            ),
            (r#"{"jsonrpc":"2.0","id":"7","method":"ping"}"#, of(None, None)),
            (r#"{"jsonrpc":"2.0","id":"7","method":"ping","params":[1]}"#, of(None, None)),
        ] {
            assert_eq!(facts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_cancellation_names_its_request() {
        let text = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u0061"}}"#;
        assert_eq!(facts(text).request_id, Some(id("\"a\"")));
    }

    #[test]
    fn a_response_has_a_result_or_an_error() {
        let one = || Ok(Kind::Response { id: Some(id("1")) });
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), one());
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#), one());
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":null,"error":{}}"#),
            Ok(Kind::Response { id: None })
        );
        assert_eq!(kind(r#"{"jsonrpc":"2.0","error":{}}"#), Ok(Kind::Response { id: None }));
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for (text, error) in [
            ("", MessageError::NotJson),
            ("{\"jsonrpc\":\"2.0\",\"method\":\"a\nb\"}", MessageError::NotJson),
            ("{} {}", MessageError::NotJson),
            (r#"[{"jsonrpc":"2.0","method":"x"}]"#, MessageError::Batch),
            (r#""text""#, MessageError::NotAMessage),
            (r#"{"method":"x"}"#, MessageError::NotAMessage),
            (r#"{"jsonrpc":"2.0"}"#, MessageError::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":1}"#, MessageError::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, MessageError::NotAMessage),
            (r#"{"jsonrpc":"2.0","method":"x","method":"y"}"#, MessageError::NotAMessage),
        ] {
            assert_eq!(kind(text), Err(error), "{text}");
        }
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces_and_nothing_else_changes() {
        let pretty =
            "{\r\n \"jsonrpc\" : \"2.0\",\n \"method\":\"x\", \"z\": [1.0e5, \"\\n\\u00e9\"] }";
        let message = Message::parse(Bytes::from_static(pretty.as_bytes())).unwrap();
        assert_eq!(message.line, pretty.replace(['\r', '\n'], " "));
    }

    #[test]
    fn an_error_without_an_id_becomes_the_answer_to_the_request_that_it_is_about() {
        let error = Bytes::from_static(
            b"{\"jsonrpc\":\"2.0\",\"id\":null,\n\"error\":{\"code\": -32000,\n\"message\":\"m\"}}",
        );
        let answer = readdressed(&error, &id("\"a\"")).unwrap();
        assert_eq!(answer, r#"{"jsonrpc":"2.0","id":"a","error":{"code": -32000, "message":"m"}}"#);
        assert_eq!(readdressed(&Bytes::from_static(b"oh no"), &id("1")), None);
    }
}
