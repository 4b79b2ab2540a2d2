//! Files that an operator gives.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::identity::IdentityError;

/// The largest file that is read, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
#[non_exhaustive]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: FileProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// It gives no identity.
    #[error("{0}")]
    Identity(IdentityError),
    /// There is no root in it.
    #[error("no certificate found: expected `-----BEGIN CERTIFICATE-----`")]
    NoRoot,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// A certificate in it is no root to trust.
    #[error("certificate {number} cannot be trusted: {reason}")]
    Root {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It is too large to be meant.
    #[error("more than {MAXIMUM_BYTES} bytes are not read")]
    TooLarge,
    /// It cannot be replaced.
    #[error("cannot be replaced: {0}")]
    Write(io::Error),
}

impl FileError {
    pub(crate) fn new(path: &Path, problem: FileProblem) -> Self {
        Self { path: path.to_owned(), problem }
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |error| FileError::new(path, FileProblem::Read(error));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAXIMUM_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        return Err(FileError::new(path, FileProblem::TooLarge));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_or_not_there_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large.pem");
        File::create(&path).unwrap().set_len(MAXIMUM_BYTES + 1).unwrap();
        assert!(matches!(read(&path).unwrap_err().problem, FileProblem::TooLarge));
        let none = directory.path().join("none.pem");
        let error = read(&none).unwrap_err();
        assert!(matches!(error.problem, FileProblem::Read(_)));
        assert_eq!(error.path, none);
    }
}
