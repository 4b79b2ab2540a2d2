//! From the configuration to the gate and to the MCP servers behind it.

use std::time::Duration;

use portcullis_gate::{GateOptions, Resumption, ServerIdentity};
use portcullis_mcp::{
    IdentityHeader, McpService, Options, ServerError, SessionLimits, StdioServer,
};

use crate::config::{ConfigFile, ResumptionMode, ServerSection};
use crate::diagnosis::Mistake;

/// The largest PEM file of the server's, in bytes.
const MAXIMUM_PEM_BYTES: u64 = 1024 * 1024;

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
        resumption: match listen.resumption {
            ResumptionMode::Off => Resumption::Off,
            ResumptionMode::Rejudged => Resumption::Rejudged,
        },
        ..defaults
    }
}

/// The server's certificate and key, which may stand in one file.
pub(crate) fn server_identity(file: &ConfigFile) -> Result<ServerIdentity, Mistake> {
    let listen = &file.config.listen;
    let key = listen.private_key.as_ref().unwrap_or(&listen.certificate);
    let chain_pem =
        file.read_named(&listen.certificate, "listen.certificate", MAXIMUM_PEM_BYTES)?;
    let key_pem = file.read_named(key, "listen.private-key", MAXIMUM_PEM_BYTES)?;
    ServerIdentity::from_pem(&chain_pem, &key_pem)
        .map_err(|error| file.mistake(&listen.certificate, "listen", &error.to_string()))
}

/// The MCP servers. Starts nothing.
pub(crate) fn mcp(file: &ConfigFile, identity: &ServerIdentity) -> Result<McpService, Mistake> {
    let section = &file.config.http;
    let mut options = Options::default();
    options.allowed_origins.clone_from(&section.allowed_origins);
    options.allowed_hosts.clone_from(&section.allowed_hosts);
    options.maximum_body_bytes = section.maximum_body_bytes.unwrap_or(options.maximum_body_bytes);
    options.maximum_header_bytes =
        section.maximum_header_bytes.unwrap_or(options.maximum_header_bytes);
    let names = identity.certificate().subject_alt_names().iter();
    options.gate_uris =
        names.filter(|name| name.kind == "uri").map(|name| name.text.clone()).collect();
    let servers = file
        .config
        .servers
        .iter()
        .map(|(name, section)| stdio_server(file, name, section))
        .collect::<Result<_, _>>()?;
    McpService::new(options, servers).map_err(|error| {
        let header = match &error {
            ServerError::EmptyCommand(name) => format!("[servers.{name}]"),
            _ => "[servers".to_owned(),
        };
        file.mistake_in(&header, "servers", &error.to_string())
    })
}

fn stdio_server(
    file: &ConfigFile,
    name: &str,
    section: &ServerSection,
) -> Result<StdioServer, Mistake> {
    let mut server = StdioServer::new(name, section.command.clone());
    server.environment.clone_from(&section.environment);
    server.working_directory =
        section.working_directory.as_ref().map(|directory| file.resolve(directory));
    if let Some(wanted) = &section.forward_identity {
        if wanted.get_ref().iter().any(|header| *header != IdentityHeader::Principal) {
            let key = format!("servers.{name}.forward-identity");
            let problem = "a command learns its caller from variables, and has no headers";
            return Err(file
                .mistake(wanted, &key, problem)
                .hint("use `[\"principal\"]`, the default, or `[]`"));
        }
        server.forward_principal = !wanted.get_ref().is_empty();
    }
    let defaults = SessionLimits::default();
    server.limits.maximum_sessions = section.maximum_sessions.unwrap_or(defaults.maximum_sessions);
    server.limits.maximum_sessions_per_client =
        section.maximum_sessions_per_client.unwrap_or(defaults.maximum_sessions_per_client);
    server.limits.idle_timeout =
        section.idle_timeout_ms.map_or(defaults.idle_timeout, Duration::from_millis);
    Ok(server)
}
