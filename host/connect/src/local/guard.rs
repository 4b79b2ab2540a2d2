//! Which local requests a web page must not be able to make.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

use super::Options;

/// Lets a request through whose host is this machine and whose `Origin`, if any, is allowed. A page that made its own
/// name point here (DNS rebinding) asks for that name, never for an address.
pub(super) fn check(parts: &Parts, options: &Options) -> Result<(), &'static str> {
    for origin in parts.headers.get_all(ORIGIN) {
        let allowed = |known: &String| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes());
        if !options.allowed_origins.iter().any(allowed) {
            return Err("this origin is not allowed");
        }
    }
    let Some(host) = host(parts) else { return Err("one valid Host header is required") };
    if is_local(host.host(), options.beyond_loopback) {
        return Ok(());
    }
    Err("this host is not allowed: ask for an address, or for localhost")
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

fn is_local(host: &str, any_address: bool) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => any_address || address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_let_in(uri: &str, headers: &[(&str, &str)], options: &Options) -> bool {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, options).is_ok()
    }

    fn options() -> Options {
        Options::new("127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn only_hosts_of_this_machine_are_served() {
        for host in ["127.0.0.1:8080", "127.1.2.3", "localhost:1", "LOCALHOST", "[::1]:8080"] {
            assert!(is_let_in("/", &[("host", host)], &options()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "[2001:db8::1]",
            "2130706433",
            "localhost.",
            "",
        ] {
            assert!(!is_let_in("/", &[("host", host)], &options()), "{host}");
        }
        assert!(!is_let_in("/", &[], &options()));
        assert!(!is_let_in("/", &[("host", "localhost"), ("host", "localhost")], &options()));
        assert!(!is_let_in("http://evil.example/", &[("host", "localhost")], &options()));
    }

    #[test]
    fn beyond_loopback_addresses_are_served_and_names_are_not() {
        let mut options = options();
        options.beyond_loopback = true;
        assert!(is_let_in("/", &[("host", "192.0.2.1:8080")], &options));
        assert!(!is_let_in("/", &[("host", "evil.example")], &options));
    }

    #[test]
    fn a_web_page_is_served_only_when_its_origin_is_listed() {
        let with = |origin| [("host", "localhost"), ("origin", origin)];
        assert!(!is_let_in("/", &with("http://localhost:3000"), &options()));
        assert!(!is_let_in("/", &with("null"), &options()));
        let mut options = options();
        options.allowed_origins = vec!["http://localhost:3000".to_owned()];
        assert!(is_let_in("/", &with("http://localhost:3000"), &options));
        assert!(!is_let_in("/", &with("http://localhost:3001"), &options));
    }
}
