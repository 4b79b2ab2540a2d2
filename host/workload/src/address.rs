//! Where the agent listens (SPIFFE Workload Endpoint, section 4).

use std::fmt;

use spiffe::transport::{Endpoint, EndpointError};

/// The environment variable that has the address where nothing else does.
pub const ENDPOINT_SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";

/// `unix:/run/spire/agent/public/api.sock`, or `tcp:127.0.0.1:8081`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    endpoint: Endpoint,
}

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is not the address of a Workload API: {problem}; expected `unix:/PATH` or `tcp:ADDRESS:PORT`"
)]
pub struct AddressError {
    text: String,
    problem: EndpointError,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// When it is neither a socket with an absolute path nor an IP address with a port.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match Endpoint::parse(text) {
            Ok(endpoint) => Ok(Self { text: text.to_owned(), endpoint }),
            Err(problem) => Err(AddressError { text: text.to_owned(), problem }),
        }
    }

    /// Where the environment says; none when it says nothing.
    #[must_use]
    pub fn of_environment() -> Option<Result<Self, AddressError>> {
        let text = std::env::var_os(ENDPOINT_SOCKET)?;
        Some(Self::parse(&text.to_string_lossy()))
    }

    /// Whether what the agent gives stays on this machine. Nothing encrypts it, and the key is in it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.endpoint {
            Endpoint::Unix(_) => true,
            Endpoint::Tcp { host, .. } => host.is_loopback(),
            _ => false,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_ip_addresses_with_a_port_are_taken() {
        for text in ["unix:/run/agent.sock", "unix:///run/agent.sock", "tcp:127.0.0.1:8081"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_key_leaves_the_machine_on_its_way_from_another_address_than_its_own() {
        let is_local = |text| Address::parse(text).unwrap().is_local();
        assert!(is_local("unix:/run/agent.sock"));
        assert!(is_local("tcp:127.0.0.1:8081"));
        assert!(is_local("tcp://[::1]:8081"));
        assert!(!is_local("tcp:192.0.2.1:8081"));
    }

    #[test]
    fn what_is_no_address_is_named_with_the_way_out() {
        for text in ["", "/run/agent.sock", "unix:agent.sock", "tcp:agent:8081", "tcp:127.0.0.1"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}`")), "{error}");
            assert!(error.ends_with("expected `unix:/PATH` or `tcp:ADDRESS:PORT`"), "{error}");
        }
    }
}
