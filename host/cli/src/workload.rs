//! The SPIFFE Workload API that the configuration takes from.

mod metrics;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use portcullis_config::{AssetSource, Mistake};
use portcullis_engine::{Clock, Decision, Handshake, Rejection, Verdict};
use portcullis_gate::{Cause, Concern, Judge, LiveConnections};
use portcullis_workload::{Address, Choice, ENDPOINT_SOCKET, WorkloadApi, parse_id};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use toml::Spanned;

pub(crate) use self::metrics::AgentMetrics;
use crate::config::{CertificateSource, Config, ConfigFile, WorkloadApiSection};

/// Long enough for an agent that starts at the same time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The agent that is talked to, from one load of the configuration to the next.
pub(crate) struct Agent {
    runtime: Handle,
    talk: Option<Talk>,
}

struct Talk {
    address: Address,
    choice: Choice,
    api: WorkloadApi,
}

impl Agent {
    /// Talks to nobody yet.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, talk: None }
    }

    /// What the agent gives, where the configuration takes something from it; the same as at the last load if it is the
    /// same agent. Blocks until it has answered: without an answer the gate has no certificate, or does not know whom to
    /// let in.
    pub(crate) fn answering(&mut self, file: &ConfigFile) -> Result<Option<WorkloadApi>, Mistake> {
        let Some((address, choice)) = asked(file)? else { return Ok(None) };
        let same = |talk: &&Talk| talk.address == address && talk.choice == choice;
        let api = match self.talk.as_ref().filter(same) {
            Some(talk) => talk.api.clone(),
            None => {
                let _within = self.runtime.enter();
                WorkloadApi::start(address.clone(), choice.clone(), Clock::system())
            }
        };
        let section = file.config.workload_api.as_ref();
        let timeout = section.and_then(|section| section.get_ref().start_timeout_ms);
        let timeout = timeout.map_or(START_TIMEOUT, Duration::from_millis);
        self.wait(&api, timeout).map_err(|problem| {
            file.mistake_in("[workload-api]", "workload-api", &problem)
                .hint("`workload-api.start-timeout-ms` says how long the agent is waited for")
        })?;
        self.talk = Some(Talk { address, choice, api: api.clone() });
        Ok(Some(api))
    }

    /// On the runtime: whoever waits here is not on it, and its end ends the waiting.
    fn wait(&self, api: &WorkloadApi, timeout: Duration) -> Result<(), String> {
        let (sender, ready) = oneshot::channel();
        let api = api.clone();
        self.runtime.spawn(async move {
            // Whoever asked may be gone.
            let _ = sender.send(api.ready(timeout).await);
        });
        let ready = ready.blocking_recv().map_err(|_| "it is not waited for any longer")?;
        ready.map(drop).map_err(|error| error.to_string())
    }
}

/// As [`Agent::answering`], for a command that looks once: `file` then has what the agent gave.
pub(crate) fn once(file: &mut ConfigFile) -> anyhow::Result<()> {
    if asked(file)?.is_none() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let api = Agent::new(runtime.handle().clone()).answering(file)?;
    file.workload_api = api.and_then(|api| api.material()).map(|material| material as _);
    Ok(())
}

/// Which agent, and which of its SVIDs; none where nothing is taken from one.
fn asked(file: &ConfigFile) -> Result<Option<(Address, Choice)>, Mistake> {
    let section = file.config.workload_api.as_ref();
    match (section, is_used(&file.config)) {
        (_, true) if !file.config.reload.automatic => {
            let problem = "what the Workload API renews comes into force by a reload, on its own";
            let mistake = file.mistake_in("[reload]", "reload.automatic", problem);
            Err(mistake.hint("remove it, or take the certificate and the CAs from files"))
        }
        (_, true) => {
            let section = section.map(Spanned::get_ref);
            Ok(Some((address(file, section)?, choice(file, section)?)))
        }
        (None, false) => Ok(None),
        (Some(section), false) => {
            let hint = "give { workload-api = \"svid\" } as `listen.certificate`, or { workload-api = \"own\" } or { workload-api = \"all\" } as an asset";
            Err(file.mistake(section, "workload-api", "nothing is taken from it").hint(hint))
        }
    }
}

fn is_used(config: &Config) -> bool {
    let assets = config.policies.values().flat_map(|policy| policy.assets.values());
    matches!(config.listen.certificate.get_ref(), CertificateSource::WorkloadApi(_))
        || assets.into_iter().any(|asset| matches!(asset.get_ref(), AssetSource::WorkloadApi(_)))
}

fn address(file: &ConfigFile, section: Option<&WorkloadApiSection>) -> Result<Address, Mistake> {
    let key = "workload-api.address";
    let given = section.and_then(|section| section.address.as_ref());
    let mistake = |problem: &str| match given {
        Some(given) => file.mistake(given, key, problem),
        None => file.mistake_in("[workload-api]", key, problem),
    };
    let address = match given {
        Some(given) => Address::parse(given.get_ref()),
        None => Address::of_environment().ok_or_else(|| {
            mistake("nothing says where the Workload API is")
                .hint(&format!("give `{key}`, or set {ENDPOINT_SOCKET}"))
        })?,
    };
    let address = address.map_err(|error| mistake(&error.to_string()))?;
    if address.is_local() || section.is_some_and(|section| section.allow_key_over_network) {
        return Ok(address);
    }
    Err(mistake(&over_network(&address)).hint("`workload-api.allow-key-over-network` allows it"))
}

/// Why an address is not taken.
pub(crate) fn over_network(address: &Address) -> String {
    format!("from `{address}` the private key would come over the network, which nothing encrypts")
}

fn choice(file: &ConfigFile, section: Option<&WorkloadApiSection>) -> Result<Choice, Mistake> {
    let Some(section) = section else { return Ok(Choice::First) };
    match (&section.spiffe_id, &section.hint) {
        (Some(id), None) => parse_id(id.get_ref())
            .map(Choice::Id)
            .map_err(|problem| file.mistake(id, "workload-api.spiffe-id", &problem)),
        (None, Some(hint)) => Ok(Choice::Hint(hint.get_ref().clone())),
        (None, None) => Ok(Choice::First),
        (Some(_), Some(hint)) => Err(file.mistake(
            hint,
            "workload-api.hint",
            "an SVID is named by its ID or by its hint, not by both",
        )),
    }
}

/// The agent that is in force. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current(Arc<Mutex<Option<WorkloadApi>>>);

impl Current {
    pub(crate) fn new(api: Option<WorkloadApi>) -> Self {
        Self(Arc::new(Mutex::new(api)))
    }

    pub(crate) fn get(&self) -> Option<WorkloadApi> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether it is another than before.
    pub(crate) fn replace(&self, api: Option<WorkloadApi>) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = match (&*current, &api) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        *current = api;
        !is_same
    }
}

/// Lets nobody in while there is nothing that the agent stands for: what it took back, or let expire, proves nothing.
pub(crate) struct BackedJudge<J> {
    judge: J,
    api: Option<WorkloadApi>,
}

impl<J: Judge> BackedJudge<J> {
    /// `api` is what the judge was made with.
    pub(crate) fn new(judge: J, api: Option<WorkloadApi>) -> Self {
        Self { judge, api }
    }
}

impl<J: Judge> Judge for BackedJudge<J> {
    fn decide(&self, handshake: &Handshake) -> Decision {
        match &self.api {
            Some(api) if api.material().is_none() => refusal(&api.why_not()),
            _ => self.judge.decide(handshake),
        }
    }
}

/// Has those inside judged again when nothing of the agent may be used any longer, for as long as there is this agent.
pub(crate) fn follow(api: Option<&WorkloadApi>, live: LiveConnections) {
    let Some(mut state) = api.map(WorkloadApi::subscribe) else { return };
    tokio::spawn(async move {
        let mut was_there = state.borrow().material.is_some();
        while state.changed().await.is_ok() {
            let is_there = state.borrow_and_update().material.is_some();
            if was_there && !is_there {
                live.judge_again(Cause::Policies, |_| Concern::Certainly);
            }
            was_there = is_there;
        }
    });
}

fn refusal(why: &str) -> Decision {
    let rejection = Rejection {
        code: "policy-failed".to_owned(),
        detail: format!("nothing of the Workload API may be used: {why}"),
        policy: None,
    };
    Decision { verdict: Verdict::Reject(rejection), policies: Vec::new(), elapsed: Duration::ZERO }
}

/// Reads from the Workload API, and remembers that it was read.
pub(crate) fn read(file: &ConfigFile, name: &str, maximum: u64) -> Result<Vec<u8>, String> {
    let source = file.workload_api.as_ref().ok_or("there is no Workload API here: give a file")?;
    file.readings().read(source, name.as_ref(), maximum).map_err(|error| error.to_string())
}
