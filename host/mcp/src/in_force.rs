//! Options and servers that are in force together, and replaced together.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::authorize::{RuleError, Rules};
use crate::limits::Limits;
use crate::options::{HttpServer, Options, Server, StdioServer};
use crate::service::BUILT_IN_NAME;
use crate::{stdio, upstream};

const MAXIMUM_NAME_BYTES: usize = 64;

/// What a request meets, from its first check to its server.
pub(crate) struct InForce {
    pub(crate) options: Options,
    pub(crate) limits: Arc<Limits>,
    pub(crate) admission: Admission,
    servers: HashMap<String, Arc<Configured>>,
}

/// A server, and what it was made from.
struct Configured {
    server: Server,
    gate_uris: Vec<String>,
    endpoint: Endpoint,
    /// Cancelled when it is out of force: its sessions end.
    ended: CancellationToken,
}

/// What stands behind a path.
pub(crate) enum Endpoint {
    Http(Box<upstream::Endpoint>),
    Stdio(stdio::Endpoint),
}

/// Why servers cannot be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// Two servers have one name.
    #[error("two servers are named `{0}`: rename one")]
    DuplicateName(String),
    /// There is nothing to run.
    #[error("the command of server `{0}` is empty: give a program and its arguments")]
    EmptyCommand(String),
    /// The name cannot stand in a path.
    #[error(
        "`{0}` cannot name a server: use 1 to {MAXIMUM_NAME_BYTES} lower-case letters, digits, `-` and `_`"
    )]
    Name(String),
    /// The URL is none of a server.
    #[error("the URL of server `{0}` cannot be used: {1}")]
    Url(String, &'static str),
    /// The built-in server has this name.
    #[error("`{0}` names the built-in server: choose another name")]
    ReservedName(String),
    /// A rule cannot be used.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

impl InForce {
    /// Of `old`, servers that are the same are taken over with their sessions, and so are the requests that count.
    pub(crate) fn new(
        options: Options,
        servers: Vec<Server>,
        old: Option<&Self>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<Self, ServerError> {
        let mut configured = HashMap::new();
        for server in servers {
            let name = server.name().to_owned();
            check(&server)?;
            let kept = old
                .and_then(|old| old.servers.get(&name))
                .filter(|kept| kept.server == server && kept.gate_uris == options.gate_uris);
            let server = match kept {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(Configured::new(server, &options, tasks, shutdown)),
            };
            if configured.insert(name.clone(), server).is_some() {
                return Err(ServerError::DuplicateName(name));
            }
        }
        let mut names: Vec<&str> = configured.keys().map(String::as_str).collect();
        names.push(BUILT_IN_NAME);
        let admission = Admission::new(Rules::new(&options.rules, &names)?);
        let (in_flight, per_second) = (options.maximum_in_flight, options.maximum_per_second);
        let limits = match old {
            Some(old) => Limits::instead_of(&old.limits, in_flight, per_second),
            None => Arc::new(Limits::new(in_flight, per_second)),
        };
        Ok(Self { options, limits, admission, servers: configured })
    }

    /// A server by its name, and the name as it is kept here.
    pub(crate) fn endpoint(&self, name: &str) -> Option<(&str, &Endpoint)> {
        self.servers.get_key_value(name).map(|(name, server)| (&**name, &server.endpoint))
    }

    /// Of the servers, without the built-in one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.servers.keys()
    }

    /// Ends the sessions of whom this certificate was presented by last.
    pub(crate) fn end_sessions_of(&self, certificate: &[u8; 32]) {
        for server in self.servers.values() {
            match &server.endpoint {
                Endpoint::Http(endpoint) => endpoint.end_sessions_of(certificate),
                Endpoint::Stdio(endpoint) => endpoint.end_sessions_of(certificate),
            }
        }
    }

    /// Ends the sessions of every server that `new` has not taken over.
    pub(crate) fn end_all_but_those_of(&self, new: &Self) {
        for (name, server) in &self.servers {
            if !new.servers.get(name).is_some_and(|kept| Arc::ptr_eq(kept, server)) {
                server.ended.cancel();
            }
        }
    }
}

impl Configured {
    fn new(
        server: Server,
        options: &Options,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let (gate_uris, ended) = (options.gate_uris.clone(), shutdown.child_token());
        let tasks = tasks.clone();
        let endpoint = match server.clone() {
            Server::Http(server) => {
                let (uris, ended) = (gate_uris.clone(), ended.clone());
                Endpoint::Http(Box::new(upstream::Endpoint::new(server, uris, tasks, ended)))
            }
            Server::Stdio(server) => {
                let keep_alive = options.keep_alive;
                Endpoint::Stdio(stdio::Endpoint::new(server, tasks, ended.clone(), keep_alive))
            }
        };
        Self { server, gate_uris, endpoint, ended }
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce").field("servers", &self.servers.keys()).finish_non_exhaustive()
    }
}

fn check(server: &Server) -> Result<(), ServerError> {
    check_name(server.name())?;
    match server {
        Server::Http(server) => check_url(server),
        Server::Stdio(server) => check_command(server),
    }
}

fn check_name(name: &str) -> Result<(), ServerError> {
    let usable = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if name.is_empty() || name.len() > MAXIMUM_NAME_BYTES || !name.bytes().all(usable) {
        return Err(ServerError::Name(name.escape_debug().to_string()));
    }
    if name == BUILT_IN_NAME {
        return Err(ServerError::ReservedName(name.to_owned()));
    }
    Ok(())
}

fn check_command(server: &StdioServer) -> Result<(), ServerError> {
    match server.command.first() {
        Some(program) if !program.is_empty() => Ok(()),
        _ => Err(ServerError::EmptyCommand(server.name.clone())),
    }
}

fn check_url(server: &HttpServer) -> Result<(), ServerError> {
    let problem = match (server.url.scheme_str(), server.url.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => {
            return Ok(());
        }
        (Some("http" | "https"), Some(_)) => "it has a user, which nothing would send",
        _ => "it has to begin with http:// or https:// and a host",
    };
    Err(ServerError::Url(server.name.clone(), problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::McpService;

    fn error(servers: &[(&str, &str)]) -> Option<ServerError> {
        let servers = servers
            .iter()
            .map(|(name, program)| StdioServer::new(*name, vec![(*program).to_owned()]).into());
        McpService::new(Options::default(), servers.collect()).err()
    }

    #[test]
    fn a_url_has_a_scheme_a_host_and_no_user() {
        let usable = |url: &'static str| {
            let tls = crate::UpstreamTls::new(Some(&[]), None).unwrap();
            check_url(&HttpServer::new("a", http::Uri::from_static(url), tls)).is_ok()
        };
        assert!(usable("http://127.0.0.1:9000/mcp") && usable("https://[::1]/?a=b"));
        for url in ["ftp://host/", "/mcp", "host:80", "http://user:word@host/", "http://user@host"]
        {
            assert!(!usable(url), "{url}");
        }
    }

    #[test]
    fn servers_have_distinct_usable_names_and_a_command() {
        assert_eq!(error(&[("a-1_b", "true"), ("b", "true")]), None);
        for name in ["", "A", "a/b", "..", "a b", &"a".repeat(65)] {
            assert_eq!(error(&[(name, "true")]), Some(ServerError::Name(name.to_owned())));
        }
        let named = |name: &str| name.to_owned();
        assert_eq!(
            error(&[("portcullis", "true")]),
            Some(ServerError::ReservedName(named("portcullis")))
        );
        assert_eq!(error(&[("a", "")]), Some(ServerError::EmptyCommand(named("a"))));
        assert_eq!(
            error(&[("a", "true"), ("a", "false")]),
            Some(ServerError::DuplicateName(named("a")))
        );
    }
}
