//! The files that a certificate goes to.

use std::path::{Path, PathBuf};

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use portcullis_ca::{Error, Issued};
use portcullis_pki::{replace_private, write_new_public, write_private, write_public};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::diagnosis::mistake;
use crate::arguments::Output;
use crate::config::read_bounded;
use crate::password::{Password, VARIABLE};
use portcullis_config::Mistake;

/// The largest file with a certificate, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024;
/// How often a password is hashed, so that guessing it is slow.
const PKCS12_ITERATIONS: u32 = 100_000;

/// Where a certificate and its key go, and as what.
pub(crate) struct Target {
    certificate: PathBuf,
    form: Form,
    /// Whether it takes the place of what is there.
    replaces: bool,
}

enum Form {
    CertificateOnly,
    Pair { key: PathBuf },
    Pkcs12 { password: Password },
    SingleFile,
}

impl Target {
    /// As the operator wants it, by default in a file of the certificate's name.
    pub(crate) fn new(output: &Output, name: &str) -> Result<Self, Mistake> {
        let certificate = match &output.out {
            Some(path) => path.clone(),
            None => default_path(name, if output.pkcs12 { "p12" } else { "pem" })?,
        };
        let form = match output {
            Output { pkcs12: true, .. } => {
                Form::Pkcs12 { password: password(output.password_file.as_deref())? }
            }
            Output { single_file: true, .. } => Form::SingleFile,
            _ => Form::Pair { key: key_beside(&certificate)? },
        };
        Ok(Self { certificate, form, replaces: false })
    }

    /// In the files of the certificate before: with the key in the certificate's file if one is there.
    pub(crate) fn in_the_place_of(certificate: &Path, output: &Output) -> Result<Self, Mistake> {
        let path = certificate.to_owned();
        if output.pkcs12 {
            return Err(Mistake::file(certificate, "`--pkcs12` would replace a PEM file")
                .key("--pkcs12")
                .hint("name another file with `--out`"));
        }
        let bytes = read_bounded(certificate, MAXIMUM_BYTES)
            .map_err(|problem| Mistake::file(certificate, &problem))?;
        if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            return Err(Mistake::file(certificate, "it is no PEM file, and would become one")
                .hint("name another file with `--out`"));
        }
        let has_key = PrivateKeyDer::from_pem_slice(&bytes).is_ok();
        let form = match has_key || output.single_file {
            true => Form::SingleFile,
            false => Form::Pair { key: key_beside(certificate)? },
        };
        Ok(Self { certificate: path, form, replaces: true })
    }

    /// For a certificate whose owner has the key.
    pub(crate) fn without_key(&self) -> Self {
        let certificate = self.certificate.clone();
        Self { certificate, form: Form::CertificateOnly, replaces: self.replaces }
    }

    /// So that nothing is issued that cannot be written.
    pub(crate) fn check_is_free(&self, directory: &Path) -> Result<(), Mistake> {
        let taken =
            [Some(self.certificate()), self.key()].into_iter().flatten().find(|path| path.exists());
        match taken {
            Some(path) => Err(mistake(&Error::Exists(path.to_owned()), directory)),
            None => Ok(()),
        }
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The key's file, if it has its own.
    pub(crate) fn key(&self) -> Option<&Path> {
        match &self.form {
            Form::Pair { key } => Some(key),
            _ => None,
        }
    }

    /// Writes each file whole or not at all; the key first, so that no certificate is without.
    pub(crate) fn write(&self, issued: &Issued) -> Result<(), Error> {
        let (private, public): (Write, Write) = match self.replaces {
            true => (replace_private, write_public),
            false => (write_private, write_new_public),
        };
        let chain = issued.chain_pem.as_bytes();
        match (&issued.key_pem, &self.form) {
            (None, _) | (_, Form::CertificateOnly) => public(&self.certificate, chain)?,
            (Some(key_pem), Form::Pair { key }) => {
                private(key, key_pem.as_bytes())?;
                public(&self.certificate, chain)?;
            }
            (Some(key_pem), Form::SingleFile) => {
                private(&self.certificate, format!("{}{key_pem}", issued.chain_pem).as_bytes())?;
            }
            (Some(key_pem), Form::Pkcs12 { password }) => {
                let bytes = pkcs12(issued, key_pem, password.text())
                    .map_err(|problem| Error::Encoding(format!("PKCS #12: {problem}")))?;
                private(&self.certificate, &bytes)?;
            }
        }
        Ok(())
    }
}

type Write = fn(&Path, &[u8]) -> Result<(), portcullis_pki::Error>;

fn default_path(name: &str, ending: &str) -> Result<PathBuf, Mistake> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    match name.chars().all(plain) && !name.starts_with('.') {
        true => Ok(PathBuf::from(format!("{name}.{ending}"))),
        false => {
            Err(Mistake::file(Path::new("."), &format!("`{name}` is no good name for a file"))
                .key("--out")
                .hint("name the file with `--out`"))
        }
    }
}

fn key_beside(certificate: &Path) -> Result<PathBuf, Mistake> {
    let key = certificate.with_extension("key");
    match key == certificate {
        false => Ok(key),
        true => Err(Mistake::file(certificate, "the key would be written into the same file")
            .key("--out")
            .hint("give the certificate another ending, or use `--single-file`")),
    }
}

fn password(file: Option<&Path>) -> Result<Password, Mistake> {
    let password = Password::from(file)?;
    match password.text() {
        "" => Err(Mistake::file(file.unwrap_or(Path::new(".")), "PKCS #12 needs a password")
            .key("--pkcs12")
            .hint(&format!(
                "give it in a file with `--password-file`, or in the variable {VARIABLE}"
            ))),
        _ => Ok(password),
    }
}

fn pkcs12(issued: &Issued, key_pem: &str, password: &str) -> Result<Vec<u8>, String> {
    let text = |error: p12_keystore::error::Error| error.to_string();
    let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|error| format!("{error:?}"))?;
    let key = PrivateKey::from_der(key.secret_pkcs8_der()).map_err(text)?;
    let certificates = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
        .map(|der| Certificate::from_der(&der.map_err(|error| format!("{error:?}"))?).map_err(text))
        .collect::<Result<Vec<_>, String>>()?;
    let chain = PrivateKeyChain::new(issued.record.serial.as_slice(), key, certificates);
    // The format's name for it is a BMPString.
    let alias: String = issued.record.name.chars().filter(|&c| u32::from(c) <= 0xffff).collect();
    let mut store = KeyStore::new();
    store.add_entry(&alias, KeyStoreEntry::PrivateKeyChain(chain));
    let writer = store
        .writer(password)
        .encryption_iterations(PKCS12_ITERATIONS)
        .mac_iterations(PKCS12_ITERATIONS);
    writer.write().map_err(text)
}
