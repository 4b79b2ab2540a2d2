//! The certificates of a suite: read, or made from their descriptions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_config::{Document, Mistake};
use portcullis_engine::with_causes;
use portcullis_engine::{Certificate, MAXIMUM_CERTIFICATE_BYTES, Timestamp};
use portcullis_pki::{Authority, TestKey, TestKeyType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use toml::Spanned;

use crate::description::profile;
use crate::format::CertificateSection;

/// How many issuers may stand above one another.
const MAXIMUM_DEPTH: usize = 32;
/// The largest file of a certificate, in bytes: PEM is a third longer than DER, and there may be text around it.
const MAXIMUM_FILE_BYTES: u64 = 4 * MAXIMUM_CERTIFICATE_BYTES as u64;

/// All by name.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    by_name: BTreeMap<String, Made>,
    files: Vec<PathBuf>,
}

/// One certificate.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) der: Vec<u8>,
    /// Or why the host does not take it for one.
    pub(crate) parsed: Result<Arc<Certificate>, String>,
    /// By name; none of what was read.
    pub(crate) issuer: Option<String>,
}

impl Certificates {
    /// Reads and makes all that a suite has, at its time.
    pub(crate) fn make(
        document: &Document,
        sections: &BTreeMap<String, CertificateSection>,
        base: Timestamp,
    ) -> Result<Self, Mistake> {
        let mut maker = Maker { document, sections, base, authorities: BTreeMap::new() };
        let mut all = BTreeMap::new();
        for (name, section) in sections {
            let (der, issuer) = match maker.read(name, section)? {
                Some(der) => (der, None),
                None => (maker.described(name, section)?, Some(issuer(name, section).to_owned())),
            };
            let parsed = Certificate::from_der(der.clone()).map(Arc::new);
            let parsed = parsed.map_err(|error| error.to_string());
            all.insert(name.clone(), Made { der, parsed, issuer });
        }
        let files = sections.values().filter_map(|section| section.file.as_ref());
        let files = files.map(|file| file.get_ref().clone()).collect();
        Ok(Self { by_name: all, files })
    }

    /// One by its name.
    pub(crate) fn get(&self, name: &str) -> Result<&Made, String> {
        self.by_name.get(name).ok_or_else(|| match self.by_name.is_empty() {
            true => format!("no certificate `{name}`: the suite has none"),
            false => {
                let known: Vec<&str> = self.by_name.keys().map(String::as_str).take(20).collect();
                format!("no certificate `{name}`: the suite has `{}`", known.join("`, `"))
            }
        })
    }

    /// The files that some were read from, relative to the suite.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// One that the host takes for a certificate.
    pub(crate) fn parsed(&self, name: &str) -> Result<&Arc<Certificate>, String> {
        let made = self.get(name)?;
        made.parsed.as_ref().map_err(|problem| format!("certificate `{name}`: {problem}"))
    }
}

struct Maker<'a> {
    document: &'a Document,
    sections: &'a BTreeMap<String, CertificateSection>,
    base: Timestamp,
    authorities: BTreeMap<String, Authority>,
}

impl Maker<'_> {
    /// The bytes of a certificate that is not described.
    fn read(&self, name: &str, section: &CertificateSection) -> Result<Option<Vec<u8>>, Mistake> {
        if section.file.is_none() && section.der.is_none() {
            return Ok(None);
        }
        let bare = CertificateSection { file: None, der: None, ..section.clone() };
        if bare != CertificateSection::default()
            || (section.file.is_some() && section.der.is_some())
        {
            let problem = "a certificate is from a file, from bytes, or described: one of these";
            return Err(self.mistake(name, problem));
        }
        if let Some(file) = &section.file {
            return self.file(name, file).map(Some);
        }
        Ok(section.der.as_ref().map(|der| der.0.clone()))
    }

    fn file(&self, name: &str, file: &Spanned<PathBuf>) -> Result<Vec<u8>, Mistake> {
        let key = format!("certificates.{name}.file");
        let bytes = self.document.read_named(file, &key, MAXIMUM_FILE_BYTES)?;
        if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
            return Ok(bytes);
        }
        let mistake = |problem: &str| self.document.mistake(file, &key, problem);
        let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
        match found.as_deref() {
            Ok([one]) => Ok(one.to_vec()),
            Ok([]) => Err(mistake("the PEM text holds no certificate")),
            Ok(several) => {
                let problem = format!("the file holds {} certificates", several.len());
                Err(mistake(&problem).hint("give each a file, and a name, of its own"))
            }
            Err(error) => Err(mistake(&format!("not well-formed PEM: {error}"))),
        }
    }

    /// The bytes of a certificate that is described, with its flaws.
    fn described(&mut self, name: &str, section: &CertificateSection) -> Result<Vec<u8>, Mistake> {
        self.ensure(name, 0)?;
        let made = self.authorities.get(name);
        let mut der = made.map(|made| made.certificate_der().to_vec()).unwrap_or_default();
        for flaw in section.flaws.iter().filter_map(|flaw| flaw.in_bytes()) {
            flaw.spoil(&mut der);
        }
        Ok(der)
    }

    /// Makes a certificate, and those above it before it.
    fn ensure(&mut self, name: &str, depth: usize) -> Result<(), Mistake> {
        if self.authorities.contains_key(name) {
            return Ok(());
        }
        let Some(section) = self.sections.get(name) else { return Ok(()) };
        let profile =
            profile(name, section, self.base).map_err(|problem| self.mistake(name, &problem))?;
        let key = self.key(name, section)?;
        let authority = match &section.issuer {
            Some(issuer) if issuer.get_ref() != name => {
                self.check_issuer(name, issuer, depth)?;
                self.ensure(issuer.get_ref(), depth + 1)?;
                match self.authorities.get(issuer.get_ref()) {
                    Some(above) => above.intermediate_with(&profile, key),
                    None => return Ok(()),
                }
            }
            _ if !key.signs() => {
                let problem =
                    "a key of 1024 bits signs nothing, so an issuer with another is needed";
                return Err(self.mistake(name, problem).hint("name one with `issuer`"));
            }
            _ => Authority::root_with(&profile, key),
        };
        let authority = authority.map_err(|error| self.mistake(name, &with_causes(&error)))?;
        self.authorities.insert(name.to_owned(), authority);
        Ok(())
    }

    fn check_issuer(
        &self,
        name: &str,
        issuer: &Spanned<String>,
        depth: usize,
    ) -> Result<(), Mistake> {
        let key = format!("certificates.{name}.issuer");
        let mistake = |problem: &str| Err(self.document.mistake(issuer, &key, problem));
        let Some(section) = self.sections.get(issuer.get_ref()) else {
            return mistake(&format!("no certificate `{}` is described", issuer.get_ref()));
        };
        if section.file.is_some() || section.der.is_some() {
            return mistake(
                "the key of a certificate that was read is not known, so it issues none",
            );
        }
        if depth >= MAXIMUM_DEPTH {
            return mistake(&format!(
                "it issues itself over others, or more than {MAXIMUM_DEPTH} stand above one another"
            ));
        }
        match self.key_type(issuer.get_ref()) {
            TestKeyType::Rsa1024 => mistake("its key of 1024 bits signs nothing"),
            _ => Ok(()),
        }
    }

    fn key(&self, name: &str, section: &CertificateSection) -> Result<TestKey, Mistake> {
        let owner = match &section.same_key_as {
            None => name,
            Some(other) => {
                let key = format!("certificates.{name}.same-key-as");
                let mistake = |problem: &str| self.document.mistake(other, &key, problem);
                let owner = self.sections.get(other.get_ref());
                let owner = owner.filter(|owner| owner.file.is_none() && owner.der.is_none());
                match owner {
                    None => return Err(mistake("no certificate of this name is described")),
                    Some(owner) if owner.same_key_as.is_some() => {
                        return Err(mistake("it has the key of another: name that one"));
                    }
                    Some(_) if section.key.is_some() => {
                        return Err(mistake("`key` and `same-key-as` exclude each other"));
                    }
                    Some(_) => other.get_ref(),
                }
            }
        };
        TestKey::derive(self.key_type(owner), owner)
            .map_err(|error| self.mistake(name, &with_causes(&error)))
    }

    fn key_type(&self, name: &str) -> TestKeyType {
        let Some(section) = self.sections.get(name) else { return TestKeyType::default() };
        let owner =
            section.same_key_as.as_ref().and_then(|owner| self.sections.get(owner.get_ref()));
        owner.unwrap_or(section).key.map_or(TestKeyType::default(), TestKeyType::from)
    }

    fn mistake(&self, name: &str, problem: &str) -> Mistake {
        let key = format!("certificates.{name}");
        self.document.mistake_in(&format!("[{key}]"), &key, problem)
    }
}

fn issuer<'a>(name: &'a str, section: &'a CertificateSection) -> &'a str {
    section.issuer.as_ref().map_or(name, |issuer| issuer.get_ref())
}
