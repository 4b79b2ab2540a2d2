//! What is to be judged: certificates from files, or a handshake that was recorded or is a running gate's last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::Certificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::recorded::Recorded;
use super::{live, pkcs12, recorded};
use crate::arguments::Explain;
use crate::config::read_bounded;
use crate::password::Password;
use portcullis_config::Mistake;

/// The largest file of certificates, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024;

/// What is to be judged.
pub(super) enum Subject {
    /// Leaf first.
    Certificates(Vec<Arc<Certificate>>),
    Recorded(Box<Recorded>),
}

pub(super) fn read(arguments: &Explain) -> Result<Subject, Mistake> {
    if let Some(path) = &arguments.recorded {
        return Ok(Subject::Recorded(Box::new(recorded::find(path, &arguments.which)?)));
    }
    if let [one] = &arguments.certificates[..]
        && let Some(address) = live::address(one)
    {
        return Ok(Subject::Recorded(Box::new(live::last_handshake(address)?)));
    }
    let password = Password::from(arguments.password_file.as_deref())?;
    certificates(&arguments.certificates, &password).map(Subject::Certificates)
}

fn certificates(paths: &[PathBuf], password: &Password) -> Result<Vec<Arc<Certificate>>, Mistake> {
    let mut chain = Vec::new();
    for path in paths {
        let bytes =
            read_bounded(path, MAXIMUM_BYTES).map_err(|problem| Mistake::file(path, &problem))?;
        for (position, der) in encodings(path, bytes, password)?.into_iter().enumerate() {
            let certificate = Certificate::from_der(der).map_err(|error| {
                Mistake::file(path, &format!("certificate {}: {error}", position + 1))
            })?;
            chain.push(Arc::new(certificate));
        }
    }
    Ok(chain)
}

/// The DER of each certificate in a file: PEM if it has a PEM header, PKCS #12 if it begins as such, DER otherwise.
fn encodings(path: &Path, bytes: Vec<u8>, password: &Password) -> Result<Vec<Vec<u8>>, Mistake> {
    if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return match pkcs12::is_pkcs12(&bytes) {
            true => pkcs12::certificates(path, &bytes, password),
            false => Ok(vec![bytes]),
        };
    }
    let found = CertificateDer::pem_slice_iter(&bytes)
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Mistake::file(path, &format!("not well-formed PEM: {error:?}")))?;
    if found.is_empty() {
        return Err(Mistake::file(path, "the PEM text holds no certificate")
            .hint("give the certificate, not its key"));
    }
    Ok(found)
}
