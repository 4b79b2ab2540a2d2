//! Which headers pass between a client and a server.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

/// About one connection and not about the message (RFC 9110, 7.6.1), whether `Connection` names them or not.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Told by a proxy of its client, and believed by servers: a client must not tell them itself. `Host` and the length
/// are made anew for the server.
static NOT_A_CLIENTS: [HeaderName; 9] = [
    CONTENT_LENGTH,
    EXPECT,
    FORWARDED,
    HOST,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// The headers of a client's request that its server gets: all that are about the message, also unknown ones.
pub(super) fn of_request(headers: HeaderMap) -> HeaderMap {
    without(headers, |name| HOP_BY_HOP.contains(name) || NOT_A_CLIENTS.contains(name))
}

/// The headers of a server's answer that its client gets.
pub(super) fn of_answer(headers: HeaderMap) -> HeaderMap {
    without(headers, |name| HOP_BY_HOP.contains(name))
}

/// The headers without these, and without those that `Connection` names.
fn without(mut headers: HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named =
        named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok());
    let unwanted = headers.keys().filter(|name| unwanted(name)).cloned();
    let unwanted: Vec<HeaderName> = named.chain(unwanted).collect();
    for name in &unwanted {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names(filter: fn(HeaderMap) -> HeaderMap, given: &[(&'static str, &'static str)]) -> String {
        let headers = given
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let left = filter(headers.collect());
        left.keys().map(HeaderName::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_about_the_message_passes_also_when_it_is_not_known() {
        let given = [
            ("authorization", "Bearer x"),
            ("mcp-method", "tools/call"),
            ("mcp-param-region", "eu"),
            ("x-anything", "1"),
        ];
        let all = "authorization mcp-method mcp-param-region x-anything";
        assert_eq!(names(of_request, &given), all);
        assert_eq!(names(of_answer, &given), all);
    }

    #[test]
    fn what_is_about_the_connection_does_not_pass() {
        let given = [
            ("connection", "close, X-Mine"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-mine", "1"),
            ("x-other", "1"),
        ];
        assert_eq!(names(of_request, &given), "x-other");
        assert_eq!(names(of_answer, &given), "x-other");
    }

    #[test]
    fn a_client_does_not_say_what_proxies_say() {
        let given = [
            ("content-length", "3"),
            ("forwarded", "for=10.0.0.1"),
            ("host", "gate"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
        ];
        assert_eq!(names(of_request, &given), "");
    }
}
