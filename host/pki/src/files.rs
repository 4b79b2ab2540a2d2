//! Certificates and keys as files.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::error::Error;

/// Writes a private key: the file belongs to its owner alone from its first byte on.
///
/// # Errors
/// [`Error::Write`], also if the file is there already: a key is never overwritten, and what is there may be
/// readable by others.
pub fn write_private(path: &Path, pem: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write(path, pem, &options)
}

/// Writes a certificate or a chain, over what is there.
///
/// # Errors
/// [`Error::Write`].
pub fn write_public(path: &Path, pem: &str) -> Result<(), Error> {
    write(path, pem, OpenOptions::new().write(true).create(true).truncate(true))
}

fn write(path: &Path, pem: &str, options: &OpenOptions) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    options.open(path).and_then(|mut file| file.write_all(pem.as_bytes())).map_err(failed)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_key_is_its_owners_alone_and_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.key");
        write_private(&path, "a key").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_private(&path, "another"), Err(Error::Write { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a key");
    }
}
