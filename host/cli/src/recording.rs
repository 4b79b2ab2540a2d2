//! The handshakes of a run, kept as they are judged: in files, and the last one for whoever may ask.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_engine::{Chain, Clock, Decision, Handshake, Revocation, Step};
use portcullis_gate::Judge;
use portcullis_recording::{
    AnsweredOnce, AssetIdentity, FileHeader, Options, PolicyIdentity, Record, Recorder,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::config::ConfigFile;
use crate::revocation::{self, Impatient, Sources};
use portcullis_config::Mistake;
use portcullis_engine::with_causes;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What the section `[recording]` asks for, checked; nothing is made yet.
pub(crate) fn options(file: &ConfigFile) -> Result<Option<Options>, Mistake> {
    let Some(section) = &file.config.recording else { return Ok(None) };
    let mut options = Options::new(file.resolve(&section.directory));
    let bytes = |given: Option<u64>, default| given.unwrap_or(default);
    options.maximum_file_bytes = bytes(section.maximum_file_bytes, options.maximum_file_bytes);
    options.maximum_total_bytes = bytes(section.maximum_total_bytes, options.maximum_total_bytes);
    if let Some(seconds) = section.maximum_file_age_seconds {
        options.maximum_file_age_seconds = i64::from(seconds);
    }
    if let Some(days) = section.maximum_age_days {
        options.maximum_age_seconds = i64::from(days) * DAY_SECONDS;
    }
    options.check().map_err(|error| mistake(file, &error))?;
    Ok(Some(options))
}

/// Starts recording, where the configuration asks for it.
pub(crate) fn start(file: &ConfigFile) -> Result<Option<Arc<Recorder>>, Mistake> {
    let Some(options) = options(file)? else { return Ok(None) };
    let recorder =
        Recorder::start(options, Clock::system()).map_err(|error| mistake(file, &error))?;
    Ok(Some(Arc::new(recorder)))
}

fn mistake(file: &ConfigFile, error: &portcullis_recording::RecordingError) -> Mistake {
    file.mistake_in("[recording]", "recording", &with_causes(error))
}

/// A chain's policies, and all that their verdicts depend on.
pub(crate) fn identities(chain: &Chain) -> Arc<[PolicyIdentity]> {
    let mut identities = Vec::new();
    for (step, members) in chain.steps().iter().enumerate() {
        let members = match members {
            Step::One(member) => std::slice::from_ref(member),
            Step::Any(group) => group.as_slice(),
        };
        identities.extend(members.iter().map(|member| {
            PolicyIdentity {
                name: member.policy.name().to_owned(),
                step: u32::try_from(step).unwrap_or(u32::MAX),
                shadow: member.shadow,
                component_sha256: member.policy.digest().to_owned(),
                settings_sha256: member.policy.settings_sha256().to_owned(),
                assets: member
                    .policy
                    .assets()
                    .iter()
                    .map(|asset| AssetIdentity {
                        name: asset.name.clone(),
                        sha256: asset.sha256.clone(),
                    })
                    .collect(),
            }
        }));
    }
    identities.into()
}

/// The handshake that was judged last, for `/handshakes/last`.
#[derive(Clone, Default)]
pub(crate) struct LastHandshake(Arc<Mutex<Option<Last>>>);

#[derive(Clone)]
struct Last {
    policies: Arc<[PolicyIdentity]>,
    record: Arc<Record>,
}

impl LastHandshake {
    fn set(&self, policies: &Arc<[PolicyIdentity]>, record: Record) {
        let last = Last { policies: Arc::clone(policies), record: Arc::new(record) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// As a recording of this one handshake; none before the first.
    pub(crate) fn file(&self) -> Option<Vec<u8>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let header = FileHeader {
            created: last.record.time,
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            policies: last.policies.to_vec(),
        };
        portcullis_recording::file_of_one(&header, &last.record).ok()
    }
}

impl fmt::Debug for LastHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastHandshake")
    }
}

/// Who keeps what was judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keepers {
    pub(crate) recorder: Option<Arc<Recorder>>,
    pub(crate) last: Option<LastHandshake>,
    /// Whether log lines are kept.
    pub(crate) log_lines: bool,
}

/// A chain whose decisions are kept.
pub(crate) struct KeptJudge {
    chain: Chain,
    policies: Arc<[PolicyIdentity]>,
    revocation: Sources,
    impatient: Arc<dyn Revocation>,
    keepers: Keepers,
}

impl KeptJudge {
    /// `revocation` is what the chain was made with.
    pub(crate) fn new(chain: Chain, revocation: Sources, keepers: Keepers) -> Self {
        let policies = identities(&chain);
        let impatient = Arc::new(Impatient(Arc::new(revocation.clone())));
        Self { chain, policies, revocation, impatient, keepers }
    }

    fn keep(&self, mut record: Record) {
        if !self.keepers.log_lines {
            for part in &mut record.decision.policies {
                part.log.clear();
            }
        }
        if let Some(recorder) = &self.keepers.recorder {
            recorder.record(&self.policies, &record);
        }
        if let Some(last) = &self.keepers.last {
            last.set(&self.policies, record);
        }
    }
}

impl Judge for KeptJudge {
    fn decide(&self, handshake: &Handshake) -> Decision {
        if self.keepers.recorder.is_none() && self.keepers.last.is_none() {
            return self.chain.decide(handshake);
        }
        let answers = Arc::new(AnsweredOnce::new(Arc::new(self.revocation.clone())));
        let asked: Arc<dyn Revocation> = Arc::clone(&answers) as _;
        let decision = self.chain.decide_with(handshake, &asked);
        self.keep(Record::new(handshake, &answers.answers(), &decision));
        decision
    }

    /// No handshake, and so not recorded.
    fn decide_again(&self, handshake: &Handshake) -> Decision {
        self.chain.decide_with(handshake, &self.impatient)
    }

    fn hold(&self, decision: &Decision) -> Option<Box<dyn Send>> {
        let watches = revocation::watch(&self.revocation, decision);
        (!watches.is_empty()).then(|| Box::new(watches) as Box<dyn Send>)
    }
}

/// What became of the records, read at each scrape.
#[derive(Debug)]
pub(crate) struct RecordingMetrics(pub(crate) Arc<Recorder>);

impl Collector for RecordingMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = self.0.counts();
        for (name, help, value) in [
            ("recording_records", "Handshakes that were recorded", counts.records),
            (
                "recording_dropped",
                "Handshakes not recorded since too many were waiting to be",
                counts.dropped,
            ),
            ("recording_failures", "Handshakes not recorded since writing failed", counts.failures),
        ] {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
