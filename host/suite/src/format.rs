//! The shape of a suite in TOML. The README has what each key means.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use data_encoding::HEXLOWER_PERMISSIVE;
use portcullis_config::{ChainStep, PolicySection};
use portcullis_engine::RevocationStatus;
use portcullis_pki::{Flaw, KeyUsage, NameConstraint, TestKeyType};
use serde::Deserialize;
use toml::Spanned;

use crate::moment::Moment;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SuiteFile {
    pub(crate) chain: Option<Vec<Spanned<ChainStep>>>,
    pub(crate) config: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(crate) policies: BTreeMap<String, PolicySection>,
    #[serde(default)]
    pub(crate) variants: BTreeMap<String, VariantSection>,
    pub(crate) time: Option<Spanned<Moment>>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) server_name: Option<String>,
    #[serde(default)]
    pub(crate) unlisted_revocation: Unlisted,
    #[serde(default)]
    pub(crate) revocation: Vec<AnswerSection>,
    #[serde(default)]
    pub(crate) certificates: BTreeMap<String, CertificateSection>,
    #[serde(default)]
    pub(crate) case: Vec<CaseSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariantSection {
    #[serde(default)]
    pub(crate) policies: BTreeMap<String, PolicySection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CaseSection {
    pub(crate) name: Spanned<String>,
    pub(crate) present: Spanned<OneOrMany>,
    pub(crate) variant: Option<Spanned<String>>,
    pub(crate) time: Option<Moment>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) server_name: Option<String>,
    pub(crate) unlisted_revocation: Option<Unlisted>,
    #[serde(default)]
    pub(crate) revocation: Vec<AnswerSection>,
    pub(crate) accept: Option<Spanned<Accept>>,
    pub(crate) reject: Option<Spanned<Reject>>,
}

/// One text, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected true, or { principal, attributes, valid-until }, each optional"
)]
pub(crate) enum Accept {
    Plain(bool),
    Compared(Accepted),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Accepted {
    pub(crate) principal: Option<String>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, OneOrMany>,
    pub(crate) valid_until: Option<Moment>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a rejection code, or { code, policy, detail }, of which only `code` is required"
)]
pub(crate) enum Reject {
    Code(String),
    Compared(Rejected),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejected {
    pub(crate) code: String,
    pub(crate) policy: Option<String>,
    pub(crate) detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unlisted {
    Good,
    #[default]
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AnswerSection {
    pub(crate) certificate: Spanned<String>,
    pub(crate) issuer: Option<Spanned<String>>,
    pub(crate) source: Source,
    pub(crate) status: Status,
    pub(crate) revoked_at: Option<Moment>,
    pub(crate) this_update: Option<Moment>,
    pub(crate) next_update: Option<Moment>,
    #[serde(default)]
    pub(crate) detail: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    Crl,
    Ocsp,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Crl => "crl",
            Self::Ocsp => "ocsp",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Good,
    Revoked,
    Unknown,
}

impl From<Status> for RevocationStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Good => Self::Good,
            Status::Revoked => Self::Revoked,
            Status::Unknown => Self::Unknown,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct CertificateSection {
    pub(crate) file: Option<Spanned<PathBuf>>,
    pub(crate) der: Option<Hex>,
    pub(crate) issuer: Option<Spanned<String>>,
    pub(crate) subject: Option<Subject>,
    pub(crate) dns: Vec<String>,
    pub(crate) email: Vec<String>,
    pub(crate) ip: Vec<IpAddr>,
    pub(crate) uri: Vec<String>,
    pub(crate) key: Option<Key>,
    pub(crate) same_key_as: Option<Spanned<String>>,
    pub(crate) not_before: Option<Moment>,
    pub(crate) not_after: Option<Moment>,
    pub(crate) ca: bool,
    pub(crate) path_length: Option<u8>,
    pub(crate) permitted: Names,
    pub(crate) excluded: Names,
    pub(crate) key_usage: Option<Vec<Usage>>,
    pub(crate) extended_key_usage: Option<Vec<String>>,
    pub(crate) serial_number: Option<Hex>,
    pub(crate) extensions: Vec<ExtensionSection>,
    pub(crate) flaws: Vec<FlawName>,
}

/// The common name, or attributes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a common name, or a table of `common-name`, `organization`, `organizational-unit`, `country` and \
                 dotted object identifiers"
)]
pub(crate) enum Subject {
    CommonName(String),
    Attributes(BTreeMap<String, String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) enum Key {
    #[serde(rename = "p256")]
    P256,
    #[serde(rename = "p384")]
    P384,
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "rsa-1024")]
    Rsa1024,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl From<Key> for TestKeyType {
    fn from(key: Key) -> Self {
        match key {
            Key::P256 => Self::P256,
            Key::P384 => Self::P384,
            Key::Ed25519 => Self::Ed25519,
            Key::Rsa1024 => Self::Rsa1024,
            Key::Rsa2048 => Self::Rsa2048,
            Key::Rsa3072 => Self::Rsa3072,
            Key::Rsa4096 => Self::Rsa4096,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Names {
    pub(crate) dns: Vec<String>,
    pub(crate) email: Vec<String>,
    pub(crate) ip: Vec<Network>,
}

impl Names {
    pub(crate) fn constraints(&self) -> Vec<NameConstraint> {
        let dns = self.dns.iter().cloned().map(NameConstraint::Dns);
        let email = self.email.iter().cloned().map(NameConstraint::Email);
        let ip = self
            .ip
            .iter()
            .map(|&Network { address, prefix }| NameConstraint::Ip { address, prefix });
        dns.chain(email).chain(ip).collect()
    }
}

/// `10.0.0.0/8`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(address, prefix)| {
                Some(Self { address: address.parse().ok()?, prefix: prefix.parse().ok()? })
            })
            .ok_or_else(|| format!("`{text}` is not a network, as `10.0.0.0/8` is one"))
    }
}

/// RFC 5280, 4.2.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) enum Usage {
    #[serde(rename = "digitalSignature")]
    DigitalSignature,
    #[serde(rename = "nonRepudiation")]
    NonRepudiation,
    #[serde(rename = "keyEncipherment")]
    KeyEncipherment,
    #[serde(rename = "dataEncipherment")]
    DataEncipherment,
    #[serde(rename = "keyAgreement")]
    KeyAgreement,
    #[serde(rename = "keyCertSign")]
    KeyCertSign,
    #[serde(rename = "cRLSign")]
    CrlSign,
    #[serde(rename = "encipherOnly")]
    EncipherOnly,
    #[serde(rename = "decipherOnly")]
    DecipherOnly,
}

impl From<Usage> for KeyUsage {
    fn from(usage: Usage) -> Self {
        match usage {
            Usage::DigitalSignature => Self::DigitalSignature,
            Usage::NonRepudiation => Self::ContentCommitment,
            Usage::KeyEncipherment => Self::KeyEncipherment,
            Usage::DataEncipherment => Self::DataEncipherment,
            Usage::KeyAgreement => Self::KeyAgreement,
            Usage::KeyCertSign => Self::KeyCertSign,
            Usage::CrlSign => Self::CrlSign,
            Usage::EncipherOnly => Self::EncipherOnly,
            Usage::DecipherOnly => Self::DecipherOnly,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtensionSection {
    pub(crate) oid: String,
    #[serde(default)]
    pub(crate) critical: bool,
    pub(crate) value: Hex,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FlawName {
    ContradictorySignatureAlgorithm,
    NoBasicConstraints,
    TrailingData,
    Truncated,
    UnsupportedSignatureAlgorithm,
    WrongSignature,
}

impl FlawName {
    /// The flaw that is put into the bytes; none of the one that is left out of them.
    pub(crate) fn in_bytes(self) -> Option<Flaw> {
        match self {
            Self::ContradictorySignatureAlgorithm => Some(Flaw::ContradictorySignatureAlgorithm),
            Self::NoBasicConstraints => None,
            Self::TrailingData => Some(Flaw::TrailingData),
            Self::Truncated => Some(Flaw::Truncated),
            Self::UnsupportedSignatureAlgorithm => Some(Flaw::UnsupportedSignatureAlgorithm),
            Self::WrongSignature => Some(Flaw::WrongSignature),
        }
    }
}

/// Bytes in hexadecimal.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: String = text.split_ascii_whitespace().collect();
        HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map(Self).map_err(|error| {
            format!("`{}` is not hexadecimal: {error}", portcullis_engine::printable(&text, 80))
        })
    }
}
