//! A certificate and its key in their files, replaced so that there is always a pair that can be used.
//!
//! One file is replaced as one. Two cannot be: so the new pair goes into a third file first, beside the certificate and
//! with the ending `.renewed`, then the key into its place, then the certificate, and then that file away. Whoever finds
//! it, finishes what somebody began who was killed on the way.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use portcullis_pki::{replace_private, write_public};

use crate::file::{FileError, FileProblem, read};
use crate::identity::ClientIdentity;

const KEY_BEGINS: &str = "-----BEGIN PRIVATE KEY-----";

/// Where a pair is; the same path twice where both stand in one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

impl Pair<'_> {
    /// Whether the files can be replaced: so that nobody is asked for a certificate that cannot be kept.
    pub(crate) fn check_writable(self) -> Result<(), FileError> {
        for path in [self.certificate, self.key] {
            let directory = directory(&target(path)?);
            tempfile::tempfile_in(&directory).map_err(|error| failed(&directory, error))?;
        }
        Ok(())
    }

    /// Puts another pair in the place of this one. The key is PKCS #8, as are those of this crate's making.
    pub(crate) fn replace(self, chain_pem: &str, key_pem: &str) -> Result<(), FileError> {
        let _lock = self.lock()?;
        let both = format!("{chain_pem}{key_pem}");
        if self.certificate == self.key {
            return written(replace_private(&target(self.certificate)?, &both));
        }
        written(replace_private(&self.pending()?, &both))?;
        self.install(chain_pem, key_pem)
    }

    /// Finishes what somebody began. Nothing to do is no error.
    pub(crate) fn finish(self) -> Result<(), FileError> {
        if self.certificate == self.key || !self.pending()?.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let pending = self.pending()?;
        let text = match read(&pending) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            // Somebody else was faster.
            Err(FileError { problem: FileProblem::Read(error), .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let begun = ClientIdentity::from_pem(0, text.as_bytes(), text.as_bytes());
        let (Ok(begun), Some(key_at)) = (begun, text.find(KEY_BEGINS)) else {
            tracing::warn!(file = %pending.display(), "no certificate with its key: removed");
            return remove(&pending);
        };
        let in_place = self.read().is_some_and(|there| {
            there.certificate().not_after() >= begun.certificate().not_after()
        });
        if in_place {
            return remove(&pending);
        }
        tracing::info!(
            serial = begun.certificate().serial_number(),
            "a renewal that was broken off is finished"
        );
        let (chain_pem, key_pem) = text.split_at(key_at);
        self.install(chain_pem, key_pem)
    }

    /// The key first: no certificate is ever without the key that belongs to it in one of the files.
    fn install(self, chain_pem: &str, key_pem: &str) -> Result<(), FileError> {
        written(replace_private(&target(self.key)?, key_pem))?;
        written(write_public(&target(self.certificate)?, chain_pem))?;
        remove(&self.pending()?)
    }

    /// What is in place, if the two belong together.
    fn read(self) -> Option<ClientIdentity> {
        let (chain_pem, key_pem) = (read(self.certificate).ok()?, read(self.key).ok()?);
        ClientIdentity::from_pem(0, &chain_pem, &key_pem).ok()
    }

    fn pending(self) -> Result<PathBuf, FileError> {
        let mut name = target(self.certificate)?.into_os_string();
        name.push(".renewed");
        Ok(name.into())
    }

    /// Keeps other processes from replacing anything in the certificate's directory, until it is dropped.
    fn lock(self) -> Result<File, FileError> {
        let directory = directory(&target(self.certificate)?);
        let locked = File::open(&directory).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| failed(&directory, error))
    }
}

/// The file itself where the path is a link: the link stays.
fn target(path: &Path) -> Result<PathBuf, FileError> {
    match fs::canonicalize(path) {
        Ok(target) => Ok(target),
        // It will be there in a moment.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(failed(path, error)),
    }
}

fn directory(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn remove(path: &Path) -> Result<(), FileError> {
    fs::remove_file(path).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> FileError {
    FileError::new(path, FileProblem::Write(error))
}

fn written(result: Result<(), portcullis_pki::Error>) -> Result<(), FileError> {
    result.map_err(|error| match error {
        portcullis_pki::Error::Write { path, source } => failed(&path, source),
        error => failed(Path::new(""), io::Error::other(error)),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use portcullis_pki::{Authority, Issued, Profile, Validity};
    use tempfile::TempDir;

    use super::*;

    struct Files(TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn with<T>(&self, act: impl FnOnce(Pair<'_>) -> T) -> T {
            act(Pair { certificate: &self.path("alice.pem"), key: &self.path("alice.key") })
        }

        fn write(&self, chain: &Issued, key: &Issued) {
            write_public(&self.path("alice.pem"), &chain.chain_pem).unwrap();
            replace_private(&self.path("alice.key"), &key.key_pem).unwrap();
        }

        /// What is there, once whoever comes first has finished what was begun.
        fn found(&self) -> String {
            self.with(|pair| pair.finish()).unwrap();
            assert!(!self.path("alice.pem.renewed").exists());
            let there = self.with(|pair| pair.read()).expect("a pair");
            there.certificate().serial_number().to_owned()
        }
    }

    fn issued(generation: i64) -> Issued {
        let not_before = 1_795_000_000 + generation;
        let validity = Validity { not_before, not_after: not_before + 1000 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        root.issue(&Profile::client("alice", validity)).unwrap()
    }

    fn serial(issued: &Issued) -> String {
        let certificate = portcullis_core::Certificate::from_der(issued.certificate_der.clone());
        certificate.unwrap().serial_number().to_owned()
    }

    #[test]
    fn a_pair_is_replaced_and_nothing_is_left_behind() {
        let (files, old, new) = (Files::new(), issued(0), issued(1));
        files.write(&old, &old);
        files.with(|pair| pair.check_writable()).unwrap();
        files.with(|pair| pair.replace(&new.chain_pem, &new.key_pem)).unwrap();
        assert_eq!(fs::read_to_string(files.path("alice.pem")).unwrap(), new.chain_pem);
        assert_eq!(fs::read_to_string(files.path("alice.key")).unwrap(), new.key_pem);
        let mode = |name| files.path(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("alice.pem"), mode("alice.key")), (0o644, 0o600));
        assert_eq!(fs::read_dir(files.0.path()).unwrap().count(), 2);
    }

    #[test]
    fn whenever_somebody_was_killed_there_is_a_pair() {
        let (old, new) = (issued(0), issued(1));
        let both = format!("{}{}", new.chain_pem, new.key_pem);
        // The new pair beside the old one; then with the key in place; then with both.
        for (chain, key) in [(&old, &old), (&old, &new), (&new, &new)] {
            let files = Files::new();
            files.write(chain, key);
            replace_private(&files.path("alice.pem.renewed"), &both).unwrap();
            assert_eq!(files.found(), serial(&new));
        }
        let files = Files::new();
        files.write(&old, &old);
        assert_eq!(files.found(), serial(&old), "nothing was begun");
    }

    #[test]
    fn what_was_begun_replaces_nothing_newer_and_is_no_good_if_it_is_damaged() {
        let (old, new) = (issued(0), issued(1));
        let both = format!("{}{}", old.chain_pem, old.key_pem);
        for begun in [&both[..], "", &both[..both.len() / 2], &new.chain_pem] {
            let files = Files::new();
            files.write(&new, &new);
            replace_private(&files.path("alice.pem.renewed"), begun).unwrap();
            assert_eq!(files.found(), serial(&new));
        }
    }

    #[test]
    fn one_file_is_replaced_as_one_and_a_link_stays_a_link() {
        let (files, old, new) = (Files::new(), issued(0), issued(1));
        let (real, link) = (files.path("real.pem"), files.path("alice.pem"));
        replace_private(&real, &format!("{}{}", old.chain_pem, old.key_pem)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let pair = Pair { certificate: &link, key: &link };
        pair.replace(&new.chain_pem, &new.key_pem).unwrap();
        assert!(link.is_symlink());
        let text = fs::read_to_string(&real).unwrap();
        assert_eq!(text, format!("{}{}", new.chain_pem, new.key_pem));
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let files = Files::new();
        let path = files.path("gone/alice.pem");
        let error = Pair { certificate: &path, key: &path }.check_writable().unwrap_err();
        assert!(matches!(error.problem, FileProblem::Write(_)), "{error}");
    }
}
