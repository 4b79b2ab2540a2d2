//! What can go wrong in an authority's directory.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_core::{CertificateError, Timestamp};

use crate::name::NameError;
use crate::request::RequestError;

/// Why an authority did not do what it was asked to. Where that is about a file, [`Error::path`] has it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate or the key of the authority cannot be used.
    #[error("the authority cannot be used")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: portcullis_pki::Error,
    },
    /// The certificate that was made would not be accepted under this authority: its name constraints, for instance.
    #[error("peers would refuse the certificate: {0}")]
    Check(String),
    /// The index is not one, or its content is broken.
    #[error("the index is damaged")]
    Damaged {
        /// The index.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// An extension or an answer could not be encoded.
    #[error("cannot be encoded: {0}")]
    Encoding(String),
    /// It is there already, and nothing is overwritten.
    #[error("it is there already")]
    Exists(PathBuf),
    /// The authority's own certificate is no longer valid, or not yet.
    #[error("the authority's certificate is not valid now, but from {not_before} to {not_after}")]
    Expired {
        /// The certificate.
        path: PathBuf,
        /// Seconds since 1970.
        not_before: Timestamp,
        /// Seconds since 1970.
        not_after: Timestamp,
    },
    /// The index could not be used.
    #[error("the index cannot be used")]
    Index {
        /// The index.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The index was written by another version of this crate, or by another program.
    #[error("the index has the format {found}, and {known} is known")]
    IndexFormat {
        /// The index.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this version writes.
        known: String,
    },
    /// A file could not be read or written.
    #[error("cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than its owner can read the private key.
    #[error("others can read the private key: its mode is {mode:o}")]
    KeyReadable {
        /// The key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A lifetime that this authority does not give.
    #[error("a certificate of {asked} s is more than the {allowed} s that this authority gives")]
    Lifetime {
        /// In seconds.
        asked: i64,
        /// In seconds.
        allowed: i64,
    },
    /// The file holds nothing of the kind.
    #[error("it cannot be read: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The directory holds no authority.
    #[error("there is no certification authority: `{missing}` is missing")]
    NotACa {
        /// The directory.
        directory: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// The certificate was issued by somebody else.
    #[error("this authority has not issued the certificate")]
    NotOurs(PathBuf),
    /// An authority's certificate, or one that this version would not make.
    #[error("certificate {0} cannot be renewed: it is an authority's, or of another make")]
    NotRenewable(String),
    /// No authority may stand below this one.
    #[error("the authority's path length leaves no room for one below it")]
    PathLength(PathBuf),
    /// A certificate could not be made, or a file not be written.
    #[error(transparent)]
    Pki(#[from] portcullis_pki::Error),
    /// A certificate in the index does not parse.
    #[error("the index has a certificate that cannot be read")]
    Record(#[from] CertificateError),
    /// A certificate signing request that is not followed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The certificate was revoked, and so is not renewed.
    #[error("certificate {0} was revoked")]
    Revoked(String),
    /// No certificate has this serial number.
    #[error("no certificate with the serial number `{0}` was issued here")]
    UnknownSerial(String),
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// The file or the directory that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Authority { path, .. }
            | Self::Damaged { path, .. }
            | Self::Exists(path)
            | Self::Expired { path, .. }
            | Self::Index { path, .. }
            | Self::IndexFormat { path, .. }
            | Self::Io { path, .. }
            | Self::KeyReadable { path, .. }
            | Self::Malformed { path, .. }
            | Self::NotACa { directory: path, .. }
            | Self::NotOurs(path)
            | Self::PathLength(path)
            | Self::Pki(portcullis_pki::Error::Write { path, .. }) => Some(path),
            _ => None,
        }
    }
}
