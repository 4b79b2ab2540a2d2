//! The headers that go with a message (MCP, Streamable HTTP).

use std::collections::HashMap;

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::message::Facts;

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAMETER: &str = "mcp-param-";

/// How a tool's schema says that a header repeats an argument.
const ANNOTATION: &str = "x-mcp-header";
/// Tools whose annotations are kept; of further ones the headers are left out, and the server says so.
const MAXIMUM_TOOLS: usize = 4096;
/// Of one tool.
const MAXIMUM_ANNOTATIONS: usize = 64;

/// What every message that is sent has.
pub(crate) fn common() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ])
}

/// What a message of 2026-07-28 has besides: its method, and the name of what it is about. Nothing if a value cannot
/// stand in a header.
pub(crate) fn standard(version: &str, method: &str, facts: &Facts) -> Option<HeaderMap> {
    let mut headers = common();
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_str(version).ok()?);
    headers.insert(METHOD, HeaderValue::from_str(method).ok()?);
    if let Some(name) = &facts.name {
        headers.insert(NAME, encoded(name)?);
    }
    Some(headers)
}

/// The arguments that headers repeat, by tool, learnt from the lists of tools that pass by.
#[derive(Debug, Default)]
pub(crate) struct AnnotatedTools(HashMap<String, Vec<(Vec<String>, HeaderName)>>);

#[derive(Deserialize)]
struct Listed {
    result: ListedTools,
}

#[derive(Deserialize)]
struct ListedTools {
    tools: Vec<ListedTool>,
}

#[derive(Deserialize)]
struct ListedTool {
    name: String,
    #[serde(default, rename = "inputSchema")]
    input_schema: Value,
}

impl AnnotatedTools {
    /// Looks for annotations in the answer to `tools/list`.
    pub(crate) fn learn(&mut self, answer: &Bytes) {
        let is_annotated = !self.0.is_empty()
            || answer.windows(ANNOTATION.len()).any(|part| part == ANNOTATION.as_bytes());
        let Ok(listed) = (if is_annotated {
            serde_json::from_slice::<Listed>(answer)
        } else {
            return;
        }) else {
            return;
        };
        for tool in listed.result.tools {
            let mut annotations = Vec::new();
            collect(&tool.input_schema, &mut Vec::new(), &mut annotations);
            annotations.truncate(MAXIMUM_ANNOTATIONS);
            if annotations.is_empty() {
                self.0.remove(&tool.name);
            } else if self.0.len() < MAXIMUM_TOOLS {
                self.0.insert(tool.name, annotations);
            }
        }
    }

    /// The headers of a call of a tool.
    pub(crate) fn headers(&self, tool: &str, call: &Bytes) -> HeaderMap {
        let Some(annotations) = self.0.get(tool) else { return HeaderMap::new() };
        let call: Value = serde_json::from_slice(call).unwrap_or_default();
        let arguments = &call["params"]["arguments"];
        let header = |(path, name): &(Vec<String>, HeaderName)| {
            let argument = path.iter().try_fold(arguments, |value, key| value.get(key))?;
            let text = match argument {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => argument.to_string(),
                _ => return None,
            };
            Some((name.clone(), encoded(&text)?))
        };
        annotations.iter().filter_map(header).collect()
    }
}

/// Annotations count on properties, and on properties of properties.
fn collect(schema: &Value, path: &mut Vec<String>, into: &mut Vec<(Vec<String>, HeaderName)>) {
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    for (name, property) in properties {
        path.push(name.clone());
        let annotation = property.get(ANNOTATION).and_then(Value::as_str);
        let header =
            annotation.filter(|annotation| !annotation.is_empty()).and_then(|annotation| {
                HeaderName::from_bytes(format!("{PARAMETER}{annotation}").as_bytes()).ok()
            });
        into.extend(header.map(|header| (path.clone(), header)));
        collect(property, path, into);
        path.pop();
    }
}

/// Plain text as it is; everything else, and what could be taken for the encoding, in Base64.
fn encoded(text: &str) -> Option<HeaderValue> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let has_spaces = text.starts_with(' ') || text.ends_with(' ');
    let looks_encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    if is_plain && !has_spaces && !looks_encoded {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", BASE64.encode(text.as_bytes()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_header_cannot_carry_is_encoded() {
        for (name, header) in [
            ("get_time", "get_time"),
            ("a b", "a b"),
            ("", ""),
            (" a", "=?base64?IGE=?="),
            ("caf\u{e9}", "=?base64?Y2Fmw6k=?="),
            ("a\r\nEvil: 1", "=?base64?YQ0KRXZpbDogMQ==?="),
            ("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
        ] {
            let facts = Facts { name: Some(name.to_owned()), ..Facts::default() };
            let headers = standard("2026-07-28", "tools/call", &facts).unwrap();
            assert_eq!(headers[NAME], header, "{name:?}");
            assert_eq!(headers[METHOD], "tools/call");
            assert_eq!(headers[PROTOCOL_VERSION], "2026-07-28");
        }
        assert!(standard("2026\n", "x", &Facts::default()).is_none());
        assert!(standard("2026-07-28", "x\u{e9}\n", &Facts::default()).is_none());
    }

    #[test]
    fn annotated_arguments_of_a_tool_become_headers_of_its_calls() {
        let mut tools = AnnotatedTools::default();
        tools.learn(&Bytes::from_static(
            br#"{"result":{"tools":[{"name":"t","inputSchema":{"properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "deep":{"properties":{"n":{"x-mcp-header":"N"}}},
                "bad":{"x-mcp-header":"not a token"},
                "list":{"items":{"x-mcp-header":"Off"}}}}}]}}"#,
        ));
        let call = Bytes::from_static(
            br#"{"params":{"arguments":{"region":" eu","deep":{"n":42},"bad":"x","list":["y"]}}}"#,
        );
        let headers = tools.headers("t", &call);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["mcp-param-region"], "=?base64?IGV1?=");
        assert_eq!(headers["mcp-param-n"], "42");
        assert!(tools.headers("other", &call).is_empty());
        tools.learn(&Bytes::from_static(br#"{"result":{"tools":[{"name":"t"}]}}"#));
        assert!(tools.headers("t", &call).is_empty());
    }
}
