//! What survives a restart: files in a directory that nobody else may enter.
//!
//! Nothing in it is trusted for being there: whoever reads it checks every signature again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The system refused.
    #[error("cannot use the state directory `{}`", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner may enter it.
    #[error("the state directory `{}` has mode {mode:o}; make it private: chmod 700", path.display())]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is somebody else's.
    #[error("the state directory `{}` belongs to user {owner}", path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// The user that it belongs to.
        owner: u32,
    },
}

/// A directory of files that are replaced whole.
#[derive(Clone, Debug)]
pub(crate) struct StateDirectory(PathBuf);

impl StateDirectory {
    /// Makes the directory if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let io = |source| StateError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let metadata = fs::metadata(path).map_err(io)?;
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        if owner != rustix::process::geteuid().as_raw() {
            return Err(StateError::Owner { path: path.to_owned(), owner });
        }
        if mode & 0o077 != 0 {
            return Err(StateError::Mode { path: path.to_owned(), mode });
        }
        Ok(Self(path.to_owned()))
    }

    /// Writes beside the file and renames, so that there is always the old one or the new one.
    pub(crate) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let temporary = self.0.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, self.0.join(name))
    }

    /// The file's bytes; none when there is no such file or it has more than `maximum`.
    pub(crate) fn read(&self, name: &str, maximum: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(maximum.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= maximum).then_some(bytes))
    }

    /// The names of the files that end like this.
    pub(crate) fn names(&self, suffix: &str) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.0)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(suffix)).collect())
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/state");
        let state = StateDirectory::open(&path).unwrap();
        state.write("x.crl", &[b"one"]).unwrap();
        state.write("x.crl", &[b"t", b"wo"]).unwrap();
        assert_eq!(state.read("x.crl", 3).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(state.read("x.crl", 2).unwrap(), None);
        assert_eq!(state.names(".crl").unwrap(), ["x.crl"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("x.crl"))), (0o700, 0o600));
        state.remove("x.crl").unwrap();
        state.remove("x.crl").unwrap();
        assert_eq!(state.read("x.crl", 3).unwrap(), None);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(
            StateDirectory::open(home.path()),
            Err(StateError::Mode { mode: 0o750, .. })
        ));
    }
}
