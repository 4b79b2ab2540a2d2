//! `portcullis.toml`: its shape, and reading it.
//!
//! Every key is in the README's reference. Unknown keys are mistakes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_mcp::IdentityHeader;
use portcullis_revocation::RevocationOptions;
use serde::Deserialize;
use toml::Spanned;

use crate::diagnosis::Mistake;

/// The largest configuration file, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024;

/// What an operator configures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// The policies in the order of asking.
    pub(crate) chain: Vec<Spanned<ChainStep>>,
    pub(crate) listen: Listen,
    #[serde(default)]
    pub(crate) engine: EngineSection,
    #[serde(default)]
    pub(crate) policies: BTreeMap<String, PolicySection>,
    /// What is known of revocation. Without the section, nothing is.
    pub(crate) revocation: Option<RevocationOptions>,
    /// Without the section, no metrics are served.
    pub(crate) metrics: Option<MetricsSection>,
    #[serde(default)]
    pub(crate) http: HttpSection,
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, ServerSection>,
}

/// One step: a policy's name, or a group of which one must accept.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a policy's name, or { any = [\"NAME\", …] }")]
pub(crate) enum ChainStep {
    Any(AnyGroup),
    One(String),
}

impl ChainStep {
    /// The policies that it names.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Any(group) => &group.any,
            Self::One(name) => std::slice::from_ref(name),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnyGroup {
    pub(crate) any: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Spanned<PathBuf>,
    pub(crate) private_key: Option<Spanned<PathBuf>>,
    pub(crate) maximum_connections: Option<u32>,
    pub(crate) maximum_handshakes: Option<u32>,
    pub(crate) handshake_timeout_ms: Option<u64>,
    pub(crate) shutdown_timeout_ms: Option<u64>,
    #[serde(default)]
    pub(crate) resumption: ResumptionMode,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResumptionMode {
    #[default]
    Off,
    Rejudged,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EngineSection {
    pub(crate) maximum_decisions: Option<u32>,
    #[serde(default)]
    pub(crate) pagemap_scan: PagemapScanMode,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PagemapScanMode {
    #[default]
    Automatic,
    Off,
    Required,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PolicySection {
    /// Default: `NAME.wasm` in the directory of `--plugins`.
    pub(crate) component: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(crate) settings: toml::Table,
    #[serde(default)]
    pub(crate) assets: BTreeMap<String, Spanned<PathBuf>>,
    #[serde(default)]
    pub(crate) mode: Mode,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) configure_deadline_ms: Option<u64>,
    pub(crate) memory_mib: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    #[default]
    Enforce,
    Shadow,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsSection {
    pub(crate) address: SocketAddr,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HttpSection {
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
    #[serde(default)]
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) maximum_body_bytes: Option<usize>,
    pub(crate) maximum_header_bytes: Option<u32>,
}

/// A server that is a command, or one that has a URL.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServerSection {
    pub(crate) command: Option<Vec<String>>,
    pub(crate) environment: Option<BTreeMap<String, String>>,
    pub(crate) working_directory: Option<PathBuf>,
    pub(crate) forward_identity: Option<Spanned<Vec<IdentityHeader>>>,

    pub(crate) url: Option<Spanned<String>>,
    /// Default: the system's.
    pub(crate) roots: Option<Spanned<PathBuf>>,
    pub(crate) certificate: Option<Spanned<PathBuf>>,
    pub(crate) private_key: Option<Spanned<PathBuf>>,
    pub(crate) connect_timeout_ms: Option<u64>,
    pub(crate) response_timeout_ms: Option<u64>,

    pub(crate) maximum_sessions: Option<usize>,
    pub(crate) maximum_sessions_per_client: Option<usize>,
    pub(crate) idle_timeout_ms: Option<u64>,
}

/// A configuration and where it came from.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) config: Config,
    path: PathBuf,
    text: String,
}

impl ConfigFile {
    /// Reads and parses the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Mistake> {
        let bytes = read_bounded(path, MAXIMUM_BYTES).map_err(|problem| {
            Mistake::file(path, &problem).hint("name another file with `--config`")
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Mistake::file(path, "the file is not UTF-8 text"))?;
        let config = toml::from_str(&text).map_err(|error| Mistake::toml(path, &text, &error))?;
        Ok(Self { config, path: path.to_owned(), text })
    }

    /// A path of the configuration, relative to its file.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A mistake at a place of the file.
    pub(crate) fn mistake<T>(&self, at: &Spanned<T>, key: &str, problem: &str) -> Mistake {
        Mistake::at(&self.path, &self.text, at.span(), key, problem)
    }

    /// A mistake in the section or key that this text begins, or in the file as a whole.
    pub(crate) fn mistake_in(&self, header: &str, key: &str, problem: &str) -> Mistake {
        match self.text.find(header) {
            Some(start) => {
                Mistake::at(&self.path, &self.text, start..start + header.len(), key, problem)
            }
            None => Mistake::file(&self.path, problem).key(key),
        }
    }

    /// Reads a file that the configuration names.
    pub(crate) fn read_named(
        &self,
        named: &Spanned<PathBuf>,
        key: &str,
        maximum: u64,
    ) -> Result<Vec<u8>, Mistake> {
        let path = self.resolve(named.get_ref());
        read_bounded(&path, maximum).map_err(|problem| {
            self.mistake(named, key, &format!("`{}`: {problem}", path.display()))
                .hint("paths are relative to the configuration file")
        })
    }
}

/// Reads a file of at most `maximum` bytes; the error says what is wrong, without the path.
pub(crate) fn read_bounded(path: &Path, maximum: u64) -> Result<Vec<u8>, String> {
    use std::io::Read as _;

    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(maximum + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > maximum {
        return Err(format!("the file has more than {maximum} bytes"));
    }
    Ok(bytes)
}
