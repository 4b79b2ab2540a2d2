//! Sends each request on to the server, and its answer back.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Instead};
use super::client::{Client, Failure};
use super::connection::AnswerBody;
use super::headers;
use super::session::Session;
use crate::call::Call;
use crate::caller::Caller;
use crate::identity::forwarded_headers;
use crate::message::Id;
use crate::options::HttpServer;
use crate::reply::{self, Body};
use crate::sessions::{Claimed as _, NotTaken, Owner, Room, SESSION_ID, Table};
use crate::sse::Endless;

/// An id of a session, in bytes. Servers may put signed data into it.
const MAXIMUM_ID_BYTES: usize = 4096;
/// One HTTP server, and whose its sessions are.
#[derive(Debug)]
pub(crate) struct Endpoint {
    server: HttpServer,
    gate_uris: Vec<String>,
    client: Arc<Client>,
    sessions: Arc<Table<Session>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Endpoint {
    /// Every session's task is one of `tasks`, and ends when `shutdown` is cancelled.
    pub(crate) fn new(
        server: HttpServer,
        gate_uris: Vec<String>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        let (client, sessions) = (Arc::new(Client::new(&server)), Arc::new(Table::default()));
        Self { server, gate_uris, client, sessions, tasks, shutdown }
    }

    /// Answers one request of an accepted client.
    pub(crate) async fn handle(
        &self,
        caller: &Arc<Caller>,
        parts: Parts,
        body: Bytes,
        call: Option<&Call>,
    ) -> Response<Body> {
        if !matches!(parts.method, Method::GET | Method::POST | Method::DELETE) {
            return reply::method_not_allowed();
        }
        match self.forward(caller, parts, body, call).await {
            Ok(response) | Err(response) => response,
        }
    }

    /// Ends a client's sessions.
    pub(crate) fn end_sessions_of(&self, certificate: &[u8; 32]) {
        self.sessions.end_all_of(certificate);
    }

    async fn forward(
        &self,
        caller: &Caller,
        parts: Parts,
        body: Bytes,
        call: Option<&Call>,
    ) -> Result<Response<Body>, Response<Body>> {
        let session = self.sessions.of_request(&parts.headers, caller)?;
        let in_use = session.as_ref().map(|session| session.claim().usage.enter());
        let id = call.and_then(Call::request_id);
        let method = parts.method.clone();

        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.url(&parts.uri);
        *request.headers_mut() = headers::of_request(parts.headers);
        let identity = forwarded_headers(caller, &self.server.forward_identity, &self.gate_uris);
        request.headers_mut().extend(identity);
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|failure| self.failed(&failure, id))?;

        self.check(&answer, id)?;
        if let Some(session) = session.as_ref().filter(|_| has_ended(&method, answer.status())) {
            session.is_gone();
        }
        let known = session.as_ref().map(|session| session.claim().id.as_bytes());
        if let Some(given) = answer.headers().get(SESSION_ID)
            && known != Some(given.as_bytes())
        {
            self.take_session(caller, given, id)?;
        }
        let endless = method == Method::GET || call.is_some_and(Call::listens);
        let instead = id.filter(|_| is_event_stream(&answer)).map(|id| {
            let text = format!("the server `{}` broke off its answer", self.server.name);
            Instead::new(&reply::error_message(Some(id), reply::INTERNAL_ERROR, &text))
        });
        let (parts, body) = answer.into_parts();
        let mut response = Response::new(Answer::new(body, instead, in_use).boxed());
        *response.status_mut() = parts.status;
        *response.headers_mut() = headers::of_answer(parts.headers);
        if endless && parts.status == StatusCode::OK {
            response.extensions_mut().insert(Endless);
        }
        Ok(response)
    }

    /// The server's own query, if it has one: it may be how the server knows the gate.
    fn url(&self, asked: &Uri) -> Uri {
        let (url, query) = (&self.server.url, asked.query());
        let Some(query) = query.filter(|_| url.query().is_none()) else {
            return url.clone();
        };
        let mut parts = url.clone().into_parts();
        parts.path_and_query = format!("{}?{query}", url.path()).parse().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
    }

    /// An answer that would lead a client past the gate, or to a protocol that is not MCP, is none.
    fn check(&self, answer: &Response<AnswerBody>, id: Option<&Id>) -> Result<(), Response<Body>> {
        let (status, server) = (answer.status(), &self.server.name);
        if status == StatusCode::SWITCHING_PROTOCOLS
            || status.is_redirection() && answer.headers().contains_key(LOCATION)
        {
            let location = answer.headers().get(LOCATION).map(|at| at.as_bytes().escape_ascii());
            let location = location.map(|at| at.to_string()).unwrap_or_default();
            // A query may be a secret.
            let location = location.split('?').next();
            tracing::warn!(server, %status, location, "a server redirects: put that into its `url`");
            let text = format!("the server `{server}` is elsewhere");
            return Err(reply::failure(StatusCode::BAD_GATEWAY, id, &text, "server-redirects"));
        }
        Ok(())
    }

    /// Notes whose a session is that the server opens with this answer.
    fn take_session(
        &self,
        caller: &Caller,
        given: &HeaderValue,
        id: Option<&Id>,
    ) -> Result<(), Response<Body>> {
        let refuse = |status, text: &str, code| {
            tracing::warn!(server = self.server.name, "a session was not taken over: {text}");
            reply::failure(status, id, text, code)
        };
        let misbehaves = |text| refuse(StatusCode::BAD_GATEWAY, text, "server-session-id");
        let name = given.to_str().ok().filter(|id| id.len() <= MAXIMUM_ID_BYTES);
        let Some(name) = name.filter(|id| !id.is_empty()) else {
            return Err(misbehaves("the server gave an unusable session id"));
        };
        let room = Room {
            for_all: self.server.maximum_sessions,
            for_one_client: self.server.maximum_sessions_per_client,
        };
        let session = Session::new(name.to_owned(), Owner::of(caller), self.shutdown.child_token());
        let taken = self.sessions.insert(Arc::clone(&session), room);
        let delete = self.delete(given);
        let client = Arc::clone(&self.client);
        match taken {
            Ok(()) => {
                let sessions = Arc::clone(&self.sessions);
                self.tasks.spawn(session.keep(self.server.idle_timeout, sessions, client, delete));
                Ok(())
            }
            Err(NotTaken::Full) => {
                self.tasks.spawn(async move { client.send(delete).await.map(drop) });
                let text = "too many sessions: end one, or try again later";
                Err(refuse(StatusCode::SERVICE_UNAVAILABLE, text, "too-many-sessions"))
            }
            // Whose it is could not be told any more.
            Err(NotTaken::Taken) => Err(misbehaves("the server gave one session id twice")),
        }
    }

    /// The request that ends a session at the server.
    fn delete(&self, session: &HeaderValue) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = self.server.url.clone();
        request.headers_mut().insert(SESSION_ID, session.clone());
        request
    }

    fn failed(&self, failure: &Failure, id: Option<&Id>) -> Response<Body> {
        let server = &self.server.name;
        let cause = failure.source().and_then(StdError::source).map(ToString::to_string);
        tracing::warn!(server, cause, "a server did not answer: {failure}");
        let (status, code) = match failure {
            Failure::Broken(_) => (StatusCode::BAD_GATEWAY, "server-broken"),
            Failure::Connect(_) => (StatusCode::BAD_GATEWAY, "server-unreachable"),
            Failure::Timeout => (StatusCode::GATEWAY_TIMEOUT, "server-timeout"),
        };
        reply::failure(status, id, &format!("the server `{server}`: {failure}"), code)
    }
}

/// Whether the answer to a request of a session says that there is no such session any more.
fn has_ended(method: &Method, status: StatusCode) -> bool {
    status == StatusCode::NOT_FOUND || method == Method::DELETE && status.is_success()
}

fn is_event_stream(answer: &Response<AnswerBody>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/event-stream"))
}
