//! Who sends a request, as far as the MCP side has to know.

/// The accepted client at the other end of a connection.
///
/// It goes with every request of the connection, in the request's extensions, so that an answer never depends on
/// who opened a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number that the gate's audit gives the connection.
    pub connection: u64,
    /// The name that the policies agreed on.
    pub principal: Option<String>,
    /// What the policies established about the client, in the order in which they did.
    pub attributes: Vec<(String, String)>,
    /// The client's own certificate.
    pub certificate: CertificateFacts,
    /// What the client presented, as DER, leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// What each policy said, in the order of asking.
    pub policies: Vec<PolicyFacts>,
}

/// A certificate as text, for people. Nothing here is parsed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The subject as RFC 4514 text.
    pub subject: String,
    /// The issuer as RFC 4514 text.
    pub issuer: String,
    /// In lower-case hexadecimal.
    pub serial_number: String,
    /// SHA-256 of the DER encoding.
    pub sha256: [u8; 32],
    /// Kind and name: ("uri", "spiffe://example.org/agent").
    pub subject_alt_names: Vec<(String, String)>,
    /// The first second of the validity, since 1970.
    pub not_before: i64,
    /// The last second of the validity, since 1970.
    pub not_after: i64,
}

/// One policy's part in letting the client in. Details and log lines are the operator's, and are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFacts {
    /// The policy's name in the configuration.
    pub policy: String,
    /// Whether it ran in shadow mode: recorded, and without a say.
    pub shadow: bool,
    /// "accepted", "rejected" or "failed".
    pub outcome: &'static str,
    /// The code of a rejection or failure.
    pub code: Option<String>,
    /// How long it took.
    pub elapsed_us: u64,
    /// Its linear memory at its largest.
    pub memory_bytes: u64,
}

#[cfg(test)]
impl Caller {
    /// A client of this principal, for tests.
    pub(crate) fn of_principal(principal: Option<&str>) -> Self {
        Self {
            connection: 1,
            principal: principal.map(str::to_owned),
            attributes: Vec::new(),
            certificate: CertificateFacts {
                subject: "CN=alice".to_owned(),
                issuer: "CN=ca".to_owned(),
                serial_number: "0a".to_owned(),
                sha256: [0xab; 32],
                subject_alt_names: Vec::new(),
                not_before: 1_790_000_000,
                not_after: 1_800_000_000,
            },
            certificates: Vec::new(),
            policies: Vec::new(),
        }
    }
}
