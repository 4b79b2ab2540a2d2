//! What keeps a gate from being made.

use std::io;
use std::net::SocketAddr;

/// What keeps a gate from being made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// An application protocol's name does not fit ALPN.
    #[error("`{name}` cannot be an ALPN name: give 1 to 255 bytes")]
    Alpn {
        /// The name.
        name: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: is it taken, or not of this machine?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A percentage is none.
    #[error("`{option}` is {value}: give 1 to 100")]
    Percent {
        /// The option's name in the configuration.
        option: &'static str,
        /// What it is.
        value: u32,
    },
    /// A thread of the gate's own did not start.
    #[error("cannot start the thread that judges clients again")]
    Thread(#[source] io::Error),
    /// The TLS library refuses the set-up.
    #[error("the TLS set-up is refused: {0}")]
    Tls(String),
    /// A bound is zero.
    #[error("`{option}` is 0, which lets nobody in: give at least 1")]
    Zero {
        /// The option's name in the configuration.
        option: &'static str,
    },
}

/// Why PEM text is no server identity. Never holds a part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A certificate of the chain cannot be read.
    #[error("certificate {number} of the chain cannot be read: {reason}")]
    Certificate {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The PEM text is damaged.
    #[error("the {what} is not well-formed PEM: {reason}")]
    Malformed {
        /// "certificate chain" or "private key".
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key belongs to another certificate.
    #[error(
        "the private key does not belong to the first certificate, `{subject}`: \
         put the server's own certificate first, or give its key"
    )]
    Mismatch {
        /// The first certificate's subject.
        subject: String,
    },
    /// There is no certificate in the PEM text.
    #[error("no certificate found: expected `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// There is no private key in the PEM text.
    #[error(
        "no private key found: expected `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY` \
         (decrypt an encrypted key first)"
    )]
    NoKey,
    /// The key is of a kind that the TLS library cannot use.
    #[error(
        "the private key cannot be used: give ECDSA (P-256, P-384, P-521), Ed25519 or RSA of 2048 bits or more"
    )]
    UnusableKey,
}
