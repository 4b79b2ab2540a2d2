//! Authorities and clients for a gate that runs, and so by the system's clock.

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_engine::{Clock, Timestamp};
use portcullis_pki::{
    AltName, Authority, Issued, Profile, PublicKey, Validity, write_private, write_public,
};

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
        let identity = Self::paths(directory, name);
        write_public(&identity.certificate, &issued.certificate_pem).expect("a certificate's file");
        write_public(&identity.chain, &issued.chain_pem).expect("a chain's file");
        write_private(&identity.key, &issued.key_pem).expect("a key's file");
        identity
    }

    /// Writes a certificate for an RSA key of 1,024 bits, which only openssl makes.
    #[must_use]
    pub fn write_weak(directory: &Path, name: &str, authority: &Authority) -> Self {
        let identity = Self::paths(directory, name);
        openssl(&["genrsa", "-out"], &identity.key, &["1024"]);
        let public = openssl(&["pkey", "-pubout", "-in"], &identity.key, &[]);
        let public = PublicKey::from_pem(&public).expect("openssl's own public key");
        let certified =
            authority.certify(&Profile::client(name, valid()), &public).expect("a certificate");
        write_public(&identity.certificate, &certified.certificate_pem)
            .expect("a certificate's file");
        write_public(&identity.chain, &certified.chain_pem).expect("a chain's file");
        identity
    }

    fn paths(directory: &Path, name: &str) -> Self {
        let file = |end: &str| directory.join(format!("client-{name}{end}"));
        Self { certificate: file(".pem"), chain: file("-chain.pem"), key: file(".key") }
    }
}

fn openssl(before: &[&str], file: &Path, after: &[&str]) -> String {
    let output = Command::new("openssl").args(before).arg(file).args(after).output();
    let output = output.expect("openssl runs; `cargo xtask test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("PEM")
}
