//! The URLs that are fetched, and the hosts that certificates may send us to.

use std::fmt;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// In lower case.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
}

/// Why text is not a URL that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a URL such as `http://ca.example/clients.crl`")]
pub struct UrlError(String);

impl Url {
    /// The most that is looked at: a certificate may name longer ones, and no CA does.
    const MAXIMUM_BYTES: usize = 2048;

    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let refuse = || UrlError(portcullis_core::printable(text, 256));
        if text.len() > Self::MAXIMUM_BYTES {
            return Err(refuse());
        }
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse()),
        };
        let authority = uri.authority().ok_or_else(refuse)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refuse());
        }
        Ok(Self {
            https,
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            path: uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
        })
    }

    /// Host and port, as an HTTP request names them.
    pub(crate) fn authority(&self) -> String {
        if self.port == self.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// The hosts that certificates may send us to.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowedHosts(Vec<(String, Option<u16>)>);

impl AllowedHosts {
    /// Each is `host`, for the scheme's own port, or `host:port`.
    pub(crate) fn new(hosts: &[String]) -> Result<Self, UrlError> {
        hosts
            .iter()
            .map(|host| {
                let url = Url::parse(&format!("http://{host}/"))
                    .ok()
                    .filter(|url| url.path == "/")
                    .ok_or_else(|| UrlError(host.clone()))?;
                let has_port = !url.host.eq_ignore_ascii_case(host);
                Ok((url.host, has_port.then_some(url.port)))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn allow(&self, url: &Url) -> bool {
        self.0.iter().any(|(host, port)| {
            *host == url.host && port.unwrap_or_else(|| url.default_port()) == url.port
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_http_and_absolute() {
        let url = Url::parse("http://CA.example/a.crl?x=1").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.path.as_str()),
            ("ca.example", 80, "/a.crl?x=1")
        );
        assert_eq!(url.to_string(), "http://ca.example/a.crl?x=1");
        assert_eq!(
            Url::parse("https://ca.example:8443").unwrap().to_string(),
            "https://ca.example:8443/"
        );
        assert_eq!(Url::parse("http://[::1]:80/").unwrap().authority(), "[::1]");
        for text in [
            "ldap://ca.example/",
            "/a.crl",
            "ca.example",
            "http://",
            "http://user@ca.example/",
            "",
            "file:///etc",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert!(Url::parse(&format!("http://a/{}", "x".repeat(4096))).is_err());
    }

    #[test]
    fn hosts_are_allowed_with_their_port() {
        let hosts = ["CA.example", "127.0.0.1:8080", "[::1]:81"].map(str::to_owned);
        let allowed = AllowedHosts::new(&hosts).unwrap();
        let allows = |text: &str| allowed.allow(&Url::parse(text).unwrap());
        assert!(allows("http://ca.example/x") && allows("https://ca.example/x"));
        assert!(allows("http://127.0.0.1:8080/") && allows("http://[::1]:81/"));
        for text in [
            "http://ca.example:81/",
            "http://ca.example:443/",
            "http://127.0.0.1/",
            "http://sub.ca.example/",
            "http://ca.example.evil/",
        ] {
            assert!(!allows(text), "{text}");
        }
        assert!(AllowedHosts::new(&["http://x/".to_owned()]).is_err());
        assert!(AllowedHosts::new(&["a/b".to_owned()]).is_err());
    }
}
