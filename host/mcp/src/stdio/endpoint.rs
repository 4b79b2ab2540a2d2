//! `/NAME/mcp`: Streamable HTTP as of 2025-11-25 in front of a stdio server.
//!
//! A client that begins in the way of 2026-07-28 (no `initialize`, no sessions) gets the answer that tells it to fall
//! back to `initialize`: status 400 and an error that is none of the newer protocol's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::process;
use super::router::{Carries, Refusal};
use super::session::{Exchange, Session};
use crate::caller::Caller;
use crate::line::Line;
use crate::message::{Id, Kind, Message, MessageError};
use crate::options::StdioServer;
use crate::reply::{self, Body};
use crate::sessions::{self, Owner, Room, SESSION_ID, Table};
use crate::sse::{Event, EventId, EventStream};

/// The revisions in which a session begins with `initialize`, newest first.
const VERSIONS: [&str; 5] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2024-10-07"];
const LAST_EVENT_ID: &str = "last-event-id";
const PROTOCOL_VERSION: &str = "mcp-protocol-version";

type Answer = Result<Response<Body>, Response<Body>>;

/// One stdio server and its sessions.
#[derive(Debug)]
pub(crate) struct Endpoint {
    server: Arc<StdioServer>,
    sessions: Arc<Table<Session>>,
    backoff: Backoff,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    keep_alive: Duration,
}

impl Endpoint {
    /// Every session's task is one of `tasks`, and ends when `shutdown` is cancelled.
    pub(crate) fn new(
        server: StdioServer,
        tasks: TaskTracker,
        shutdown: CancellationToken,
        keep_alive: Duration,
    ) -> Self {
        let sessions = Arc::new(Table::default());
        let (server, backoff) = (Arc::new(server), Backoff::default());
        Self { server, sessions, backoff, tasks, shutdown, keep_alive }
    }

    /// Answers one request of an accepted client.
    pub(crate) async fn handle(
        &self,
        caller: &Caller,
        parts: &Parts,
        body: Bytes,
    ) -> Response<Body> {
        let answer = match parts.method {
            Method::POST => self.post(caller, &parts.headers, body).await,
            Method::GET => self.get(caller, &parts.headers),
            Method::DELETE => self.delete(caller, &parts.headers),
            _ => Err(reply::method_not_allowed()),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    /// Ends a client's sessions.
    pub(crate) fn end_sessions_of(&self, certificate: &[u8; 32]) {
        self.sessions.end_all_of(certificate);
    }

    async fn post(&self, caller: &Caller, headers: &HeaderMap, body: Bytes) -> Answer {
        if !(accepts(headers, "application/json") && accepts(headers, "text/event-stream")) {
            let text = "a client must accept both application/json and text/event-stream";
            return Err(refuse(StatusCode::NOT_ACCEPTABLE, None, text));
        }
        if media_types(headers.get(CONTENT_TYPE)).next() != Some("application/json") {
            let text = "the content type must be application/json";
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, text));
        }
        check_version(headers)?;
        let message = Message::parse(body).map_err(|reason| {
            let code = match reason {
                MessageError::NotJson => reply::PARSE_ERROR,
                _ => reply::INVALID_REQUEST,
            };
            reply::error(StatusCode::BAD_REQUEST, None, code, &reason.to_string())
        })?;
        let opens = matches!(&message.kind, Kind::Request { method, .. } if method == "initialize");
        if opens && !headers.contains_key(SESSION_ID) {
            return self.open(caller, message).await;
        }
        let session = self.session(caller, headers)?;
        let Message { line, kind } = message;
        match kind {
            Kind::Request { id, progress_token, .. } => {
                let token = progress_token.as_ref();
                // Older clients take the event without data that begins such a stream for a message.
                let resumable = headers.get(PROTOCOL_VERSION).is_some_and(|it| it == VERSIONS[0]);
                let carries =
                    if resumable { Carries::EverythingResumable } else { Carries::Everything };
                let exchange = session.request(&id, token, line, carries).await;
                let exchange = exchange.map_err(|refusal| self.refused(&refusal, Some(&id)))?;
                let first = exchange.held.before_first().filter(|_| resumable);
                Ok(self.stream(exchange, first))
            }
            Kind::Notification { method, about } => {
                let in_use = session.claim.usage.enter();
                session.send(line).await.map_err(|refusal| self.refused(&refusal, None))?;
                drop(in_use);
                // The server owes no answer to what was cancelled, so nothing else would end the stream.
                if let ("notifications/cancelled", Some(id)) = (method.as_str(), about) {
                    session.router.cancel(&id);
                }
                Ok(reply::empty(StatusCode::ACCEPTED))
            }
            Kind::Response { .. } => {
                let _in_use = session.claim.usage.enter();
                session.send(line).await.map_err(|refusal| self.refused(&refusal, None))?;
                Ok(reply::empty(StatusCode::ACCEPTED))
            }
        }
    }

    fn get(&self, client: &Caller, headers: &HeaderMap) -> Answer {
        if !accepts(headers, "text/event-stream") {
            let text = "a client must accept text/event-stream";
            return Err(refuse(StatusCode::NOT_ACCEPTABLE, None, text));
        }
        check_version(headers)?;
        let session = self.session(client, headers)?;
        let Some(last) = headers.get(LAST_EVENT_ID) else {
            return Ok(self.stream(session.listen(), None));
        };
        let last = last.to_str().ok().and_then(|last| last.parse().ok());
        let resumed = last.and_then(|last| session.resume(last)).ok_or_else(|| {
            let text = "nothing is left of the stream of this event";
            refuse(StatusCode::BAD_REQUEST, None, text)
        })?;
        Ok(self.stream(resumed, None))
    }

    fn delete(&self, client: &Caller, headers: &HeaderMap) -> Answer {
        self.session(client, headers)?.claim.end();
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    /// Starts a process and gives it the client's `initialize`.
    async fn open(&self, caller: &Caller, message: Message) -> Answer {
        let Kind::Request { id, .. } = message.kind else {
            return Err(refuse(StatusCode::BAD_REQUEST, None, "not a request"));
        };
        if let Some(wait) = self.backoff.remaining() {
            return Err(self.backing_off(wait, &id));
        }
        let session = self.start(caller, &id)?;
        let unless_opened = session.end_on_drop();
        let mut exchange = session
            .request(&id, None, message.line, Carries::OnlyTheAnswer)
            .await
            .map_err(|refusal| self.refused(&refusal, Some(&id)))?;
        let limit = self.server.limits.start_timeout;
        let Ok(answer) = tokio::time::timeout(limit, exchange.messages.recv()).await else {
            let text = format!("the server `{}` did not answer in time", self.server.name);
            return Err(self.failed(&id, &text, "server-timeout"));
        };
        let Some(Event { line: Line::Short(answer), .. }) = answer else {
            self.backoff.failed();
            let text = format!("the server `{}` ended before it answered", self.server.name);
            return Err(self.failed(&id, &text, "server-broken"));
        };
        let refused = Message::parse(answer.clone())
            .is_ok_and(|answer| matches!(answer.kind, Kind::Response { is_error: true, .. }));
        if session.claim.is_over() && refused {
            self.backoff.failed();
        } else {
            self.backoff.succeeded();
        }
        let mut response = reply::json(StatusCode::OK, answer);
        if !refused && !session.claim.is_over() {
            let value = HeaderValue::from_str(&session.claim.id).map_err(|_| {
                self.failed(&id, "no session id could be made", "no-random-numbers")
            })?;
            response.headers_mut().insert(SESSION_ID, value);
            unless_opened.disarm();
        }
        Ok(response)
    }

    fn start(&self, caller: &Caller, id: &Id) -> Result<Arc<Session>, Response<Body>> {
        let limits = &self.server.limits;
        let room = Room {
            for_all: limits.maximum_sessions,
            for_one_client: limits.maximum_sessions_per_client,
        };
        let (session, inbox) =
            Session::new(Owner::of(caller), limits.maximum_requests, self.shutdown.child_token())
                .map_err(|error| {
                tracing::error!(%error, "the system gives no random numbers");
                self.failed(id, "no session id could be made", "no-random-numbers")
            })?;
        self.sessions.insert(Arc::clone(&session), room).map_err(|_full| {
            let text = "too many sessions: end one, or try again later";
            self.failed(id, text, "too-many-sessions")
        })?;
        let process = process::start(&self.server, caller).map_err(|error| {
            self.backoff.failed();
            self.sessions.remove(&session.claim.id);
            let (name, program) = (&self.server.name, self.server.command.first());
            tracing::error!(server = name, ?program, %error, "a stdio server could not be started");
            let text = format!("the server `{name}` could not be started");
            self.failed(id, &text, "server-unreachable")
        })?;
        let (server, sessions) = (Arc::clone(&self.server), Arc::clone(&self.sessions));
        let served = Arc::clone(&session);
        self.tasks.spawn(async move {
            process.serve(&server, &served, inbox).await;
            sessions.remove(&served.claim.id);
        });
        Ok(session)
    }

    fn session(
        &self,
        client: &Caller,
        headers: &HeaderMap,
    ) -> Result<Arc<Session>, Response<Body>> {
        self.sessions.of_request(headers, client)?.ok_or_else(|| {
            let text = "Mcp-Session-Id is required: initialize a session first";
            refuse(StatusCode::BAD_REQUEST, None, text)
        })
    }

    /// The messages of an exchange, after an event with the id before theirs if the client may resume.
    fn stream(&self, exchange: Exchange, before_first: Option<EventId>) -> Response<Body> {
        let stream = EventStream::new(exchange.messages, self.keep_alive, exchange.held);
        reply::stream(match before_first {
            Some(id) => stream.primed(id).boxed(),
            None => stream.boxed(),
        })
    }

    /// A command that ends at once would otherwise be started as often as clients ask.
    fn backing_off(&self, wait: Duration, id: &Id) -> Response<Body> {
        let text = format!("the server `{}` has just failed to start: try again", self.server.name);
        let mut response = self.failed(id, &text, "server-failing");
        let seconds = wait.as_secs() + 1;
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        response
    }

    fn failed(&self, id: &Id, text: &str, code: &'static str) -> Response<Body> {
        tracing::debug!(server = self.server.name, code, "a session could not be opened");
        reply::failure(StatusCode::BAD_GATEWAY, Some(id), text, code)
    }

    fn refused(&self, refusal: &Refusal, id: Option<&Id>) -> Response<Body> {
        match refusal {
            Refusal::Closed => sessions::not_found(),
            Refusal::IdInUse => {
                let text = "a request with this id still waits for its answer";
                reply::error(StatusCode::BAD_REQUEST, id, reply::INVALID_REQUEST, text)
            }
            Refusal::TooMany => {
                let limit = self.server.limits.maximum_requests;
                let text = format!("{limit} requests of this session already wait for an answer");
                reply::failure(StatusCode::SERVICE_UNAVAILABLE, id, &text, "too-many-in-flight")
            }
        }
    }
}

fn refuse(status: StatusCode, id: Option<&Id>, text: &str) -> Response<Body> {
    reply::error(status, id, reply::REFUSED, text)
}

/// Answering with the newer protocol's own error would make this server look like one of the newer protocol, and a
/// client would not fall back.
fn check_version(headers: &HeaderMap) -> Result<(), Response<Body>> {
    for value in headers.get_all(PROTOCOL_VERSION) {
        if !VERSIONS.iter().any(|version| value.as_bytes() == version.as_bytes()) {
            let asked =
                String::from_utf8_lossy(value.as_bytes()).chars().take(32).collect::<String>();
            let text = format!(
                "unsupported protocol version `{}`: initialize a session with one of {}",
                asked.escape_debug(),
                VERSIONS.join(", ")
            );
            return Err(refuse(StatusCode::BAD_REQUEST, None, &text));
        }
    }
    Ok(())
}

fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = wanted.split('/').next().unwrap_or_default();
    headers.get_all(ACCEPT).iter().flat_map(|value| media_types(Some(value))).any(|range| {
        range.eq_ignore_ascii_case(wanted)
            || range == "*/*"
            || range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(kind))
    })
}

/// The media types of a header's value, without their parameters.
fn media_types(value: Option<&HeaderValue>) -> impl Iterator<Item = &str> {
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').map(|range| range.split(';').next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ranges_may_be_wild_and_have_parameters() {
        let accepting = |text: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))]);
            [accepts(&headers, "application/json"), accepts(&headers, "text/event-stream")]
        };
        assert_eq!(accepting("application/json, text/event-stream"), [true, true]);
        assert_eq!(accepting("Application/JSON;q=0.9"), [true, false]);
        assert_eq!(accepting("text/*"), [false, true]);
        assert_eq!(accepting("*/*"), [true, true]);
        assert_eq!(accepting("text/html"), [false, false]);
    }

    #[tokio::test]
    async fn a_newer_clients_version_is_refused_with_an_error_that_makes_it_fall_back() {
        let headers = HeaderMap::from_iter([(
            PROTOCOL_VERSION.parse().unwrap(),
            HeaderValue::from_static("2026-07-28"),
        )]);
        let response = check_version(&headers).unwrap_err();
        assert_eq!(response.status(), 400);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"], -32000);
        assert_eq!(body["id"], serde_json::Value::Null);
    }
}
