//! One suite: read, checked, and ready to run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_config::{
    ChainSource, ChainStep, Document, KnownPolicies, Layer, Mistake, PolicySection,
};
use portcullis_engine::{
    Handshake, RecordedAnswers, Revocation, RevocationAnswer, RevocationStatus, Timestamp,
};
use serde::Deserialize;
use toml::Spanned;

use crate::asset;
use crate::case::{self, Case};
use crate::certificates::Certificates;
use crate::expectation::Expectation;
use crate::format::{AnswerSection, CaseSection, SuiteFile, Unlisted, VariantSection};
use crate::moment::Moment;

/// The largest suite, in bytes.
const MAXIMUM_BYTES: u64 = 16 * 1024 * 1024;
/// 2026-01-15T12:00:00Z: when cases happen unless they say otherwise.
const DEFAULT_TIME: Timestamp = 1_768_478_400;
/// Where clients connect from unless a case says otherwise.
const DEFAULT_PEER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000);

/// One file of cases, with the certificates that it has made.
#[derive(Debug)]
pub struct Suite {
    document: Document,
    config: Option<Config>,
    chain: Vec<Spanned<ChainStep>>,
    policies: BTreeMap<String, PolicySection>,
    variants: BTreeMap<String, VariantSection>,
    certificates: Certificates,
    cases: Vec<Case>,
}

/// The configuration whose chain is tested.
#[derive(Debug)]
struct Config {
    document: Document,
    chain: Vec<Spanned<ChainStep>>,
    policies: BTreeMap<String, PolicySection>,
}

/// What a suite needs of a configuration. Whether the rest is right is not its business.
#[derive(Deserialize)]
struct ConfigFile {
    chain: Vec<Spanned<ChainStep>>,
    #[serde(default)]
    policies: BTreeMap<String, PolicySection>,
}

impl Suite {
    /// Reads a suite, and the files that it names for certificates and configuration.
    ///
    /// # Errors
    /// When a file cannot be read, or the suite is wrong.
    pub fn read(path: &Path) -> Result<Self, Mistake> {
        Self::new(Document::read(path, MAXIMUM_BYTES)?)
    }

    /// As [`Suite::read`], of a text.
    ///
    /// # Errors
    /// As [`Suite::read`].
    pub fn new(document: Document) -> Result<Self, Mistake> {
        let file: SuiteFile = document.parse()?;
        let time = match &file.time {
            None => DEFAULT_TIME,
            Some(time) => match time.get_ref() {
                Moment::At(time) => *time,
                Moment::After(_) => {
                    let problem = "the suite's time is RFC 3339: others are relative to it";
                    return Err(document.mistake(time, "time", problem));
                }
            },
        };
        let config = read_config(&document, &file)?;
        let certificates = Certificates::make(&document, &file.certificates, time)?;
        let cases = Reader { document: &document, file: &file, certificates: &certificates, time };
        let cases =
            file.case.iter().map(|section| cases.case(section)).collect::<Result<Vec<_>, _>>()?;
        check_cases(&document, &cases)?;
        check_variants(&document, &file.variants, &cases)?;
        Ok(Self {
            config,
            chain: file.chain.unwrap_or_default(),
            policies: file.policies,
            variants: file.variants,
            certificates,
            cases,
            document,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.document.path()
    }

    /// Its text.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Its cases, in its order.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The DER of one of its certificates.
    #[must_use]
    pub fn certificate(&self, name: &str) -> Option<&[u8]> {
        self.certificates.get(name).ok().map(|made| made.der.as_slice())
    }

    /// What its sections of policies say, the last one first to be asked.
    fn layers(&self, variant: Option<&str>) -> Vec<Layer<'_>> {
        let layer = |document, prefix: &str, policies| {
            let prefix = prefix.to_owned();
            Layer { document, prefix, policies }
        };
        let config =
            self.config.iter().map(|config| layer(&config.document, "policies", &config.policies));
        let own = [layer(&self.document, "policies", &self.policies)];
        let variant = variant.and_then(|name| Some((name, self.variants.get(name)?))).map(
            |(name, section)| {
                layer(&self.document, &format!("variants.{name}.policies"), &section.policies)
            },
        );
        config.chain(own).chain(variant).collect()
    }

    /// Gives the description of a variant of its chain, or of the chain as it is, to `use_it`.
    pub(crate) fn with_source<R>(
        &self,
        variant: Option<&str>,
        plugins: &Path,
        use_it: impl FnOnce(&ChainSource<'_>) -> R,
    ) -> R {
        let layers = self.layers(variant);
        let (document, chain) = match &self.config {
            Some(config) => (&config.document, &config.chain),
            None => (&self.document, &self.chain),
        };
        use_it(&ChainSource {
            document,
            chain,
            layers: &layers,
            plugins,
            make: &|made| asset::make(made, &self.certificates),
            workload_api: None,
            known: &KnownPolicies::default(),
        })
    }

    /// The most memory that a policy of it may have, in MiB.
    pub(crate) fn largest_memory_mib(&self) -> Option<u32> {
        let config = self.config.iter().map(|config| &config.policies);
        let variants = self.variants.values().map(|variant| &variant.policies);
        let sections = config.chain([&self.policies]).chain(variants).flat_map(BTreeMap::values);
        sections.filter_map(|section| section.memory_mib).max()
    }

    /// The files beside itself that it reads when it runs.
    #[must_use]
    pub fn files(&self, plugins: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            self.config.iter().map(|config| config.document.path().to_owned()).collect();
        files.extend(self.certificates.files().map(|path| self.document.resolve(path)));
        for variant in [None].into_iter().chain(self.variants.keys().map(Some)) {
            self.with_source(variant.map(String::as_str), plugins, |source| {
                files.extend(source.files());
            });
        }
        files.sort();
        files.dedup();
        files
    }
}

fn read_config(document: &Document, file: &SuiteFile) -> Result<Option<Config>, Mistake> {
    match (&file.config, &file.chain) {
        (Some(_), Some(_)) => Err(document
            .mistake_in("config", "config", "`config` and `chain` exclude each other")
            .hint("the chain of a suite with `config` is that of the configuration")),
        (None, None) => Err(document
            .mistake_in("chain", "chain", "the suite names no chain")
            .hint("`chain` or `config` belongs above the first [section]")),
        (None, Some(_)) => Ok(None),
        (Some(path), None) => {
            let resolved = document.resolve(path.get_ref());
            let config = Document::read(&resolved, MAXIMUM_BYTES)
                .map_err(|mistake| document.mistake(path, "config", &mistake.to_string()))?;
            let ConfigFile { chain, policies } = config.parse()?;
            Ok(Some(Config { document: config, chain, policies }))
        }
    }
}

fn check_cases(document: &Document, cases: &[Case]) -> Result<(), Mistake> {
    if cases.is_empty() {
        return Err(document
            .mistake_in("case", "case", "the suite has no case")
            .hint("a case begins with [[case]]"));
    }
    match case::repeated(cases) {
        Some(case) => {
            let problem = format!("two cases have the name `{}`", case.name);
            Err(document.mistake_at(case.span.clone(), "case.name", &problem))
        }
        None => Ok(()),
    }
}

/// A variant that no case names is a mistake: its author believes that it is tested.
fn check_variants(
    document: &Document,
    variants: &BTreeMap<String, VariantSection>,
    cases: &[Case],
) -> Result<(), Mistake> {
    let named = |name: &String| cases.iter().any(|case| case.variant.as_ref() == Some(name));
    match variants.keys().find(|name| !named(name)) {
        Some(name) => {
            let key = format!("variants.{name}");
            Err(document.mistake_in(&format!("[{key}."), &key, "no case names this variant"))
        }
        None => Ok(()),
    }
}

/// Reads cases.
struct Reader<'a> {
    document: &'a Document,
    file: &'a SuiteFile,
    certificates: &'a Certificates,
    time: Timestamp,
}

impl Reader<'_> {
    fn case(&self, section: &CaseSection) -> Result<Case, Mistake> {
        let time = section.time.map_or(self.time, |moment| moment.from(self.time));
        Ok(Case {
            name: section.name.get_ref().clone(),
            span: section.name.span(),
            variant: self.variant(section)?,
            expectation: self.expectation(section)?,
            presented: self.presented(section, time)?,
            revocation: self.revocation(section)?,
        })
    }

    fn variant(&self, section: &CaseSection) -> Result<Option<String>, Mistake> {
        let Some(variant) = &section.variant else { return Ok(None) };
        if !self.file.variants.contains_key(variant.get_ref()) {
            let problem = format!("the suite has no [variants.{}…]", variant.get_ref());
            return Err(self.document.mistake(variant, "case.variant", &problem));
        }
        Ok(Some(variant.get_ref().clone()))
    }

    fn expectation(&self, section: &CaseSection) -> Result<Option<Expectation>, Mistake> {
        match (&section.accept, &section.reject) {
            (Some(_), Some(reject)) => {
                let problem = "`accept` and `reject` exclude each other";
                Err(self.document.mistake(reject, "case.reject", problem))
            }
            (Some(accept), None) => Expectation::accept(accept.get_ref(), self.time)
                .map(Some)
                .map_err(|problem| self.document.mistake(accept, "case.accept", problem)),
            (None, reject) => {
                Ok(reject.as_ref().map(|reject| Expectation::reject(reject.get_ref())))
            }
        }
    }

    /// The handshake; or why the host refuses it before there is one.
    fn presented(
        &self,
        section: &CaseSection,
        time: Timestamp,
    ) -> Result<Result<Handshake, String>, Mistake> {
        let mut chain = Vec::new();
        let mut malformed = None;
        for (position, name) in section.present.get_ref().as_slice().iter().enumerate() {
            let made = self.certificates.get(name).map_err(|problem| {
                self.document.mistake(&section.present, "case.present", &problem)
            })?;
            match &made.parsed {
                Ok(certificate) => chain.push(certificate.clone()),
                Err(problem) => {
                    malformed.get_or_insert(format!("certificate {}: {problem}", position + 1));
                }
            }
        }
        let server_name = section.server_name.as_ref().or(self.file.server_name.as_ref());
        let handshake = Handshake {
            chain,
            time,
            peer_address: section.peer.or(self.file.peer).unwrap_or(DEFAULT_PEER),
            server_name: server_name.map(|name| name.to_ascii_lowercase()),
        };
        Ok(malformed.map_or(Ok(handshake), Err))
    }

    fn revocation(&self, section: &CaseSection) -> Result<Arc<dyn Revocation>, Mistake> {
        let unlisted = section.unlisted_revocation.unwrap_or(self.file.unlisted_revocation);
        let mut answers = match unlisted {
            Unlisted::Good => RecordedAnswers::default().otherwise(RevocationStatus::Good),
            Unlisted::Unknown => RecordedAnswers::default(),
        };
        for section in self.file.revocation.iter().chain(&section.revocation) {
            self.answer(section, &mut answers)?;
        }
        Ok(Arc::new(answers))
    }

    fn answer(
        &self,
        section: &AnswerSection,
        answers: &mut RecordedAnswers,
    ) -> Result<(), Mistake> {
        let mistake = |at: &Spanned<String>, key: &str, problem: &str| {
            self.document.mistake(at, &format!("revocation.{key}"), problem)
        };
        let named = &section.certificate;
        let subject = self
            .certificates
            .parsed(named.get_ref())
            .map_err(|problem| mistake(named, "certificate", &problem))?;
        let issuer = match &section.issuer {
            Some(issuer) => self
                .certificates
                .parsed(issuer.get_ref())
                .map_err(|problem| mistake(issuer, "issuer", &problem))?,
            None => self
                .certificates
                .get(named.get_ref())
                .ok()
                .and_then(|made| made.issuer.as_deref())
                .ok_or_else(|| "it was read, so its `issuer` must be named".to_owned())
                .and_then(|issuer| self.certificates.parsed(issuer))
                .map_err(|problem| mistake(named, "certificate", &problem))?,
        };
        let at = |moment: Option<Moment>| moment.map(|moment| moment.from(self.time));
        let answer = RevocationAnswer {
            status: section.status.into(),
            source: section.source.as_str().to_owned(),
            detail: section.detail.clone(),
            revoked_at: at(section.revoked_at),
            this_update: at(section.this_update),
            next_update: at(section.next_update),
            pending: false,
        };
        answers.insert(*subject.sha256(), *issuer.sha256(), section.source.as_str(), answer);
        Ok(())
    }
}
