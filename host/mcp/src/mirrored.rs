//! What revision 2026-07-28 mirrors from a message into headers, so that others can read it there. It is decided on the
//! message; a header that says something else is refused, in every revision, for whoever stands before or behind the
//! gate may go by it.

use data_encoding::BASE64;
use http::{HeaderMap, Response, StatusCode};

use crate::call::Call;
use crate::reply::{self, Body};

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// Lets a message through whose headers agree with it, as far as they are there.
pub(crate) fn check(headers: &HeaderMap, call: &Call) -> Result<(), Response<Body>> {
    let method = call.method.as_deref();
    agree(headers, METHOD, call, |value| Some(value) == method)?;
    if call.mirrors_name {
        let name = call.mirrored_name.as_deref();
        agree(headers, NAME, call, |value| {
            decoded(value).is_some_and(|value| Some(&*value) == name)
        })?;
    }
    let version = call.protocol_version.as_deref();
    agree(headers, PROTOCOL_VERSION, call, |value| version.is_none_or(|version| version == value))
}

fn agree(
    headers: &HeaderMap,
    header: &str,
    call: &Call,
    agrees: impl Fn(&str) -> bool,
) -> Result<(), Response<Body>> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    if values.next().is_none() && value.to_str().is_ok_and(agrees) {
        return Ok(());
    }
    let text = format!("header mismatch: {header} does not say what the message says");
    let (status, code) = (StatusCode::BAD_REQUEST, reply::HEADER_MISMATCH);
    Err(reply::because(reply::error(status, call.id.as_ref(), code, &text), "header-mismatch"))
}

/// A value that is no plain ASCII comes as Base64 (2026-07-28, Streamable HTTP, "Value Encoding").
fn decoded(value: &str) -> Option<String> {
    let encoded = value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?="));
    match encoded {
        Some(encoded) => String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn passes(headers: &[(&'static str, &'static str)], body: &str) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        check(&map, &Call::parse(body.as_bytes()).unwrap()).is_ok()
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"é","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

    #[test]
    fn headers_pass_when_they_agree_or_are_not_there() {
        assert!(passes(&[], CALL));
        let all = [
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?w6k=?="),
            ("mcp-protocol-version", "2026-07-28"),
        ];
        assert!(passes(&all, CALL));
        let listing = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert!(passes(
            &[("mcp-method", "tools/list"), ("mcp-protocol-version", "2025-11-25")],
            listing
        ));
    }

    #[test]
    fn a_header_that_says_something_else_is_refused() {
        for header in [
            ("mcp-method", "tools/list"),
            ("mcp-method", "Tools/Call"),
            ("mcp-name", "e"),
            ("mcp-name", "=?base64?w6k?="),
            ("mcp-name", "=?BASE64?w6k=?="),
            ("mcp-protocol-version", "2025-11-25"),
        ] {
            assert!(!passes(&[header], CALL), "{header:?}");
        }
        assert!(!passes(&[("mcp-method", "tools/call"), ("mcp-method", "tools/call")], CALL));
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert!(!passes(&[("mcp-method", "tools/list")], response));
        let nameless = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        assert!(!passes(&[("mcp-name", "a")], nameless));
    }
}
