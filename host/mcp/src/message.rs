//! As much of a JSON-RPC message as a bridge has to read. The rest passes byte for byte.

use std::io;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A message on one line, as standard input and Server-Sent Events both want it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The message's own bytes, but for line breaks between its tokens.
    pub(crate) line: Bytes,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Notification {
        method: String,
        /// The token of a progress notification, the request of a cancellation.
        about: Option<Id>,
    },
    Request {
        id: Id,
        method: String,
        progress_token: Option<Id>,
    },
    Response {
        id: Id,
        is_error: bool,
    },
}

/// The id of a request: a string or a number.
#[derive(Clone, Debug)]
pub(crate) struct Id(Box<RawValue>);

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
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(rename = "progressToken")]
    progress_token: Option<Box<RawValue>>,
    #[serde(rename = "requestId")]
    request_id: Option<Box<RawValue>>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "progressToken")]
    progress_token: Option<Box<RawValue>>,
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
}

/// As [`Envelope`], of a message that is not in memory: what may be long is passed over.
#[derive(Deserialize)]
struct LongEnvelope {
    #[serde(default)]
    jsonrpc: String,
    id: Option<Box<RawValue>>,
    method: Option<String>,
    error: Option<IgnoredAny>,
}

impl Kind {
    /// Reads a long message of a server. What a notification or request is about is left out.
    pub(crate) fn of_long(message: impl io::Read) -> Result<Self, MessageError> {
        let envelope: LongEnvelope = serde_json::from_reader(message).map_err(|error| {
            if error.is_data() { MessageError::NotAMessage } else { MessageError::NotJson }
        })?;
        let is_error = envelope.error.is_some();
        let id = envelope.id.as_deref();
        let (jsonrpc, method) = (envelope.jsonrpc, envelope.method);
        Envelope { jsonrpc, id, method, params: None, error: None }.kind().map(|kind| match kind {
            Self::Response { id, .. } => Self::Response { id, is_error },
            kind => kind,
        })
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
        match (&self.method, id) {
            (Some(method), Some(id)) => {
                let token = self.params().meta.and_then(|meta| meta.progress_token);
                let progress_token = token.and_then(|raw| Id::new(&raw));
                Ok(Kind::Request { id, method: method.clone(), progress_token })
            }
            (Some(method), None) => {
                let params = self.params();
                let about = params.progress_token.or(params.request_id);
                let about = about.and_then(|raw| Id::new(&raw));
                Ok(Kind::Notification { method: method.clone(), about })
            }
            (None, Some(id)) => Ok(Kind::Response { id, is_error: self.error.is_some() }),
            (None, None) => Err(MessageError::NotAMessage),
        }
    }

    fn params(&self) -> Params {
        self.params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

impl Id {
    /// One spelling for equal ids: a server may escape a string in another way than its client did.
    pub(crate) fn new(raw: &RawValue) -> Option<Self> {
        let spelled = if raw.get().starts_with('"') {
            serde_json::to_string(&serde_json::from_str::<String>(raw.get()).ok()?)
        } else {
            serde_json::to_string(&serde_json::from_str::<serde_json::Number>(raw.get()).ok()?)
        };
        RawValue::from_string(spelled.ok()?).ok().map(Self)
    }

    pub(crate) fn as_json(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Id {}

impl std::hash::Hash for Id {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.get().hash(state);
    }
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

    #[test]
    fn a_request_has_an_id_a_method_and_perhaps_a_progress_token() {
        assert_eq!(
            kind(
                r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"progressToken":"p"}}}"#
            ),
            Ok(Kind::Request {
                id: id("7"),
                method: "tools/call".to_owned(),
                progress_token: Some(id("\"p\""))
            })
        );
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#),
            Ok(Kind::Request { id: id("\"a\""), method: "ping".to_owned(), progress_token: None })
        );
    }

    #[test]
    fn a_notification_tells_which_request_it_is_about() {
        for (text, about) in [
            (
                r#"{"jsonrpc":"2.0","method":"x","params":{"progressToken":3,"progress":1}}"#,
                Some(id("3")),
            ),
            (r#"{"jsonrpc":"2.0","method":"x","params":{"requestId":"q"}}"#, Some(id("\"q\""))),
            (r#"{"jsonrpc":"2.0","method":"x","params":[1,2]}"#, None),
        ] {
            assert_eq!(kind(text), Ok(Kind::Notification { method: "x".to_owned(), about }));
        }
    }

    #[test]
    fn a_response_may_be_an_error() {
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":1,"result":null}"#),
            Ok(Kind::Response { id: id("1"), is_error: false })
        );
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#),
            Ok(Kind::Response { id: id("1"), is_error: true })
        );
    }

    #[test]
    fn ids_are_equal_however_their_strings_are_escaped() {
        assert_eq!(id(r#""é\/""#), id(r#""\u00e9/""#));
        assert_ne!(id("1"), id("\"1\""));
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
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, MessageError::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, MessageError::NotAMessage),
            // Two parsers could each believe another of the two.
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
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","method":"x","params":{}1{}}}"#,
            "[".repeat(500_000),
            "]".repeat(500_000)
        );
        assert!(Message::parse(Bytes::from(deep)).is_ok());
    }
}
