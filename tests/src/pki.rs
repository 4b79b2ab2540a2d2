//! Authorities and clients for a gate that runs, and so by the system's clock.

use std::path::{Path, PathBuf};

use portcullis_engine::{Clock, Timestamp};
use portcullis_pki::{AltName, Authority, Issued, Profile, Validity, write_private, write_public};

const DAY: i64 = 24 * 60 * 60;

/// The system's time.
#[must_use]
pub fn now() -> Timestamp {
    Clock::system().now()
}

/// From yesterday to tomorrow.
#[must_use]
pub fn valid() -> Validity {
    Validity { not_before: now() - DAY, not_after: now() + DAY }
}

/// From the day before yesterday to yesterday.
#[must_use]
pub fn expired() -> Validity {
    Validity { not_before: now() - 2 * DAY, not_after: now() - DAY }
}

/// From tomorrow to the day after.
#[must_use]
pub fn not_yet_valid() -> Validity {
    Validity { not_before: now() + DAY, not_after: now() + 2 * DAY }
}

/// A root of this name, valid now.
#[must_use]
pub fn root(name: &str) -> Authority {
    Authority::root(&Profile::authority(name, valid())).expect("a root")
}

/// The profile of a server on this machine.
#[must_use]
pub fn server() -> Profile {
    let names = vec![
        AltName::Dns("localhost".to_owned()),
        AltName::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
    ];
    Profile::server("gate", names, valid())
}

/// A client's certificates and key as the files that its tools take.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The client's own certificate.
    pub certificate: PathBuf,
    /// The certificate and the intermediates.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Identity {
    /// Writes what was issued, under this name.
    #[must_use]
    pub fn write(directory: &Path, name: &str, issued: &Issued) -> Self {
        let identity = Self::at(directory, name);
        write_public(&identity.certificate, &issued.certificate_pem).expect("a certificate's file");
        write_public(&identity.chain, &issued.chain_pem).expect("a chain's file");
        write_private(&identity.key, &issued.key_pem).expect("a key's file");
        identity
    }

    /// Where [`Identity::write`] puts the files.
    #[must_use]
    pub fn at(directory: &Path, name: &str) -> Self {
        let file = |end: &str| directory.join(format!("client-{name}{end}"));
        Self { certificate: file(".pem"), chain: file("-chain.pem"), key: file(".key") }
    }
}
