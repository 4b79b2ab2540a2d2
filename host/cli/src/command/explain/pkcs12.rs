//! PKCS #12 files (RFC 7292): the certificate that the key in it belongs to, and its issuers. The key is not looked at.

use std::fmt;
use std::path::Path;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};

use crate::config::read_bounded;
use crate::diagnosis::Mistake;

/// The password of the files: never on the command line, where every process of the machine can read it.
const VARIABLE: &str = "PORTCULLIS_PKCS12_PASSWORD";
const MAXIMUM_PASSWORD_BYTES: u64 = 4096;

/// A password that is not shown.
pub(super) struct Password(String);

impl Password {
    /// The first line of the file; or of the environment; or empty.
    pub(super) fn from(file: Option<&Path>) -> Result<Self, Mistake> {
        let Some(path) = file else {
            return Ok(Self(std::env::var(VARIABLE).unwrap_or_default()));
        };
        let bytes = read_bounded(path, MAXIMUM_PASSWORD_BYTES)
            .map_err(|problem| Mistake::file(path, &problem))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Mistake::file(path, "the password is not UTF-8 text"))?;
        Ok(Self(text.lines().next().unwrap_or_default().to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A PFX begins with its version, 3, where a certificate has a SEQUENCE.
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    let content = match bytes {
        [0x30, length, rest @ ..] if *length < 0x80 => rest,
        [0x30, 0x80, rest @ ..] => rest,
        [0x30, length, rest @ ..] => rest.get(usize::from(length & 0x7f)..).unwrap_or_default(),
        _ => return false,
    };
    content.starts_with(&[0x02, 0x01, 0x03])
}

/// The DER of each certificate, the client's own first.
pub(super) fn certificates(
    path: &Path,
    bytes: &[u8],
    password: &Password,
) -> Result<Vec<Vec<u8>>, Mistake> {
    // The library's errors tell a wrong password from damage only by the kind of its check, and may quote the file.
    let store =
        KeyStore::from_pkcs12(bytes, &password.0, Pkcs12ImportPolicy::Strict).map_err(|_| {
            Mistake::file(path, "the PKCS #12 file cannot be opened: a wrong password, or damage")
                .hint(&format!(
                    "give the password with `--password-file`, or in the variable {VARIABLE}"
                ))
        })?;
    let chain = store.private_key_chain().map(|(_, chain)| chain.certs()).unwrap_or_default();
    if chain.is_empty() {
        return Err(Mistake::file(path, "the PKCS #12 file holds no key with its certificate")
            .hint("take the certificates out with `openssl pkcs12 -nokeys`"));
    }
    Ok(chain.iter().map(|certificate| certificate.as_der().to_vec()).collect())
}
