//! What can go wrong while a certificate is made.

use std::path::PathBuf;

/// Why a certificate was not made, or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate of an authority is malformed.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The private key of an authority belongs to another certificate.
    #[error("the private key is not the certificate's")]
    KeyMismatch,
    /// The name cannot be written as an IA5String (RFC 5280, 4.2.1.6): ASCII only.
    #[error("`{0}` is not ASCII")]
    NotAscii(String),
    /// Not the dotted text of an object identifier.
    #[error("`{0}` is not an object identifier")]
    ObjectIdentifier(String),
    /// The prefix is longer than the address.
    #[error("a prefix of {prefix} bits is too long for an address of {longest}")]
    Prefix {
        /// The prefix asked for.
        prefix: u8,
        /// The bits of the address.
        longest: u8,
    },
    /// The private key is malformed, encrypted, or of an algorithm that is not known.
    #[error("the private key cannot be read")]
    PrivateKey(#[source] rcgen::Error),
    /// The public key is malformed or of an algorithm that is not known.
    #[error("the public key cannot be certified")]
    PublicKey(#[source] rcgen::Error),
    /// The subject has two attributes of one type, which this encoder cannot write.
    #[error("the subject has the attribute `{0}` twice")]
    RepeatedAttribute(String),
    /// Not 1 to 20 bytes, or zero (RFC 5280, 4.1.2.2).
    #[error("a serial number is positive and has at most 20 bytes, not {0}")]
    SerialNumber(usize),
    /// The key could not be generated, or not sign.
    #[error("the certificate cannot be made")]
    Signing(#[source] rcgen::Error),
    /// The system gave no random bytes.
    #[error("the system has no randomness to give")]
    Randomness,
    /// The validity ends before it begins, or lies outside the years 0 to 9999 (RFC 5280, 4.1.2.5).
    #[error("no certificate can be valid from {not_before} to {not_after}")]
    Validity {
        /// Seconds since 1970.
        not_before: i64,
        /// Seconds since 1970.
        not_after: i64,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
