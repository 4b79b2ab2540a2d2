//! What a client's message asks for, as far as it is decided on.
//!
//! The server behind the gate reads the same bytes with another parser. So a message that two parsers could understand
//! differently is refused: a member that stands twice where something is decided, also when the two differ in case or
//! white space only, or a member or method that is a known one but for these.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::Members;
use crate::message::Id;

/// The longest method, in bytes.
const MAXIMUM_METHOD_BYTES: usize = 128;
/// Resources in one `subscriptions/listen`.
const MAXIMUM_SUBSCRIPTIONS: usize = 1000;

const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
const PARAMS: &[&str] = &["_meta", "name", "notifications", "ref", "taskId", "uri"];
const REFERENCE: &[&str] = &["name", "type", "uri"];
const NOTIFICATIONS: &[&str] = &["resourceSubscriptions"];
const META: &[&str] = &[PROTOCOL_VERSION];
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The methods of requests that are known here, in the revisions up to 2026-07-28.
const METHODS: [&str; 23] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/directory/read",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "skills/get",
    "skills/list",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: Option<Id>,
    /// None for a response, which answers a server's own request.
    pub(crate) method: Option<String>,
    pub(crate) needs: Needs,
    /// Whether 2026-07-28 mirrors a name into `Mcp-Name`, and which.
    pub(crate) mirrors_name: bool,
    pub(crate) mirrored_name: Option<String>,
    /// What 2026-07-28 mirrors into `MCP-Protocol-Version`.
    pub(crate) protocol_version: Option<String>,
}

/// What a caller must be allowed to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The server.
    Server,
    /// This method.
    Method(String),
    /// All of these; none of them when the message does not say which it means.
    Things(Vec<Thing>),
}

/// Something of a server's that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Prompt(String),
    /// By its URI or template.
    Resource(String),
    Tool(String),
}

impl Thing {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Prompt(name) | Self::Resource(name) | Self::Tool(name) => name,
        }
    }
}

/// Why a message is refused before anything is decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("two parsers could read this differently: {0}")]
    Ambiguous(String),
    #[error("a batch of messages is no longer part of MCP: send one message at a time")]
    Batch,
    #[error("not a JSON-RPC 2.0 request, notification or response")]
    NotAMessage,
    #[error("not JSON")]
    NotJson,
}

impl CallError {
    fn unreadable_name() -> Self {
        Self::Ambiguous("a member's name cannot be read".to_owned())
    }

    /// For the operator.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Ambiguous(_) => "ambiguous",
            Self::Batch => "batch",
            Self::NotAMessage => "not-a-message",
            Self::NotJson => "not-json",
        }
    }
}

impl Call {
    /// Reads one message.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, CallError> {
        let text = std::str::from_utf8(body).map_err(|_| CallError::NotJson)?;
        let members = serde_json::from_str(text).map_err(|_| unreadable(text))?;
        let envelope = Distinct::new(members, ENVELOPE)?;
        if envelope.string("jsonrpc").as_deref() != Some("2.0") {
            return Err(CallError::NotAMessage);
        }
        let id = match envelope.get("id") {
            Some(raw) => Some(Id::new(raw).ok_or(CallError::NotAMessage)?),
            None => None,
        };
        let answers = envelope.get("result").is_some() || envelope.get("error").is_some();
        let Some(method) = envelope.get("method") else {
            return match &id {
                Some(_) if answers => Ok(Self::response(id)),
                _ => Err(CallError::NotAMessage),
            };
        };
        if answers {
            let problem = "it is a request and a response at once";
            return Err(CallError::Ambiguous(problem.to_owned()));
        }
        let method = string(method).ok_or(CallError::NotAMessage)?;
        check_method(&method)?;
        let params = match envelope.get("params") {
            Some(raw) if raw.get().starts_with('{') => Distinct::read(raw, PARAMS)?,
            _ => Distinct::default(),
        };
        let needs = needs(&method, &params)?;
        let mirrored = match method.as_str() {
            "tools/call" | "prompts/get" => Some("name"),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
            "tasks/cancel" | "tasks/get" | "tasks/update" => Some("taskId"),
            _ => None,
        };
        let meta = params.object("_meta", META)?;
        Ok(Self {
            id,
            mirrors_name: mirrored.is_some(),
            mirrored_name: mirrored.and_then(|key| params.string(key)),
            protocol_version: meta.string(PROTOCOL_VERSION),
            method: Some(method),
            needs,
        })
    }

    fn response(id: Option<Id>) -> Self {
        let needs = Needs::Server;
        let (mirrors_name, mirrored_name, protocol_version) = (false, None, None);
        Self { id, method: None, needs, mirrors_name, mirrored_name, protocol_version }
    }

    /// The name of what it is about, for people.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.needs {
            Needs::Things(things) => things.first().map(Thing::name),
            _ => None,
        }
    }

    /// The id if it is a request, which has an answer.
    pub(crate) fn request_id(&self) -> Option<&Id> {
        self.id.as_ref().filter(|_| self.method.is_some())
    }

    /// Whether its answer is a stream without an end.
    pub(crate) fn listens(&self) -> bool {
        self.method.as_deref() == Some("subscriptions/listen")
    }

    /// The method if it is a known one.
    pub(crate) fn known_method(&self) -> Option<&'static str> {
        let method = self.method.as_deref()?;
        METHODS.into_iter().find(|known| *known == method)
    }

    /// Whether its answer lists things, of which a caller may be allowed some.
    pub(crate) fn is_list(&self) -> bool {
        matches!(
            self.method.as_deref(),
            Some(
                "prompts/list"
                    | "resources/directory/read"
                    | "resources/list"
                    | "resources/templates/list"
                    | "tools/list"
            )
        )
    }
}

/// Why a text is no object whose members can be read.
fn unreadable(text: &str) -> CallError {
    match serde_json::from_str::<&RawValue>(text).map(|raw| raw.get().as_bytes().first()) {
        Ok(Some(b'{')) => CallError::unreadable_name(),
        Ok(Some(b'[')) => CallError::Batch,
        Ok(_) => CallError::NotAMessage,
        Err(_) => CallError::NotJson,
    }
}

fn needs(method: &str, params: &Distinct<'_>) -> Result<Needs, CallError> {
    let named = |key: &str, thing: fn(String) -> Thing| {
        Needs::Things(params.string(key).map(thing).into_iter().collect())
    };
    Ok(match method {
        "tools/call" => named("name", Thing::Tool),
        "prompts/get" => named("name", Thing::Prompt),
        "resources/directory/read"
        | "resources/read"
        | "resources/subscribe"
        | "resources/unsubscribe" => named("uri", Thing::Resource),
        "completion/complete" => Needs::Things(referred(params)?.into_iter().collect()),
        "subscriptions/listen" => subscriptions(params)?,
        "initialize"
        | "ping"
        | "prompts/list"
        | "resources/list"
        | "resources/templates/list"
        | "server/discover"
        | "tools/list" => Needs::Server,
        method if method.starts_with("notifications/") => Needs::Server,
        method => Needs::Method(method.to_owned()),
    })
}

/// What a completion is for.
fn referred(params: &Distinct<'_>) -> Result<Option<Thing>, CallError> {
    let reference = params.object("ref", REFERENCE)?;
    Ok(match reference.string("type").as_deref() {
        Some("ref/prompt") => reference.string("name").map(Thing::Prompt),
        Some("ref/resource") => reference.string("uri").map(Thing::Resource),
        _ => None,
    })
}

/// Changes of a server's lists are for everybody who may use it, changes of a resource for those who may read it.
fn subscriptions(params: &Distinct<'_>) -> Result<Needs, CallError> {
    let wanted = params.object("notifications", NOTIFICATIONS)?;
    let Some(raw) = wanted.get("resourceSubscriptions") else {
        return Ok(Needs::Server);
    };
    let uris = serde_json::from_str::<Vec<String>>(raw.get());
    Ok(match uris {
        Ok(uris) if uris.is_empty() => Needs::Server,
        Ok(uris) if uris.len() <= MAXIMUM_SUBSCRIPTIONS => {
            Needs::Things(uris.into_iter().map(Thing::Resource).collect())
        }
        _ => Needs::Things(Vec::new()),
    })
}

/// Refuses a method that somebody could take for a known one that it is not.
fn check_method(method: &str) -> Result<(), CallError> {
    if method.is_empty() || method.len() > MAXIMUM_METHOD_BYTES {
        return Err(CallError::NotAMessage);
    }
    if !method.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "its method is not all visible ASCII";
        return Err(CallError::Ambiguous(problem.to_owned()));
    }
    let bare = method.trim_matches('/');
    match METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(bare)) {
        Some(known) if known != method => {
            Err(CallError::Ambiguous(format!("its method is almost `{known}`")))
        }
        _ => Ok(()),
    }
}

/// Without the differences that a parser which ignores case and white space does not see.
fn folded(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let visible = text.chars().filter(|c| !c.is_whitespace());
    // Upper case first: `ſ` has `S` for its upper case, and itself for its lower case.
    visible.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The members of an object, each of which is there once.
#[derive(Default)]
struct Distinct<'a>(Members<'a>);

impl<'a> Distinct<'a> {
    /// Reads an object in which these members are decided on.
    fn read(raw: &'a RawValue, known: &[&str]) -> Result<Self, CallError> {
        let members = serde_json::from_str(raw.get());
        Self::new(members.map_err(|_| CallError::unreadable_name())?, known)
    }

    fn new(members: Members<'a>, known: &[&str]) -> Result<Self, CallError> {
        let mut names = Vec::with_capacity(members.0.len());
        for (key, _) in &members.0 {
            if key.contains(char::is_control) {
                let problem = "a control character in a member's name";
                return Err(CallError::Ambiguous(problem.to_owned()));
            }
            let name = folded(key);
            if !known.contains(&&**key)
                && let Some(meant) = known.iter().find(|known| folded(known) == name)
            {
                return Err(CallError::Ambiguous(format!("a member is almost `{meant}`")));
            }
            names.push(name);
        }
        names.sort_unstable();
        if names.windows(2).any(|two| two[0] == two[1]) {
            return Err(CallError::Ambiguous("a member stands twice".to_owned()));
        }
        Ok(Self(members))
    }

    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.0.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
    }

    fn string(&self, key: &str) -> Option<String> {
        self.get(key).and_then(string)
    }

    /// A member that is an object; an empty one if it is not.
    fn object(&self, key: &str, known: &[&str]) -> Result<Self, CallError> {
        match self.get(key) {
            Some(raw) if raw.get().starts_with('{') => Self::read(raw, known),
            _ => Ok(Self::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(text: &str) -> Result<Call, CallError> {
        Call::parse(text.as_bytes())
    }

    fn needs_of(method: &str, params: &str) -> Needs {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        call(&text).unwrap().needs
    }

    #[test]
    fn a_call_needs_what_it_names() {
        let tool = |name: &str| Needs::Things(vec![Thing::Tool(name.to_owned())]);
        let prompt = |name: &str| Needs::Things(vec![Thing::Prompt(name.to_owned())]);
        let resource = |uri: &str| Needs::Things(vec![Thing::Resource(uri.to_owned())]);
        for (method, params, needs) in [
            ("tools/call", r#"{"name":"a","arguments":{"name":"b"}}"#, tool("a")),
            ("tools/call", r#"{"na\u006de":"\u0061"}"#, tool("a")),
            ("tools/call", r#"{"name":1}"#, Needs::Things(Vec::new())),
            ("tools/call", r#"["a"]"#, Needs::Things(Vec::new())),
            ("prompts/get", r#"{"name":"p"}"#, prompt("p")),
            ("resources/read", r#"{"uri":"file:///x"}"#, resource("file:///x")),
            ("resources/subscribe", r#"{"uri":"file:///x"}"#, resource("file:///x")),
            ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"p"}}"#, prompt("p")),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/resource","uri":"t:{x}"}}"#,
                resource("t:{x}"),
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/tool","name":"p"}}"#,
                Needs::Things(Vec::new()),
            ),
            (
                "subscriptions/listen",
                r#"{"notifications":{"toolsListChanged":true}}"#,
                Needs::Server,
            ),
            (
                "subscriptions/listen",
                r#"{"notifications":{"resourceSubscriptions":["a:b"]}}"#,
                resource("a:b"),
            ),
            (
                "subscriptions/listen",
                r#"{"notifications":{"resourceSubscriptions":"a:b"}}"#,
                Needs::Things(Vec::new()),
            ),
            ("initialize", "{}", Needs::Server),
            ("notifications/anything", "{}", Needs::Server),
            ("logging/setLevel", "{}", Needs::Method("logging/setLevel".to_owned())),
            ("tasks/result", "{}", Needs::Method("tasks/result".to_owned())),
        ] {
            assert_eq!(needs_of(method, params), needs, "{method} {params}");
        }
    }

    #[test]
    fn a_response_needs_nothing_but_the_server() {
        let response =
            call(r#"{"jsonrpc":"2.0","id":"q1","result":{"method":"tools/call"}}"#).unwrap();
        assert_eq!((response.method, response.needs), (None, Needs::Server));
    }

    #[test]
    fn what_parsers_could_read_differently_is_refused() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"METHOD":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}," method ":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"method\u0000x":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":1,"x":2}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"param\u017f":{"name":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a","Uri":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","name":"b"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","\ud800":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"Tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"/tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000","params":{"name":"a"}}"#,
        ] {
            assert!(matches!(call(text), Err(CallError::Ambiguous(_))), "{text}: {:?}", call(text));
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for (text, error) in [
            ("", CallError::NotJson),
            ("{} {}", CallError::NotJson),
            ("\u{feff}{}", CallError::NotJson),
            (r#"{"jsonrpc":"2.0",}"#, CallError::NotJson),
            (r#" [{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, CallError::Batch),
            (r#""ping""#, CallError::NotAMessage),
            (r#"{"id":1,"method":"ping"}"#, CallError::NotAMessage),
            (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, CallError::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, CallError::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":1,"method":["ping"]}"#, CallError::NotAMessage),
            (r#"{"jsonrpc":"2.0","id":1}"#, CallError::NotAMessage),
        ] {
            assert_eq!(call(text), Err(error), "{text}");
        }
        assert_eq!(Call::parse(b"{\"jsonrpc\":\"2.0\",\"\xff\":1}"), Err(CallError::NotJson));
    }

    /// The letters of a text, some of them written as escapes.
    fn spelled(text: &'static str) -> impl Strategy<Value = String> {
        proptest::collection::vec(0..3u8, text.len()).prop_map(move |ways| {
            let spell = |(c, way): (char, u8)| match way {
                0 => c.to_string(),
                1 => format!("\\u{:04x}", u32::from(c)),
                _ => format!("\\u{:04X}", u32::from(c)),
            };
            text.chars().zip(ways).map(spell).collect()
        })
    }

    /// White space as JSON has it.
    fn space() -> impl Strategy<Value = String> {
        "[ \t\r\n]{0,3}"
    }

    proptest! {
        #[test]
        fn a_call_needs_the_same_however_it_is_spelled(
            method in spelled("tools/call"), key in spelled("name"), params in spelled("params"),
            name in spelled("delete"), s in space(), t in space(),
        ) {
            let text = format!(
                "{s}{{{t}\"id\"{s}:{t}1,\"{params}\"{s}:{{{t}\"{key}\":{s}\"{name}\"{t}}},{s}\"method\":\"{method}\"{t},\"jsonrpc\":\"2.0\"}}{s}"
            );
            let call = call(&text).expect("a call");
            prop_assert_eq!(call.needs, Needs::Things(vec![Thing::Tool("delete".to_owned())]));
        }

        /// Whoever ignores case, white space or all but one of several members cannot find a tool call in what was taken
        /// for something else.
        #[test]
        fn nothing_that_a_lenient_parser_takes_for_a_tool_call_passes_for_another(
            key in "(?i)method", method in "[ /]{0,1}(?i)tools/call[ /]{0,1}", first in any::<bool>(),
        ) {
            let call_member = format!("\"{key}\":\"{method}\"");
            let ping = "\"method\":\"ping\"";
            let members = if first { [call_member.as_str(), ping] } else { [ping, call_member.as_str()] };
            let two = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,{}}}", members.join(","));
            prop_assert!(call(&two).is_err());
            let one = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,{call_member}}}");
            match call(&one) {
                Ok(call) => prop_assert_eq!(call.method.as_deref(), Some("tools/call")),
                Err(_) => prop_assert!(key != "method" || method != "tools/call"),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Call::parse(&bytes);
        }
    }
}
