//! PKCS #12 files (RFC 7292): the certificate that the key in it belongs to, and its issuers. The key is not looked at.

use std::path::Path;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};

use crate::password::{Password, VARIABLE};
use portcullis_config::Mistake;

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
    let store = KeyStore::from_pkcs12(bytes, password.text(), Pkcs12ImportPolicy::Strict).map_err(
        |_| {
            Mistake::file(path, "the PKCS #12 file cannot be opened: a wrong password, or damage")
                .hint(&format!(
                    "give the password with `--password-file`, or in the variable {VARIABLE}"
                ))
        },
    )?;
    let chain = store.private_key_chain().map(|(_, chain)| chain.certs()).unwrap_or_default();
    if chain.is_empty() {
        return Err(Mistake::file(path, "the PKCS #12 file holds no key with its certificate")
            .hint("take the certificates out with `openssl pkcs12 -nokeys`"));
    }
    Ok(chain.iter().map(|certificate| certificate.as_der().to_vec()).collect())
}
