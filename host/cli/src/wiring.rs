//! From the configuration to the gate and to the MCP servers behind it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_gate::{GateOptions, Resumption, ServerIdentity};
use portcullis_mcp::{McpService, Options, RequestAuditor, RuleError, RuleProblem, ServerError};
use toml::Spanned;

use crate::config::{CertificateSource, ConfigFile, ResumptionMode};
use crate::{servers, workload};
use portcullis_config::Mistake;

/// The largest PEM file, in bytes.
pub(crate) const MAXIMUM_PEM_BYTES: u64 = 1024 * 1024;

/// How to listen, and the bounds.
pub(crate) fn gate_options(file: &ConfigFile) -> GateOptions {
    let listen = &file.config.listen;
    let defaults = GateOptions::default();
    let duration = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
    GateOptions {
        address: listen.address,
        maximum_connections: listen.maximum_connections.unwrap_or(defaults.maximum_connections),
        maximum_handshakes: listen.maximum_handshakes.unwrap_or(defaults.maximum_handshakes),
        handshake_timeout: duration(listen.handshake_timeout_ms, defaults.handshake_timeout),
        shutdown_timeout: duration(listen.shutdown_timeout_ms, defaults.shutdown_timeout),
        keep_alive: match listen.keep_alive_seconds {
            None => defaults.keep_alive,
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
        },
        resumption: match listen.resumption {
            ResumptionMode::Off => Resumption::Off,
            ResumptionMode::Rejudged => Resumption::Rejudged,
        },
        rejudge_timeout: duration(listen.rejudge_timeout_ms, defaults.rejudge_timeout),
        rejudge_cpu_percent: listen.rejudge_cpu_percent.unwrap_or(defaults.rejudge_cpu_percent),
        ..defaults
    }
}

/// The server's certificate and key, which may stand in one file.
pub(crate) fn server_identity(file: &ConfigFile) -> Result<ServerIdentity, Mistake> {
    let certificate = &file.config.listen.certificate;
    let (chain_pem, key_pem) = match certificate.get_ref() {
        CertificateSource::File(chain) => pem_files(file, certificate, chain)?,
        CertificateSource::WorkloadApi(_) => svid(file, certificate)?,
    };
    ServerIdentity::from_pem(&chain_pem, &key_pem)
        .map_err(|error| file.mistake(certificate, "listen", &error.to_string()))
}

type ChainAndKey = (Vec<u8>, Vec<u8>);

fn pem_files<T>(
    file: &ConfigFile,
    certificate: &Spanned<T>,
    chain: &Path,
) -> Result<ChainAndKey, Mistake> {
    let chain_pem = file.read_at(certificate, chain, "listen.certificate", MAXIMUM_PEM_BYTES)?;
    let key_pem = match &file.config.listen.private_key {
        Some(key) => file.read_named(key, "listen.private-key", MAXIMUM_PEM_BYTES)?,
        None => chain_pem.clone(),
    };
    Ok((chain_pem, key_pem))
}

fn svid<T>(file: &ConfigFile, certificate: &Spanned<T>) -> Result<ChainAndKey, Mistake> {
    if let Some(key) = &file.config.listen.private_key {
        let problem = "the Workload API gives the key with the certificate";
        return Err(file.mistake(key, "listen.private-key", problem).hint("remove it"));
    }
    let pem = workload::read(file, "svid", MAXIMUM_PEM_BYTES)
        .map_err(|problem| file.mistake(certificate, "listen.certificate", &problem))?;
    Ok((pem.clone(), pem))
}

/// The DNS names of the server's certificate; none where it cannot be read.
pub(crate) fn server_names(file: &ConfigFile) -> Vec<String> {
    let Ok(identity) = server_identity(file) else { return Vec::new() };
    let names = identity.certificate().subject_alt_names().iter();
    names.filter(|name| name.kind == "dns").map(|name| name.text.to_ascii_lowercase()).collect()
}

/// The MCP servers. Starts nothing.
pub(crate) fn mcp(
    file: &ConfigFile,
    identity: &ServerIdentity,
    auditor: Arc<dyn RequestAuditor>,
) -> Result<McpService, Mistake> {
    McpService::new(mcp_options(file, identity, auditor), servers::all(file)?)
        .map_err(|error| server_mistake(file, &error))
}

/// What is wrong with the servers or the rules.
pub(crate) fn server_mistake(file: &ConfigFile, error: &ServerError) -> Mistake {
    let header = match error {
        ServerError::Rule(error) => return rule_mistake(file, error),
        ServerError::EmptyCommand(name) | ServerError::Url(name, _) => format!("[servers.{name}]"),
        _ => "[servers".to_owned(),
    };
    file.mistake_in(&header, "servers", &error.to_string())
}

/// How HTTP is spoken, and who may call what.
pub(crate) fn mcp_options(
    file: &ConfigFile,
    identity: &ServerIdentity,
    auditor: Arc<dyn RequestAuditor>,
) -> Options {
    let (section, limits) = (&file.config.http, &file.config.limits);
    let mut options = Options::default();
    let duration = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
    options.header_timeout = duration(section.header_timeout_ms, options.header_timeout);
    options.body_timeout = duration(section.body_timeout_ms, options.body_timeout);
    options.write_timeout = duration(section.write_timeout_ms, options.write_timeout);
    options.maximum_in_flight =
        limits.requests_in_flight.map_or(options.maximum_in_flight, NonZeroUsize::get);
    options.maximum_per_second = limits.requests_per_second.unwrap_or(options.maximum_per_second);
    options.rules = file.config.authorize.iter().map(|rule| rule.get_ref().clone()).collect();
    options.auditor = auditor;
    options.allowed_origins.clone_from(&section.allowed_origins);
    options.allowed_hosts.clone_from(&section.allowed_hosts);
    options.maximum_body_bytes = section.maximum_body_bytes.unwrap_or(options.maximum_body_bytes);
    options.maximum_header_bytes =
        section.maximum_header_bytes.unwrap_or(options.maximum_header_bytes);
    let names = identity.certificate().subject_alt_names().iter();
    options.gate_uris =
        names.filter(|name| name.kind == "uri").map(|name| name.text.clone()).collect();
    options
}

fn rule_mistake(file: &ConfigFile, error: &RuleError) -> Mistake {
    let (key, problem) = (format!("authorize.{}", error.key), error.problem.to_string());
    let mistake = match file.config.authorize.get(error.rule) {
        Some(rule) => file.mistake(rule, &key, &problem),
        None => file.mistake_in("[[authorize]]", &key, &problem),
    };
    match &error.problem {
        RuleProblem::UnknownServer(_) => {
            let names = file.config.servers.keys().map(String::as_str);
            let names: Vec<_> = names.chain(std::iter::once("portcullis")).collect();
            mistake.hint(&format!("there are {}", names.join(", ")))
        }
        _ => mistake,
    }
}
