//! An identity in PEM files, read again when they change.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::file::{FileError, FileProblem, read};
use crate::identity::{ClientIdentity, IdentityError, IdentitySource, NoIdentity};
use crate::pair::Pair;
use crate::renewal::RenewalError;

/// A certificate chain and its key in one file or two. Renewed files are taken over at the next request; those that
/// cannot be used are reported once, and the last good identity stays.
#[derive(Debug)]
pub struct PemFiles {
    certificate: PathBuf,
    /// The same file when the key stands in it.
    key: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Option<[Fingerprint; 2]>,
    last_good: Arc<ClientIdentity>,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    file: (u64, u64),
    bytes: u64,
    modified: Option<SystemTime>,
}

impl PemFiles {
    /// Reads the chain from `certificate`, and the key from `key` or from the same file. A renewal of these files that was
    /// broken off is finished first.
    ///
    /// # Errors
    ///
    /// When there is no identity in them now. Later on, the last good one stays.
    pub fn open(certificate: &Path, key: Option<&Path>) -> Result<Self, FileError> {
        let key = key.unwrap_or(certificate);
        if let Err(error) = (Pair { certificate, key }).finish() {
            tracing::warn!(%error, "a renewal was broken off and cannot be finished");
        }
        let seen = fingerprints(certificate, key).ok();
        let last_good = Arc::new(load(0, certificate, key)?);
        let state = Mutex::new(State { seen, last_good });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), state })
    }

    /// The identity that the files hold, or held last.
    #[must_use]
    pub fn identity(&self) -> Arc<ClientIdentity> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the files are read: a change in between is another change.
        let seen = match fingerprints(&self.certificate, &self.key) {
            Ok(seen) => Some(seen),
            // Between the removal of one file and the arrival of the next.
            Err(_) => return Arc::clone(&state.last_good),
        };
        if seen == state.seen {
            return Arc::clone(&state.last_good);
        }
        state.seen = seen;
        let generation = state.last_good.generation() + 1;
        match load(generation, &self.certificate, &self.key) {
            Ok(identity) => {
                let certificate = identity.certificate();
                tracing::info!(
                    subject = certificate.subject(),
                    serial = certificate.serial_number(),
                    "a renewed certificate is used from now on"
                );
                state.last_good = Arc::new(identity);
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate changed, and the old one is still used");
            }
        }
        Arc::clone(&state.last_good)
    }

    pub(crate) fn check_writable(&self) -> Result<(), RenewalError> {
        self.pair().check_writable().map_err(|error| RenewalError::Write(error.to_string()))
    }

    /// Puts another pair into the files.
    pub(crate) fn replace(&self, chain_pem: &str, key_pem: &str) -> Result<(), RenewalError> {
        let replaced = self.pair().replace(chain_pem, key_pem);
        replaced.map_err(|error| RenewalError::Write(error.to_string()))
    }

    fn pair(&self) -> Pair<'_> {
        Pair { certificate: &self.certificate, key: &self.key }
    }
}

impl IdentitySource for PemFiles {
    fn current(&self) -> Result<Arc<ClientIdentity>, NoIdentity> {
        Ok(self.identity())
    }
}

fn load(generation: u64, certificate: &Path, key: &Path) -> Result<ClientIdentity, FileError> {
    let chain_pem = read(certificate)?;
    let key_pem = if key == certificate { chain_pem.clone() } else { read(key)? };
    ClientIdentity::from_pem(generation, &chain_pem, &key_pem).map_err(|reason| {
        let of_the_key = matches!(
            reason,
            IdentityError::NoKey
                | IdentityError::UnusableKey
                | IdentityError::Malformed { what: "private key", .. }
        );
        let path = if of_the_key { key } else { certificate };
        FileError::new(path, FileProblem::Identity(reason))
    })
}

fn fingerprints(certificate: &Path, key: &Path) -> io::Result<[Fingerprint; 2]> {
    Ok([fingerprint(certificate)?, fingerprint(key)?])
}

fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    let metadata = path.metadata()?;
    Ok(Fingerprint {
        file: file_number(&metadata),
        bytes: metadata.len(),
        modified: metadata.modified().ok(),
    })
}

#[cfg(unix)]
fn file_number(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_number(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Issued, Profile, Validity};

    use super::*;

    const VALID: Validity = Validity { not_before: 1_700_000_000, not_after: 1_900_000_000 };

    fn issued(name: &str) -> Issued {
        let root = Authority::root(&Profile::authority("Test", VALID)).unwrap();
        root.issue(&Profile::client(name, VALID)).unwrap()
    }

    /// As renewal tools do it: whoever reads sees the old file or the new one.
    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn subject(files: &PemFiles) -> (u64, String) {
        let identity = files.current().unwrap();
        (identity.generation(), identity.certificate().subject())
    }

    #[test]
    fn a_renewed_file_is_taken_over_and_an_unchanged_one_is_not_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.pem");
        let (first, second) = (issued("first"), issued("second"));
        replace(&path, &(first.key_pem + &first.chain_pem));
        let files = PemFiles::open(&path, None).unwrap();
        assert_eq!(subject(&files), (0, "CN=first".to_owned()));
        assert_eq!(subject(&files), (0, "CN=first".to_owned()));
        replace(&path, &(second.chain_pem + &second.key_pem));
        assert_eq!(subject(&files), (1, "CN=second".to_owned()));
        assert_eq!(subject(&files), (1, "CN=second".to_owned()));
    }

    #[test]
    fn half_a_renewal_keeps_the_last_good_identity_until_the_other_half_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        let (first, second) = (issued("first"), issued("second"));
        replace(&chain, &first.chain_pem);
        replace(&key, &first.key_pem);
        let files = PemFiles::open(&chain, Some(&key)).unwrap();
        replace(&chain, &second.chain_pem);
        assert_eq!(subject(&files), (0, "CN=first".to_owned()));
        std::fs::remove_file(&key).unwrap();
        assert_eq!(subject(&files), (0, "CN=first".to_owned()));
        replace(&key, &second.key_pem[..40]);
        assert_eq!(subject(&files), (0, "CN=first".to_owned()));
        replace(&key, &second.key_pem);
        assert_eq!(subject(&files), (1, "CN=second".to_owned()));
    }

    #[test]
    fn the_file_at_fault_is_named_and_the_key_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        let (client, other) = (issued("client"), issued("other"));
        std::fs::write(&chain, &client.chain_pem).unwrap();
        let fault = |content: &str| {
            std::fs::write(&key, content).unwrap();
            let error = PemFiles::open(&chain, Some(&key)).unwrap_err();
            let secret = client.key_pem.lines().nth(1).unwrap();
            assert!(!format!("{error} {error:?}").contains(secret));
            match error.problem {
                FileProblem::Identity(reason) => (error.path, reason),
                problem => panic!("{problem}"),
            }
        };
        assert_eq!(fault(""), (key.clone(), IdentityError::NoKey));
        let subject = "CN=client".to_owned();
        assert_eq!(fault(&other.key_pem), (chain.clone(), IdentityError::Mismatch { subject }));
        let damaged = client.key_pem.replace("-----END", "----END");
        assert!(matches!(fault(&damaged), (path, IdentityError::Malformed { .. }) if path == key));
    }
}
