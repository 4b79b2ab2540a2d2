//! An authority that is there.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use portcullis_core::{Certificate, Clock, Timestamp};
use portcullis_pki::Authority;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::der::{Decode as _, Encode as _};

use crate::error::Error;
use crate::index::{Index, Record, Terms};

pub(crate) const ANCHOR: &str = "anchor.pem";
pub(crate) const CERTIFICATE: &str = "ca.pem";
pub(crate) const CHAIN: &str = "chain.pem";
pub(crate) const CRL: &str = "ca.crl";
pub(crate) const INDEX: &str = "index.sqlite";
pub(crate) const KEY: &str = "ca.key";

/// The largest file of certificates or of a key, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024;

/// A certification authority in a directory.
pub struct Ca {
    pub(crate) directory: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) certificate: Certificate,
    pub(crate) index: Index,
    pub(crate) terms: Terms,
    pub(crate) clock: Clock,
}

impl Ca {
    /// Takes up an authority. What a process before was killed before it could finish, is finished.
    ///
    /// # Errors
    /// [`Error::NotACa`] where a file is missing, [`Error::KeyReadable`], [`Error::Authority`] where the certificate or
    /// its key is malformed or they do not fit, and what is wrong with the index.
    pub fn open(directory: &Path, clock: Clock) -> Result<Self, Error> {
        for missing in [CERTIFICATE, KEY, INDEX] {
            if !directory.join(missing).exists() {
                return Err(Error::NotACa { directory: directory.to_owned(), missing });
            }
        }
        let key = directory.join(KEY);
        let mode = fs::metadata(&key).map_err(|error| Error::io(&key, error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::KeyReadable { path: key, mode: mode & 0o777 });
        }
        let authority = load(directory)?;
        let certificate = Certificate::from_der(authority.certificate_der().to_vec())?;
        let index = Index::open(&directory.join(INDEX))?;
        let terms = index.terms()?;
        let directory = directory.to_owned();
        let ca = Self { directory, authority, certificate, index, terms, clock };
        ca.publish()?;
        Ok(ca)
    }

    /// Everything that was issued, by the end of its validity.
    ///
    /// # Errors
    /// What is wrong with the index.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        self.index.all()
    }

    /// The certificate with this serial number, in hexadecimal, with or without colons; or the one in this file.
    ///
    /// # Errors
    /// [`Error::UnknownSerial`]; of a file, [`Error::NotOurs`] and [`Error::Malformed`].
    pub fn find(&self, serial_or_file: &str) -> Result<Record, Error> {
        let path = Path::new(serial_or_file);
        if path.is_file() {
            let certificate = read_certificate(path)?;
            return match self.record_of(&certificate)? {
                Some(record) if record.der == certificate.der() => Ok(record),
                _ => Err(Error::NotOurs(path.to_owned())),
            };
        }
        let unknown = || Error::UnknownSerial(portcullis_core::printable(serial_or_file, 100));
        let serial = parse_serial(serial_or_file).ok_or_else(unknown)?;
        self.index.find(&serial)?.ok_or_else(unknown)
    }

    pub(crate) fn record_of(&self, certificate: &Certificate) -> Result<Option<Record>, Error> {
        match parse_serial(certificate.serial_number()) {
            Some(serial) => self.index.find(&serial),
            None => Ok(None),
        }
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Where the authority is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file with the root, PEM: what peers trust.
    #[must_use]
    pub fn anchor_path(&self) -> PathBuf {
        self.directory.join(ANCHOR)
    }

    /// The file with the CRL, PEM.
    #[must_use]
    pub fn crl_path(&self) -> PathBuf {
        self.directory.join(CRL)
    }

    /// Its certificate and those above it up to the root, DER.
    pub(crate) fn ca_certificates(&self) -> Result<Vec<Vec<u8>>, Error> {
        let pem = format!("{}{}", self.authority.chain_pem(), self.anchor_pem()?);
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        let certificates = certificates.map(|der| der.map(|der| der.to_vec()));
        certificates.collect::<Result<_, _>>().map_err(|error| Error::Malformed {
            path: self.anchor_path(),
            problem: error.to_string(),
        })
    }

    /// Its subject, DER.
    pub(crate) fn subject_der(&self) -> Result<Vec<u8>, Error> {
        let encoding = |error: x509_cert::der::Error| Error::Encoding(error.to_string());
        let certificate =
            x509_cert::Certificate::from_der(self.authority.certificate_der()).map_err(encoding)?;
        certificate.tbs_certificate.subject.to_der().map_err(encoding)
    }

    pub(crate) fn anchor_pem(&self) -> Result<String, Error> {
        read_text(&self.anchor_path())
    }

    /// The time, if the authority's certificate is valid at it.
    pub(crate) fn valid_now(&self) -> Result<Timestamp, Error> {
        let now = self.clock.now();
        let (not_before, not_after) = (self.certificate.not_before(), self.certificate.not_after());
        match (not_before..=not_after).contains(&now) {
            true => Ok(now),
            false => Err(Error::Expired {
                path: self.directory.join(CERTIFICATE),
                not_before,
                not_after,
            }),
        }
    }
}

/// Without the key.
impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca")
            .field("directory", &self.directory)
            .field("subject", &self.certificate.subject())
            .finish_non_exhaustive()
    }
}

fn load(directory: &Path) -> Result<Authority, Error> {
    let path = directory.join(CERTIFICATE);
    let chain = directory.join(CHAIN);
    let chain_pem = if chain.exists() { read_text(&chain)? } else { String::new() };
    let key_path = directory.join(KEY);
    let loaded = Authority::load(&read_text(&path)?, &chain_pem, &read_text(&key_path)?);
    loaded.map_err(|source| {
        let of_the_key = matches!(source, portcullis_pki::Error::PrivateKey(_));
        Error::Authority { path: if of_the_key { key_path } else { path }, source }
    })
}

/// The first certificate in a file: PEM, or DER.
fn read_certificate(path: &Path) -> Result<Certificate, Error> {
    let bytes = read(path)?;
    let der = match CertificateDer::from_pem_slice(&bytes) {
        Ok(der) => der.to_vec(),
        Err(_) => bytes,
    };
    Certificate::from_der(der)
        .map_err(|error| Error::Malformed { path: path.to_owned(), problem: error.to_string() })
}

fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|_| Error::Malformed {
        path: path.to_owned(),
        problem: "it is no text".to_owned(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| Error::io(path, error))?;
    file.take(MAXIMUM_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    if bytes.len() as u64 > MAXIMUM_BYTES {
        let problem = format!("it has more than {MAXIMUM_BYTES} bytes");
        return Err(Error::Malformed { path: path.to_owned(), problem });
    }
    Ok(bytes)
}

/// A serial number as the index has it, from hexadecimal in any case, with or without colons.
pub(crate) fn parse_serial(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.replace(':', "").to_ascii_lowercase();
    if !digits.len().is_multiple_of(2) {
        digits.insert(0, '0');
    }
    let bytes = HEXLOWER.decode(digits.as_bytes()).ok()?;
    let first = bytes.iter().position(|&byte| byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::parse_serial;

    #[test]
    fn a_serial_number_is_read_as_every_tool_writes_it() {
        for text in ["0a01ff", "A01FF", "0A:01:FF", "00:00:0a:01:ff"] {
            assert_eq!(parse_serial(text).as_deref(), Some(&[0x0a, 0x01, 0xff][..]), "{text}");
        }
        for text in ["", "0", "00", "client", "0x0a", "ä", "../ca"] {
            assert_eq!(parse_serial(text), None, "{text}");
        }
    }
}
