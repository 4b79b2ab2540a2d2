//! The password of PKCS #12 files.

use std::fmt;
use std::path::Path;

use crate::config::read_bounded;
use portcullis_config::Mistake;

/// Where a password is: never on the command line, where every process of the machine can read it.
pub(crate) const VARIABLE: &str = "PORTCULLIS_PKCS12_PASSWORD";
const MAXIMUM_PASSWORD_BYTES: u64 = 4096;

/// A password that is not shown.
pub(crate) struct Password(String);

impl Password {
    /// The first line of the file; or of the environment; or empty.
    pub(crate) fn from(file: Option<&Path>) -> Result<Self, Mistake> {
        let Some(path) = file else {
            return Ok(Self(std::env::var(VARIABLE).unwrap_or_default()));
        };
        let bytes = read_bounded(path, MAXIMUM_PASSWORD_BYTES)
            .map_err(|problem| Mistake::file(path, &problem))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Mistake::file(path, "the password is not UTF-8 text"))?;
        Ok(Self(text.lines().next().unwrap_or_default().to_owned()))
    }

    /// The password itself.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
