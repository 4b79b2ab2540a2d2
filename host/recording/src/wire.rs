//! What stands in a recording, version 1 of the format: the types and their encoding.
//!
//! The types are this format's own and change only with its version, whatever becomes of those that the engine works
//! with. The encoding is bincode's, and this module alone knows: it is for files that this host has written, behind a
//! checksum, and never for what comes from a network.

use std::net::IpAddr;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

use crate::error::{Damage, RecordingError};

/// The largest record, in bytes: several times what 16 certificates and the limits of the contract allow for.
pub const MAXIMUM_RECORD_BYTES: usize = 8 * 1024 * 1024;

/// What a decoder may allocate for one record: a list of small things is larger in memory than in the file.
const MAXIMUM_DECODED_BYTES: usize = 4 * MAXIMUM_RECORD_BYTES;

/// The head of a file: who has judged what follows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileHeader {
    /// When the file was begun, in seconds since 1970.
    pub created: i64,
    /// The version of the host that wrote it.
    pub host_version: String,
    /// The chain of policies in the order of asking.
    pub policies: Vec<PolicyIdentity>,
}

/// A policy's place in the chain, and all that its verdicts depend on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PolicyIdentity {
    /// Its name in the configuration.
    pub name: String,
    /// The step of the chain, from 0: members of an `any` group share one.
    pub step: u32,
    /// Whether it is asked and never decides.
    pub shadow: bool,
    /// SHA-256 of the component, in lower-case hexadecimal.
    pub component_sha256: String,
    /// SHA-256 of the settings, as the JSON text that the policy was configured with, in lower-case hexadecimal.
    pub settings_sha256: String,
    /// What it was configured with.
    pub assets: Vec<AssetIdentity>,
}

/// An asset of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AssetIdentity {
    /// Its name.
    pub name: String,
    /// SHA-256 of its content, in lower-case hexadecimal.
    pub sha256: String,
}

/// One judged handshake.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// What the client sent, in DER, its own certificate first.
    pub certificates: Vec<Vec<u8>>,
    /// The time judged at, in seconds since 1970.
    pub time: i64,
    /// Where the client connected from.
    pub peer_address: PeerAddress,
    /// The server name that it asked for.
    pub server_name: Option<String>,
    /// What the policies were told about revocation.
    pub answers: Vec<RecordedAnswer>,
    /// Whether `answers` has all that they asked.
    pub answers_complete: bool,
    /// What came of it.
    pub decision: RecordedDecision,
}

/// An address as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerAddress {
    /// Version 4 or 6.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// The scope of a link-local address of version 6 (RFC 4007); 0 otherwise.
    pub scope_id: u32,
}

/// What a source said of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordedAnswer {
    /// SHA-256 of the certificate that was asked about.
    pub subject_sha256: [u8; 32],
    /// SHA-256 of its issuer's.
    pub issuer_sha256: [u8; 32],
    /// The source that was asked.
    pub asked: String,
    /// Good, revoked or unknown.
    pub status: RecordedStatus,
    /// The source that answered; empty when unknown.
    pub source: String,
    /// Why it is unknown.
    pub detail: String,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// When the source made its statement.
    pub this_update: Option<i64>,
    /// When it will have made the next one.
    pub next_update: Option<i64>,
}

/// A certificate's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecordedStatus {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked,
    /// Nobody knows.
    Unknown,
}

/// A verdict and every policy's part in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordedDecision {
    /// Whether the client may come in.
    pub verdict: RecordedVerdict,
    /// In the order of asking.
    pub policies: Vec<RecordedPart>,
}

/// Whether the client may come in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecordedVerdict {
    /// Every policy accepts.
    Accepted {
        /// The name that a policy gave the client.
        principal: Option<String>,
        /// What the policies established.
        attributes: Vec<RecordedAttribute>,
        /// When a policy wants to be asked again.
        valid_until: Option<i64>,
    },
    /// One rejects, or could not judge.
    Rejected {
        /// The code.
        code: String,
        /// For people.
        detail: String,
        /// The policy that decided.
        policy: Option<String>,
    },
}

/// Something that a policy established.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordedAttribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One policy's part in a decision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordedPart {
    /// Its name in the configuration.
    pub policy: String,
    /// Whether it had no say.
    pub shadow: bool,
    /// What it said.
    pub outcome: RecordedOutcome,
    /// What it wrote to the log, where the operator wants that recorded.
    pub log: Vec<RecordedLine>,
    /// How long it took.
    pub elapsed_us: u64,
    /// Its memory at its largest.
    pub memory_bytes: u64,
}

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecordedOutcome {
    /// It accepts.
    Accepted {
        /// Who the client is, if it says so.
        principal: Option<String>,
        /// What it established.
        attributes: Vec<RecordedAttribute>,
        /// When it wants to be asked again.
        valid_until: Option<i64>,
    },
    /// It could not judge.
    Failed {
        /// The code.
        code: String,
        /// For people.
        detail: String,
    },
    /// It rejects.
    Rejected {
        /// The code.
        code: String,
        /// For people.
        detail: String,
    },
}

/// A line of a policy's log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordedLine {
    /// "error", "warn", "info" or "debug".
    pub level: String,
    /// What it says.
    pub text: String,
}

fn configuration() -> Configuration<LittleEndian, Varint, Limit<MAXIMUM_DECODED_BYTES>> {
    bincode::config::standard().with_limit::<MAXIMUM_DECODED_BYTES>()
}

pub(crate) fn encode(value: &impl Encode) -> Result<Vec<u8>, RecordingError> {
    let bytes = bincode::encode_to_vec(value, configuration())
        .map_err(|error| RecordingError::Encoding(error.to_string()))?;
    if bytes.len() > MAXIMUM_RECORD_BYTES {
        return Err(RecordingError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Exactly one value: bytes behind it are damage.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Damage> {
    let (value, length) = bincode::decode_from_slice(bytes, configuration())
        .map_err(|error| Damage::Malformed(error.to_string()))?;
    if length != bytes.len() {
        let left = bytes.len() - length;
        return Err(Damage::Malformed(format!("{left} bytes follow its end")));
    }
    Ok(value)
}
