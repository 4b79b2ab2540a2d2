//! Files that are there whole or not at all.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::error::Error;

/// The permission bits of a file.
#[derive(Clone, Copy)]
enum Mode {
    Private = 0o600,
    Public = 0o644,
}

/// Writes what only its owner may read.
///
/// # Errors
/// [`Error::Exists`], and [`Error::Io`].
pub fn write_new_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    write_new(path, content, Mode::Private)
}

/// Writes what everybody may read.
///
/// # Errors
/// [`Error::Exists`], and [`Error::Io`].
pub fn write_new_public(path: &Path, content: &[u8]) -> Result<(), Error> {
    write_new(path, content, Mode::Public)
}

/// Writes what only its owner may read, in the place of what is there.
///
/// # Errors
/// [`Error::Io`].
pub fn replace_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    replace(path, content, Mode::Private)
}

/// Writes what everybody may read, in the place of what is there.
///
/// # Errors
/// [`Error::Io`].
pub fn replace_public(path: &Path, content: &[u8]) -> Result<(), Error> {
    replace(path, content, Mode::Public)
}

fn write_new(path: &Path, content: &[u8], mode: Mode) -> Result<(), Error> {
    let file = temporary(path, content, mode).map_err(|error| failed(path, error))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::Exists(path.to_owned()))
        }
        Err(error) => Err(failed(path, error.error)),
    }
}

fn replace(path: &Path, content: &[u8], mode: Mode) -> Result<(), Error> {
    let file = temporary(path, content, mode).map_err(|error| failed(path, error))?;
    file.persist(path).map(drop).map_err(|error| failed(path, error.error))
}

/// The content beside the path, on the disk, and readable by others only once it is complete.
fn temporary(path: &Path, content: &[u8], mode: Mode) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;

    // A path of one component has the parent "".
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Of mode 0600 whatever the umask.
    let mut file =
        Builder::new().prefix(".portcullis-").tempfile_in(parent.unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode as u32))?;
    file.as_file().sync_all()?;
    Ok(file)
}

pub(crate) fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_there_is_not_overwritten_unless_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.key");
        write_new_private(&path, b"one").unwrap();
        assert!(matches!(write_new_private(&path, b"two"), Err(Error::Exists(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        replace_private(&path, b"three").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_public_file_that_replaces_a_private_one_is_public() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crl");
        replace_private(&path, b"one").unwrap();
        replace_public(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o644);
    }
}
