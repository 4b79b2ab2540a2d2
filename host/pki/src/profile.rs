//! What is in a certificate.

use std::net::IpAddr;

pub use rcgen::KeyUsagePurpose as KeyUsage;

use crate::key::KeyType;
use crate::oid;

/// What a certificate says, apart from its key and its issuer.
///
/// The constructors give the profiles of daily use; every field may be changed afterwards, so that a fixture can be
/// wrong in exactly one way.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The attributes of the subject in the order of the encoding: dotted type and value. At most one of a type.
    pub subject: Vec<(String, String)>,
    /// The subject alternative names (RFC 5280, 4.2.1.6).
    pub alt_names: Vec<AltName>,
    /// The key that [`Authority::issue`](crate::Authority::issue) generates.
    pub key: KeyType,
    /// When the certificate is valid.
    pub validity: Validity,
    /// The key usages (RFC 5280, 4.2.1.3); the extension is left out when there are none.
    pub key_usages: Vec<KeyUsage>,
    /// The extended key usages (RFC 5280, 4.2.1.12), dotted; the extension is left out when there are none.
    pub extended_key_usages: Vec<String>,
    /// Whether it is a CA, and how many CAs may stand below it (RFC 5280, 4.2.1.9).
    pub ca: Option<PathLength>,
    /// Leaves the basic constraints out, whatever `ca` says. Without them a certificate is no CA's.
    pub without_basic_constraints: bool,
    /// The names that a CA may issue for (RFC 5280, 4.2.1.10).
    pub permitted_names: Vec<NameConstraint>,
    /// The names that a CA may not issue for.
    pub excluded_names: Vec<NameConstraint>,
    /// Big-endian, positive, at most 20 bytes (RFC 5280, 4.1.2.2). Random when not given.
    pub serial_number: Option<Vec<u8>>,
    /// Further extensions, written as they are, even beside one of the same type.
    pub extensions: Vec<Extension>,
}

/// The first and the last second at which a certificate is valid, since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

/// One subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A host name.
    Dns(String),
    /// A mail address.
    Email(String),
    /// An IP address.
    Ip(IpAddr),
    /// A URI, a SPIFFE ID for instance.
    Uri(String),
}

/// One subtree of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameConstraint {
    /// A domain and everything below it.
    Dns(String),
    /// A mailbox, a host or a domain.
    Email(String),
    /// A network.
    Ip {
        /// Any address of the network.
        address: IpAddr,
        /// The bits that are fixed.
        prefix: u8,
    },
}

/// How many CA certificates may stand between a CA and a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLength {
    /// At most so many.
    AtMost(u8),
    /// Any number.
    Unlimited,
}

/// An extension as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The type, dotted.
    pub oid: String,
    /// Whether who does not know it must refuse the certificate.
    pub critical: bool,
    /// The content of its OCTET STRING. Unchecked: a fixture may put garbage here.
    pub value: Vec<u8>,
}

impl Profile {
    /// A CA for certificates and CRLs, with any path length and no name constraints.
    #[must_use]
    pub fn authority(common_name: &str, validity: Validity) -> Self {
        Self {
            key_usages: vec![KeyUsage::KeyCertSign, KeyUsage::CrlSign],
            ca: Some(PathLength::Unlimited),
            ..Self::plain(common_name, validity)
        }
    }

    /// A TLS client.
    #[must_use]
    pub fn client(common_name: &str, validity: Validity) -> Self {
        Self {
            key_usages: vec![KeyUsage::DigitalSignature],
            extended_key_usages: vec![oid::CLIENT_AUTH.to_owned()],
            ..Self::plain(common_name, validity)
        }
    }

    /// A TLS server that is reached under `names`.
    #[must_use]
    pub fn server(common_name: &str, names: Vec<AltName>, validity: Validity) -> Self {
        Self {
            alt_names: names,
            key_usages: vec![KeyUsage::DigitalSignature],
            extended_key_usages: vec![oid::SERVER_AUTH.to_owned()],
            ..Self::plain(common_name, validity)
        }
    }

    fn plain(common_name: &str, validity: Validity) -> Self {
        Self {
            subject: vec![(oid::COMMON_NAME.to_owned(), common_name.to_owned())],
            alt_names: Vec::new(),
            key: KeyType::default(),
            validity,
            key_usages: Vec::new(),
            extended_key_usages: Vec::new(),
            ca: None,
            without_basic_constraints: false,
            permitted_names: Vec::new(),
            excluded_names: Vec::new(),
            serial_number: None,
            extensions: Vec::new(),
        }
    }
}
