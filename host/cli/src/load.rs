//! Everything that a run is made of: loaded as a whole, not yet in force.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_alerts::Expiring;
use portcullis_config::{Mistake, time};
use portcullis_engine::{Chain, Clock, Member, Step};
use portcullis_gate::ServerIdentity;
use portcullis_mcp::{Options, RequestAuditor, Server};
use portcullis_revocation::{RevocationChecker, RevocationOptions};
use portcullis_source::Readings;
use portcullis_workload::WorkloadApi;

use crate::arguments::Setup;
use crate::config::ConfigFile;
use crate::policies::Kept;
use crate::reload::proof;
use crate::revocation::{self, Sources};
use crate::wiring::{self, MAXIMUM_PEM_BYTES};
use crate::workload::Agent;
use crate::{alerts, expiry, recording, servers};

/// How often it is looked whether CRLs have come.
const TICK: Duration = Duration::from_millis(50);

/// What a configuration makes.
pub(crate) struct Loaded {
    pub(crate) file: ConfigFile,
    pub(crate) workload_api: Option<WorkloadApi>,
    pub(crate) sources: Sources,
    pub(crate) chain: Chain,
    pub(crate) identity: ServerIdentity,
    pub(crate) options: Options,
    pub(crate) servers: Vec<Server>,
    /// The certificates in its files.
    pub(crate) expiring: Vec<Expiring>,
    /// What is allowed and probably not meant.
    pub(crate) warnings: Vec<String>,
}

/// What a load is to be better than.
#[derive(Clone)]
pub(crate) struct InForce {
    pub(crate) chain: Chain,
    /// SHA-256 of the server's certificate.
    pub(crate) certificate: [u8; 32],
}

/// Loads, and keeps what the next load need not make again.
pub(crate) struct Loader {
    setup: Setup,
    auditor: Arc<dyn RequestAuditor>,
    agent: Agent,
    kept: Kept,
    revocation: Option<KeptSources>,
}

/// Sources of revocation, and what they were made from.
struct KeptSources {
    options: RevocationOptions,
    certificates: Vec<Vec<u8>>,
    sources: Sources,
}

impl Loader {
    /// The auditor is the one of the MCP service.
    pub(crate) fn new(setup: Setup, auditor: Arc<dyn RequestAuditor>, agent: Agent) -> Self {
        Self { setup, auditor, agent, kept: Kept::default(), revocation: None }
    }

    /// Loads everything that the configuration names. Blocks for as long as policies take to compile, and CRLs to come.
    ///
    /// With something in force, what would lock everybody out is a mistake: a certificate of the server, or all of an
    /// asset, that has expired.
    pub(crate) fn load(
        &mut self,
        readings: &Arc<Readings>,
        in_force: Option<&InForce>,
    ) -> Result<Loaded, Mistake> {
        let mut file = ConfigFile::read_with(&self.setup.config, Arc::clone(readings))?;
        let workload_api = self.agent.answering(&file)?;
        file.workload_api = workload_api.clone().map(|api| Arc::new(api) as _);
        let identity = wiring::server_identity(&file)?;
        if let Some(in_force) = in_force {
            check_validity(&file, &identity, in_force)?;
        }
        let servers = servers::all(&file)?;
        recording::options(&file)?;
        alerts::options(&file)?;
        let (sources, revocation) = self.sources(&file, in_force.is_some())?;
        let asked = Arc::new(sources.clone());
        let plugins = &self.setup.plugins;
        let (chain, warnings) = self.kept.load_chain(&file, plugins, asked)?;
        let expiring = expiry::of_files(&file);
        if let Some(in_force) = in_force {
            check_assets(&file, &chain, &expiring, in_force)?;
        }
        if !in_force.is_some_and(|in_force| is_same(&in_force.chain, &chain)) {
            proof::prove(&file, &chain, plugins)?;
        }
        let options = wiring::mcp_options(&file, &identity, Arc::clone(&self.auditor));
        self.revocation = revocation;
        Ok(Loaded {
            file,
            workload_api,
            sources,
            chain,
            identity,
            options,
            servers,
            expiring,
            warnings,
        })
    }

    /// Forgets what is not part of this chain, which is in force.
    pub(crate) fn keep_those_of(&self, chain: &Chain) {
        self.kept.keep_those_of(chain);
    }

    /// The sources as they are, if they would be made the same.
    fn sources(
        &self,
        file: &ConfigFile,
        again: bool,
    ) -> Result<(Sources, Option<KeptSources>), Mistake> {
        let Some(options) = file.config.revocation.clone() else {
            return Ok((Sources::None, None));
        };
        let certificates = certificates(file, &options);
        let same =
            |kept: &&KeptSources| kept.options == options && kept.certificates == certificates;
        let sources = match self.revocation.as_ref().filter(same) {
            Some(kept) => kept.sources.clone(),
            None => {
                let sources = revocation::online(file)?;
                if let (true, Sources::Checker(checker)) = (again, &sources) {
                    await_crls(file, checker, &options)?;
                }
                sources
            }
        };
        Ok((sources.clone(), Some(KeptSources { options, certificates, sources })))
    }
}

/// Whether two chains are the same policies in the same places.
pub(crate) fn is_same(one: &Chain, other: &Chain) -> bool {
    let member = |one: &Member, other: &Member| {
        one.shadow == other.shadow && Arc::ptr_eq(&one.policy, &other.policy)
    };
    let step = |steps: (&Step, &Step)| match steps {
        (Step::One(one), Step::One(other)) => member(one, other),
        (Step::Any(one), Step::Any(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| member(one, other))
        }
        _ => false,
    };
    let (one, other) = (one.steps(), other.steps());
    one.len() == other.len() && one.iter().zip(other).all(step)
}

/// An expired certificate is in nobody's interest, unless it is the one that is there already.
fn check_validity(
    file: &ConfigFile,
    identity: &ServerIdentity,
    in_force: &InForce,
) -> Result<(), Mistake> {
    let certificate = identity.certificate();
    let end = certificate.not_after();
    if end >= Clock::system().now() || *certificate.sha256() == in_force.certificate {
        return Ok(());
    }
    let problem = format!("the certificate expired at {}", time::format(end));
    Err(file.mistake(&file.config.listen.certificate, "listen.certificate", &problem))
}

/// An asset whose certificates have all expired lets nobody in, unless that is how it is already.
fn check_assets(
    file: &ConfigFile,
    chain: &Chain,
    certificates: &[Expiring],
    in_force: &InForce,
) -> Result<(), Mistake> {
    let now = Clock::system().now();
    let is_kept = |member: &&Member| {
        in_force.chain.members().any(|known| Arc::ptr_eq(&known.policy, &member.policy))
    };
    for member in chain.members().filter(|member| !is_kept(member)) {
        let name = member.policy.name();
        for asset in member.policy.assets() {
            let key = format!("policies.{name}.assets.{}", asset.name);
            let mut ends = certificates.iter().filter(|one| one.source == key).map(|one| one.last);
            if ends.clone().next().is_some() && ends.all(|end| end < now) {
                let problem = "every certificate in it has expired";
                return Err(file.mistake_in(&format!("[policies.{name}]"), &key, problem));
            }
        }
    }
    Ok(())
}

/// The files of certificates that sources are made from; what cannot be read they complain of themselves.
fn certificates(file: &ConfigFile, options: &RevocationOptions) -> Vec<Vec<u8>> {
    let paths = options.issuers.iter().chain(&options.tls_roots);
    let read = |path| file.readings().read_file(&file.resolve(path), MAXIMUM_PEM_BYTES);
    paths.map(|path| read(path).unwrap_or_default()).collect()
}

/// Waits until every CRL that is configured is there: until then, nobody whom it is asked about would come in.
fn await_crls(
    file: &ConfigFile,
    checker: &RevocationChecker,
    options: &RevocationOptions,
) -> Result<(), Mistake> {
    let end = Instant::now() + Duration::from_secs(options.crl.timeout_seconds.into());
    loop {
        let crls = checker.status().crls;
        let missing = crls.iter().find(|crl| crl.this_update.is_none());
        let Some(missing) = missing else { return Ok(()) };
        let failed = crls.iter().find(|crl| crl.this_update.is_none() && crl.failures > 0);
        if failed.is_some() || Instant::now() >= end {
            // Else the sources notice themselves when one changes.
            for path in &options.crl.files {
                file.readings().note_file(&file.resolve(path));
            }
            let missing = failed.unwrap_or(missing);
            let problem = missing.last_error.as_deref().unwrap_or("it did not come in time");
            let problem = format!("the CRL `{}` is not there: {problem}", missing.source);
            return Err(file.mistake_in("[revocation", "revocation.crl", &problem));
        }
        std::thread::sleep(TICK);
    }
}
