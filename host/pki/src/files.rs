//! Certificates and keys as files, which are there whole or not at all.

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

/// Writes a private key: the file belongs to its owner alone, whatever the umask.
///
/// # Errors
/// [`Error::Write`], also if the file is there already: a key is not overwritten by chance.
pub fn write_private(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Error> {
    write_new(path, content.as_ref(), Mode::Private)
}

/// Writes a private key in the place of what is there.
///
/// # Errors
/// [`Error::Write`].
pub fn replace_private(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Error> {
    replace(path, content.as_ref(), Mode::Private)
}

/// Writes a certificate or a chain, which everybody may read, in the place of what is there.
///
/// # Errors
/// [`Error::Write`].
pub fn write_public(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Error> {
    replace(path, content.as_ref(), Mode::Public)
}

/// As [`write_public`], where nothing is there.
///
/// # Errors
/// [`Error::Write`], also if the file is there already.
pub fn write_new_public(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Error> {
    write_new(path, content.as_ref(), Mode::Public)
}

fn write_new(path: &Path, content: &[u8], mode: Mode) -> Result<(), Error> {
    let file = temporary(path, content, mode).map_err(|error| failed(path, error))?;
    file.persist_noclobber(path).map(drop).map_err(|error| failed(path, error.error))
}

fn replace(path: &Path, content: &[u8], mode: Mode) -> Result<(), Error> {
    let file = temporary(path, content, mode).map_err(|error| failed(path, error))?;
    file.persist(path).map(drop).map_err(|error| failed(path, error.error))
}

/// The content beside the path and on the disk. Until it is complete, it is its owner's alone.
fn temporary(path: &Path, content: &[u8], mode: Mode) -> io::Result<NamedTempFile> {
    // A path of one component has the parent "".
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let mut file = Builder::new().prefix(".portcullis-").tempfile_in(parent)?;
    file.write_all(content)?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode as u32);
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_key_is_its_owners_alone_and_is_never_overwritten_unless_that_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.key");
        write_private(&path, "a key").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(write_private(&path, "another"), Err(Error::Write { .. })));
        assert!(matches!(write_new_public(&path, "another"), Err(Error::Write { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a key");
        replace_private(&path, "a third").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a third");
        assert_eq!(mode(&path), 0o600);
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is left behind");
    }

    #[test]
    fn a_public_file_that_replaces_a_private_one_is_public() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.crl");
        replace_private(&path, "one").unwrap();
        write_public(&path, "two").unwrap();
        assert_eq!(mode(&path), 0o644);
    }
}
