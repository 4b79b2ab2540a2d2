//! What comes back from the gate: one message, or a stream of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::bridge::Bridge;
use super::session::Session;
use crate::events::{Decoder, Event};
use crate::failure::Failure;
use crate::headers::LAST_EVENT_ID;
use crate::message::{self, Id, Message};
use crate::problem::Problem;
use crate::upstream::jittered;

/// How much of an error that is no message is read, and shown.
const ERROR_BYTES: usize = 64 * 1024;
const ERROR_CHARS: usize = 200;
/// Times that a stream is asked for again in a row without anything new.
const ATTEMPTS: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAXIMUM_DELAY: Duration = Duration::from_secs(30);
/// However long a server asks to wait.
const MAXIMUM_RETRY: Duration = Duration::from_secs(600);
/// From an answer to the end of its stream, so that the connection can be used again.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// Messages as they come in.
pub(super) struct Messages {
    body: Incoming,
    decoder: Decoder,
    events: std::vec::IntoIter<Event>,
    last_event_id: Option<HeaderValue>,
}

impl Messages {
    pub(super) fn new(response: Response<Incoming>, maximum_bytes: usize) -> Self {
        Self {
            body: response.into_body(),
            decoder: Decoder::new(maximum_bytes),
            events: Vec::new().into_iter(),
            last_event_id: None,
        }
    }

    /// The next message; nothing at the end, however it came about.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            for event in self.events.by_ref() {
                if let Some(id) = &event.id {
                    self.last_event_id =
                        HeaderValue::from_bytes(id).ok().filter(|id| !id.is_empty());
                }
                if !event.is_message || event.data.is_empty() {
                    continue;
                }
                match Message::parse(event.data.into()) {
                    Ok(message) => return Some(message),
                    Err(error) => tracing::warn!(%error, "an event of the server's is left out"),
                }
            }
            let frame = match self.body.frame().await? {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::debug!(%error, "a stream broke");
                    return None;
                }
            };
            let Some(chunk) = frame.data_ref() else { continue };
            match self.decoder.push(chunk) {
                Ok(events) => self.events = events.into_iter(),
                Err(error) => {
                    tracing::warn!(%error, "a stream of the server's is given up");
                    self.last_event_id = None;
                    return None;
                }
            }
        }
    }

    pub(super) fn last_event_id(&self) -> Option<&HeaderValue> {
        self.last_event_id.as_ref()
    }

    /// How long the server asks to wait before the stream is asked for again.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.decoder.retry()
    }
}

/// What a GET request comes to.
pub(super) enum Stream {
    Failed(Failure),
    NoSession,
    NotNow,
    Open(Messages),
    Unknown,
}

/// How long to wait before a stream is asked for again, after so many attempts.
pub(super) fn delay(retry: Option<Duration>, attempt: u32) -> Duration {
    let first = retry.unwrap_or(FIRST_DELAY).min(MAXIMUM_RETRY);
    jittered(first.saturating_mul(1 << attempt.min(5)).min(MAXIMUM_DELAY).max(first))
}

impl Bridge {
    /// Passes on what comes before the answer, and gives the answer.
    pub(super) async fn read_answer(
        &self,
        response: Response<Incoming>,
        id: &Id,
        session: Option<&Arc<Session>>,
    ) -> Result<Bytes, Problem> {
        let status = response.status();
        if status.is_redirection() {
            return Err(Problem::redirect(self.upstream.url(), status));
        }
        if !status.is_success() {
            return self.read_error(response, id).await;
        }
        match media_type(&response) {
            _ if status == StatusCode::ACCEPTED => Err(Problem::no_mcp("status 202 to a request")),
            Some("application/json") => self.read_json(response, id).await,
            Some("text/event-stream") => self.read_stream(response, id, session).await,
            other => {
                let what = format!("content type `{}`", other.unwrap_or("").escape_debug());
                Err(Problem::no_mcp(&what))
            }
        }
    }

    async fn read_json(&self, response: Response<Incoming>, id: &Id) -> Result<Bytes, Problem> {
        let body = read_whole(response.into_body(), self.options.maximum_message_bytes).await?;
        let message = Message::parse(body).map_err(|error| Problem::no_mcp(&error.to_string()))?;
        if message.answers(id) {
            return Ok(message.line);
        }
        message::readdressed(&message.line, id)
            .ok_or_else(|| Problem::no_mcp("the answer to another request"))
    }

    /// The server's own error, or what there is in its place.
    async fn read_error(&self, response: Response<Incoming>, id: &Id) -> Result<Bytes, Problem> {
        let status = response.status();
        let is_json = media_type(&response) == Some("application/json");
        let body = read_whole(response.into_body(), ERROR_BYTES).await.unwrap_or_default();
        if is_json && let Some(answer) = message::readdressed(&body, id) {
            return Ok(answer);
        }
        let text = String::from_utf8_lossy(&body);
        let text: String =
            text.trim().chars().take(ERROR_CHARS).flat_map(char::escape_debug).collect();
        Err(Problem::status(self.upstream.url(), status, &text))
    }

    async fn read_stream(
        &self,
        response: Response<Incoming>,
        id: &Id,
        session: Option<&Arc<Session>>,
    ) -> Result<Bytes, Problem> {
        let mut messages = Messages::new(response, self.options.maximum_message_bytes);
        let mut attempt = 0;
        loop {
            while let Some(message) = messages.next().await {
                attempt = 0;
                if message.answers(id) {
                    self.read_rest(messages);
                    return Ok(message.line);
                }
                self.pass_on(message, session).await;
            }
            let last = messages.last_event_id().cloned();
            let (Some(session), Some(last)) = (session, last) else {
                return Err(Problem::no_answer());
            };
            if attempt == ATTEMPTS {
                return Err(Problem::no_answer());
            }
            tokio::time::sleep(delay(messages.retry(), attempt)).await;
            attempt += 1;
            match self.open_stream(session, Some(last)).await {
                Stream::Open(rest) => messages = rest,
                Stream::Failed(Failure::Unreachable(_)) | Stream::NotNow => {}
                Stream::Failed(failure) => return Err(failure.into()),
                Stream::NoSession | Stream::Unknown => return Err(Problem::no_answer()),
            }
        }
    }

    /// What the server says in a session by itself, or the rest of a stream after an event.
    pub(super) async fn open_stream(
        &self,
        session: &Session,
        after: Option<HeaderValue>,
    ) -> Stream {
        let mut headers = session.headers();
        headers.extend(after.clone().map(|id| (LAST_EVENT_ID, id)));
        let request = self.to_gate(Method::GET, headers, Bytes::new());
        let response = match self.upstream.send_patiently(request).await {
            Ok((_, response)) => response,
            Err(failure) => return Stream::Failed(failure),
        };
        match response.status() {
            status if status.is_success() => {
                if media_type(&response) != Some("text/event-stream") {
                    return Stream::Unknown;
                }
                let mut messages = Messages::new(response, self.options.maximum_message_bytes);
                messages.last_event_id = after;
                Stream::Open(messages)
            }
            StatusCode::NOT_FOUND => Stream::NoSession,
            status if status.is_server_error() => Stream::NotNow,
            _ => Stream::Unknown,
        }
    }

    /// Nothing follows an answer but the end.
    fn read_rest(&self, mut messages: Messages) {
        self.spawn_background(async move {
            let rest = async { while messages.next().await.is_some() {} };
            let _ = tokio::time::timeout(REST_TIMEOUT, rest).await;
        });
    }
}

/// A body in one piece, which is in memory once.
async fn read_whole(mut body: Incoming, maximum: usize) -> Result<Bytes, Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = Vec::with_capacity(announced.min(maximum));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::no_answer())?;
        let Some(chunk) = frame.data_ref() else { continue };
        if whole.len() + chunk.len() > maximum {
            return Err(Problem::too_long(maximum));
        }
        whole.extend_from_slice(chunk);
    }
    Ok(whole.into())
}

/// The media type without its parameters.
fn media_type(response: &Response<Incoming>) -> Option<&str> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}
