//! Which requests a web page must not be able to make (MCP, Streamable HTTP, "Security").

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Response, StatusCode};

use crate::options::Options;
use crate::reply::{self, Body};

/// Lets a request through whose `Origin`, if any, and host are allowed.
pub(crate) fn check(parts: &Parts, options: &Options) -> Result<(), Response<Body>> {
    for origin in parts.headers.get_all(ORIGIN) {
        let allowed = |known: &String| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes());
        if !options.allowed_origins.iter().any(allowed) {
            let response = reply::text(StatusCode::FORBIDDEN, "this origin is not allowed");
            return Err(reply::because(response, "origin"));
        }
    }
    let Some(host) = host(parts) else {
        let text = "one valid Host header is required";
        return Err(reply::because(reply::text(StatusCode::BAD_REQUEST, text), "host"));
    };
    if options.allowed_hosts.is_empty()
        || options.allowed_hosts.iter().any(|known| is(known, &host))
    {
        return Ok(());
    }
    Err(reply::because(reply::text(StatusCode::FORBIDDEN, "this host is not allowed"), "host"))
}

/// HTTP/2 has it in the URI. So may HTTP/1.1, and then the URI counts (RFC 9112, 3.2.2).
fn host(parts: &Parts) -> Option<Authority> {
    if let Some(authority) = parts.uri.authority() {
        return Some(authority.clone());
    }
    let mut values = parts.headers.get_all(HOST).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    Authority::try_from(value.as_bytes()).ok()
}

fn is(known: &str, host: &Authority) -> bool {
    known.eq_ignore_ascii_case(host.as_str()) || known.eq_ignore_ascii_case(host.host())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn status(uri: &str, headers: &[(&str, &str)], options: &Options) -> u16 {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, options).map_or_else(|response| response.status().as_u16(), |()| 200)
    }

    #[test]
    fn an_origin_comes_in_only_when_it_is_listed() {
        let mut options = Options::default();
        let headers = [("host", "gate"), ("origin", "https://App.example")];
        assert_eq!(status("/", &headers[..1], &options), 200);
        assert_eq!(status("/", &headers, &options), 403);
        assert_eq!(status("/", &[headers[0], ("origin", "null")], &options), 403);
        options.allowed_origins.push("https://app.example".to_owned());
        assert_eq!(status("/", &headers, &options), 200);
        assert_eq!(
            status("/", &[headers[0], ("origin", "https://app.example:444")], &options),
            403
        );
        assert_eq!(
            status("/", &[headers[0], headers[1], ("origin", "https://evil")], &options),
            403
        );
    }

    #[test]
    fn a_host_is_required_once_and_checked_when_hosts_are_listed() {
        let mut options = Options::default();
        assert_eq!(status("/", &[], &options), 400);
        assert_eq!(status("/", &[("host", "a"), ("host", "b")], &options), 400);
        assert_eq!(status("/", &[("host", "a b")], &options), 400);
        options.allowed_hosts = vec!["gate.example".to_owned(), "127.0.0.1:8443".to_owned()];
        assert_eq!(status("/", &[("host", "GATE.example:1")], &options), 200);
        assert_eq!(status("https://gate.example/", &[("host", "evil")], &options), 200);
        assert_eq!(status("https://evil/", &[("host", "gate.example")], &options), 403);
        assert_eq!(status("/", &[("host", "127.0.0.1:8443")], &options), 200);
        assert_eq!(status("/", &[("host", "127.0.0.1")], &options), 403);
    }
}
