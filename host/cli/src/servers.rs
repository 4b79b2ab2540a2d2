//! `[servers.NAME]`: the MCP servers behind the gate.

use std::time::Duration;

use portcullis_mcp::{
    HttpServer, IdentityHeader, Server, SessionLimits, StdioServer, UpstreamTls, UpstreamTlsError,
};
use toml::Spanned;

use crate::config::{ConfigFile, ServerSection};
use crate::wiring::MAXIMUM_PEM_BYTES;
use portcullis_config::Mistake;

/// All of them. Starts nothing, connects to nothing.
pub(crate) fn all(file: &ConfigFile) -> Result<Vec<Server>, Mistake> {
    file.config.servers.iter().map(|(name, section)| server(file, name, section)).collect()
}

/// What stands behind a server's path, for people. Of a URL not the query, which may be a secret.
pub(crate) fn describe(section: &ServerSection) -> String {
    let command = section.command.as_ref().map(|command| command.join(" "));
    let url = section.url.as_ref().map(|url| url.get_ref().split('?').next().unwrap_or_default());
    command.or(url.map(str::to_owned)).unwrap_or_default()
}

fn server(file: &ConfigFile, name: &str, section: &ServerSection) -> Result<Server, Mistake> {
    let header = header(name);
    let (command_only, url_only) = (keys_of_commands(section), keys_of_urls(section));
    match (&section.command, &section.url) {
        (Some(command), None) if url_only.is_none() => {
            Ok(stdio(file, name, section, command)?.into())
        }
        (None, Some(url)) if command_only.is_none() => Ok(http(file, name, section, url)?.into()),
        (Some(_), Some(_)) => Err(file
            .mistake_in(&header, &format!("servers.{name}"), "it has a `command` and a `url`")
            .hint("a server is one or the other")),
        (None, None) => Err(file
            .mistake_in(&header, &format!("servers.{name}"), "it has no `command` and no `url`")
            .hint(
                "`command` is a program and its arguments, `url` an endpoint of a running server",
            )),
        (command, _) => {
            let kind = if command.is_some() { "command" } else { "url" };
            let key = url_only.or(command_only).unwrap_or_default();
            let problem = format!("`{key}` means nothing for a server with a `{kind}`");
            Err(file.mistake_in(&header, &format!("servers.{name}.{key}"), &problem))
        }
    }
}

/// How the section begins, to point at.
fn header(name: &str) -> String {
    format!("[servers.{name}]")
}

fn keys_of_commands(section: &ServerSection) -> Option<&'static str> {
    let keys = [
        ("environment", section.environment.is_some()),
        ("working-directory", section.working_directory.is_some()),
        ("maximum-message-bytes", section.maximum_message_bytes.is_some()),
        ("address-space-mib", section.address_space_mib.is_some()),
        ("cpu-seconds", section.cpu_seconds.is_some()),
        ("open-files", section.open_files.is_some()),
    ];
    given(&keys)
}

fn keys_of_urls(section: &ServerSection) -> Option<&'static str> {
    let keys = [
        ("roots", section.roots.is_some()),
        ("certificate", section.certificate.is_some()),
        ("private-key", section.private_key.is_some()),
        ("connect-timeout-ms", section.connect_timeout_ms.is_some()),
        ("response-timeout-ms", section.response_timeout_ms.is_some()),
    ];
    given(&keys)
}

fn given(keys: &[(&'static str, bool)]) -> Option<&'static str> {
    keys.iter().find(|(_, given)| *given).map(|(key, _)| *key)
}

fn stdio(
    file: &ConfigFile,
    name: &str,
    section: &ServerSection,
    command: &[String],
) -> Result<StdioServer, Mistake> {
    let mut server = StdioServer::new(name, command.to_vec());
    server.environment = section.environment.clone().unwrap_or_default();
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
    let mib = |mib: u64| mib.saturating_mul(1024 * 1024);
    server.resources.address_space_bytes = section.address_space_mib.map(mib);
    server.resources.cpu_seconds = section.cpu_seconds;
    server.resources.open_files = section.open_files;
    let defaults = SessionLimits::default();
    server.limits.maximum_message_bytes =
        section.maximum_message_bytes.unwrap_or(defaults.maximum_message_bytes);
    server.limits.maximum_sessions = section.maximum_sessions.unwrap_or(defaults.maximum_sessions);
    server.limits.maximum_sessions_per_client =
        section.maximum_sessions_per_client.unwrap_or(defaults.maximum_sessions_per_client);
    server.limits.idle_timeout = milliseconds(section.idle_timeout_ms, defaults.idle_timeout);
    Ok(server)
}

fn http(
    file: &ConfigFile,
    name: &str,
    section: &ServerSection,
    url: &Spanned<String>,
) -> Result<HttpServer, Mistake> {
    let is_https = url.get_ref().starts_with("https:");
    let tls = tls(file, name, section, is_https)?;
    // Not with the reader's own words: there may be a secret in it.
    let url = url.get_ref().parse().map_err(|_| {
        file.mistake(url, &format!("servers.{name}.url"), "it is no URL")
            .hint("an endpoint is `http://HOST:PORT/mcp` or `https://HOST/mcp`")
    })?;
    let mut server = HttpServer::new(name, url, tls);
    if let Some(wanted) = &section.forward_identity {
        server.forward_identity.clone_from(wanted.get_ref());
    }
    server.connect_timeout = milliseconds(section.connect_timeout_ms, server.connect_timeout);
    server.response_timeout = milliseconds(section.response_timeout_ms, server.response_timeout);
    server.maximum_sessions = section.maximum_sessions.unwrap_or(server.maximum_sessions);
    server.maximum_sessions_per_client =
        section.maximum_sessions_per_client.unwrap_or(server.maximum_sessions_per_client);
    server.idle_timeout = milliseconds(section.idle_timeout_ms, server.idle_timeout);
    Ok(server)
}

fn tls(
    file: &ConfigFile,
    name: &str,
    section: &ServerSection,
    is_https: bool,
) -> Result<UpstreamTls, Mistake> {
    let key = |key: &str| format!("servers.{name}.{key}");
    let read = |at, named| file.read_named(at, &key(named), MAXIMUM_PEM_BYTES);
    let roots = match &section.roots {
        Some(named) => Some(read(named, "roots")?),
        // Without TLS nobody has to be trusted, and a system may have no roots.
        None => (!is_https).then(Vec::new),
    };
    let identity = match (&section.certificate, &section.private_key) {
        (Some(chain), private_key) => {
            let private_key = private_key.as_ref().unwrap_or(chain);
            Some((read(chain, "certificate")?, read(private_key, "private-key")?))
        }
        (None, None) => None,
        (None, Some(alone)) => {
            return Err(file.mistake(
                alone,
                &key("private-key"),
                "there is no `certificate` to it",
            ));
        }
    };
    let identity = identity.as_ref().map(|(chain, key)| (&**chain, &**key));
    UpstreamTls::new(roots.as_deref(), identity).map_err(|error| {
        let (at, named) = match error {
            UpstreamTlsError::Key if section.private_key.is_some() => {
                (&section.private_key, "private-key")
            }
            UpstreamTlsError::Roots | UpstreamTlsError::NoSystemRoots => (&section.roots, "roots"),
            _ => (&section.certificate, "certificate"),
        };
        match at {
            Some(at) => file.mistake(at, &key(named), &error.to_string()),
            None => file.mistake_in(&header(name), &key(named), &error.to_string()),
        }
    })
}

fn milliseconds(given: Option<u64>, default: Duration) -> Duration {
    given.map_or(default, Duration::from_millis)
}
