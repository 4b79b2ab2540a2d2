//! `portcullis.toml`: its shape, and reading it.
//!
//! Every key is in the README's reference. Unknown keys are mistakes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_config::Document;
pub(crate) use portcullis_config::{ChainStep, Mode, PolicySection, read_bounded};
use portcullis_mcp::{IdentityHeader, Rule};
use portcullis_revocation::RevocationOptions;
use portcullis_source::{Readings, Source};
use serde::Deserialize;
use toml::Spanned;

use crate::time::Seconds;
use portcullis_config::Mistake;

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
    /// Without the section, the agent is where an environment variable says.
    pub(crate) workload_api: Option<Spanned<WorkloadApiSection>>,
    /// Without the section, no metrics are served.
    pub(crate) metrics: Option<MetricsSection>,
    #[serde(default)]
    pub(crate) alerts: AlertsSection,
    /// Without the section, no handshake is recorded.
    pub(crate) recording: Option<RecordingSection>,
    #[serde(default)]
    pub(crate) reload: ReloadSection,
    #[serde(default)]
    pub(crate) http: HttpSection,
    #[serde(default)]
    pub(crate) limits: LimitsSection,
    /// Without a rule every client may call everything.
    #[serde(default)]
    pub(crate) authorize: Vec<Spanned<Rule>>,
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, ServerSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Spanned<CertificateSource>,
    pub(crate) private_key: Option<Spanned<PathBuf>>,
    pub(crate) maximum_connections: Option<u32>,
    pub(crate) maximum_handshakes: Option<u32>,
    pub(crate) handshake_timeout_ms: Option<u64>,
    pub(crate) shutdown_timeout_ms: Option<u64>,
    /// 0 turns it off.
    pub(crate) keep_alive_seconds: Option<u32>,
    #[serde(default)]
    pub(crate) resumption: ResumptionMode,
    pub(crate) rejudge_timeout_ms: Option<u64>,
    pub(crate) rejudge_cpu_percent: Option<u32>,
}

/// Where the server's certificate comes from.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a file's path, or { workload-api = \"svid\" }")]
pub(crate) enum CertificateSource {
    File(PathBuf),
    WorkloadApi(SvidSource),
}

/// From the SPIFFE Workload API, the key with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SvidSource {
    #[expect(dead_code, reason = "there is only one")]
    workload_api: SvidName,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SvidName {
    Svid,
}

/// The agent, and which of its SVIDs is the gate's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WorkloadApiSection {
    /// Default: the environment variable `SPIFFE_ENDPOINT_SOCKET`.
    pub(crate) address: Option<Spanned<String>>,
    /// Default: the first.
    pub(crate) spiffe_id: Option<Spanned<String>>,
    pub(crate) hint: Option<Spanned<String>>,
    /// Lets the address be another machine's, from which the key comes unencrypted.
    #[serde(default)]
    pub(crate) allow_key_over_network: bool,
    pub(crate) start_timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResumptionMode {
    #[default]
    Off,
    Rejudged,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EngineSection {
    pub(crate) maximum_decisions: Option<u32>,
    pub(crate) pagemap_scan: PagemapScanMode,
    pub(crate) cache: CacheMode,
    /// Default: the user's.
    pub(crate) cache_directory: Option<Spanned<PathBuf>>,
    pub(crate) cache_maximum_bytes: Option<u64>,
}

/// Whether what was compiled is kept on disk.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CacheMode {
    #[default]
    On,
    Off,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PagemapScanMode {
    #[default]
    Automatic,
    Off,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MetricsSection {
    pub(crate) address: SocketAddr,
    /// Shows the certificates of the client that came last to whoever reaches the address.
    #[serde(default)]
    pub(crate) last_handshake: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AlertsSection {
    pub(crate) warn_before: Option<Seconds>,
    pub(crate) warn_fraction: Option<Spanned<f64>>,
    pub(crate) repeat: Option<Seconds>,
    pub(crate) clients: Option<bool>,
    pub(crate) command: Option<Spanned<Vec<String>>>,
    /// May have a secret in it.
    pub(crate) webhook: Option<String>,
    /// Default: the system's.
    pub(crate) webhook_roots: Option<Spanned<PathBuf>>,
    pub(crate) timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RecordingSection {
    pub(crate) directory: PathBuf,
    pub(crate) maximum_file_bytes: Option<u64>,
    pub(crate) maximum_file_age_seconds: Option<u32>,
    pub(crate) maximum_total_bytes: Option<u64>,
    pub(crate) maximum_age_days: Option<u16>,
    /// Whether what policies write to their log is recorded as well.
    #[serde(default)]
    pub(crate) log_lines: bool,
}

/// When everything is loaded again.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReloadSection {
    /// Otherwise on SIGHUP only.
    pub(crate) automatic: bool,
    /// For what is not signalled.
    pub(crate) poll_ms: NonZeroU64,
    /// Cases that another chain must pass before it is in force.
    pub(crate) suite: Option<Spanned<PathBuf>>,
}

impl Default for ReloadSection {
    fn default() -> Self {
        Self { automatic: true, poll_ms: NonZeroU64::MIN.saturating_add(4999), suite: None }
    }
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
    pub(crate) header_timeout_ms: Option<u64>,
    pub(crate) body_timeout_ms: Option<u64>,
    pub(crate) write_timeout_ms: Option<u64>,
}

/// Of one principal.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LimitsSection {
    pub(crate) requests_in_flight: Option<NonZeroUsize>,
    pub(crate) requests_per_second: Option<NonZeroU32>,
}

/// A server that is a command, or one that has a URL.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServerSection {
    pub(crate) command: Option<Vec<String>>,
    pub(crate) environment: Option<BTreeMap<String, String>>,
    pub(crate) working_directory: Option<PathBuf>,
    pub(crate) maximum_message_bytes: Option<usize>,
    pub(crate) address_space_mib: Option<u64>,
    pub(crate) cpu_seconds: Option<u64>,
    pub(crate) open_files: Option<u64>,
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
    /// What gives what is taken from the SPIFFE Workload API, once it has answered.
    pub(crate) workload_api: Option<Arc<dyn Source>>,
    document: Document,
}

impl ConfigFile {
    /// Reads and parses the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Mistake> {
        Self::read_with(path, Arc::default())
    }

    /// As [`ConfigFile::read`], with `readings` for the file itself and for all that it names.
    pub(crate) fn read_with(path: &Path, readings: Arc<Readings>) -> Result<Self, Mistake> {
        let document = Document::read_with(path, MAXIMUM_BYTES, readings)
            .map_err(|mistake| mistake.hint("name another file with `--config`"))?;
        Ok(Self { config: document.parse()?, workload_api: None, document })
    }
}

/// The places and the paths in the file.
impl Deref for ConfigFile {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}
