//! `/portcullis/mcp`: the server that tells a client who the gate thinks it is.

mod owners;
mod whoami;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use self::owners::Owners;
use self::whoami::WhoAmI;
use crate::caller::Caller;
use crate::options::{Options, SessionLimits};
use crate::reply::{self, Body};
use crate::sessions::SESSION_ID;

/// The built-in server, in both protocol eras: with sessions for clients that initialize one, and without.
pub(crate) struct BuiltIn {
    service: StreamableHttpService<WhoAmI, LocalSessionManager>,
    sessions: Arc<LocalSessionManager>,
    owners: Owners,
}

impl BuiltIn {
    pub(crate) fn new(options: &Options, shutdown: CancellationToken) -> Self {
        let limits = SessionLimits::default();
        let mut sessions = LocalSessionManager::default();
        sessions.session_config.keep_alive = Some(limits.idle_timeout);
        let sessions = Arc::new(sessions);
        // Host, Origin and the size of the body are checked before a request comes here.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_sse_keep_alive(Some(options.keep_alive))
            .with_max_request_body_bytes(usize::MAX)
            .with_cancellation_token(shutdown);
        let service =
            StreamableHttpService::new(|| Ok(WhoAmI::new()), Arc::clone(&sessions), config);
        Self { service, sessions, owners: Owners::new(limits) }
    }

    /// Ends the sessions of whom this certificate was presented by last, once the future is driven; from now on they are
    /// nobody's.
    pub(crate) fn end_sessions_of(
        &self,
        certificate: &[u8; 32],
    ) -> impl Future<Output = ()> + use<> {
        let (ids, manager) = (self.owners.remove_all_of(certificate), Arc::clone(&self.sessions));
        async move {
            for id in ids {
                if let Err(error) = manager.close_session(&id).await {
                    tracing::debug!(%error, "a session of the built-in server was closed already");
                }
            }
        }
    }

    /// Answers one request of an accepted client.
    pub(crate) async fn handle(
        &self,
        caller: &Arc<Caller>,
        mut parts: Parts,
        body: Bytes,
    ) -> Response<Body> {
        if !matches!(parts.method, Method::GET | Method::POST | Method::DELETE) {
            return reply::method_not_allowed();
        }
        let session = parts.headers.get(SESSION_ID).map(|id| id.as_bytes().to_vec());
        if let Some(Err(refusal)) = session.map(|id| self.owners.check(&id, caller)) {
            return refusal;
        }
        parts.extensions.insert(Arc::clone(caller));
        let ends = parts.method == Method::DELETE;
        let response = self.service.handle(Request::from_parts(parts, Full::new(body))).await;
        let mut response = response.map(|body| body.map_err(|never| match never {}).boxed());
        if ends && response.status() == StatusCode::ACCEPTED {
            // The Python SDK takes 200 and 204 for success, and warns of anything else.
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        let Some(opened) = response.headers().get(SESSION_ID).and_then(|id| id.to_str().ok())
        else {
            return response;
        };
        if !self.owners.add(&self.sessions, opened, caller).await {
            let text = "too many sessions: end one, or try again later";
            return reply::error(StatusCode::SERVICE_UNAVAILABLE, None, reply::REFUSED, text);
        }
        response
    }
}
