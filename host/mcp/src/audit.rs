//! One record for each request: who made it, what it was for, and how it ended. Never what was in it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use portcullis_engine::printable;
use tokio::time::Instant;

use crate::call::Call;
use crate::caller::Caller;
use crate::limits::InFlight;
use crate::reply::{self, Because, Body, BodyError};

/// The longest text taken from a client, in bytes.
const MAXIMUM_TEXT: usize = 512;

/// Receives the record of each request when it is over.
///
/// Called on the connection's own task: hand the record on rather than wait for a disk.
pub trait RequestAuditor: fmt::Debug + Send + Sync + 'static {
    /// Takes one record.
    fn record(&self, record: &RequestRecord);
}

/// One request. Texts that come from the client are escaped and cut.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The number that the gate's audit gives the connection.
    pub connection: u64,
    /// The client's principal.
    pub principal: Option<String>,
    /// The serial number of the client's certificate, in lower-case hexadecimal.
    pub serial_number: String,
    /// The server that it is for, if there is such a server.
    pub server: Option<String>,
    /// GET, POST, ...
    pub http_method: String,
    /// The method of its message. None for a message without one, and for what is no message.
    pub method: Option<String>,
    /// The same if it is one that MCP defines: so there are few of them.
    pub known_method: Option<&'static str>,
    /// The tool or prompt that it names, or the URI of the resource without its query and fragment.
    pub name: Option<String>,
    /// The status of the answer; none if the client left before there was one.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// Why the gate refused it.
    pub code: Option<&'static str>,
    /// From its headers to the end of the answer.
    pub elapsed: Duration,
    /// The size of its body.
    pub request_bytes: u64,
    /// How much of the answer's body went out.
    pub response_bytes: u64,
}

impl RequestRecord {
    /// What kind of request it is, for counting: a method of MCP's, `notifications`, `GET`, `DELETE` or `other`.
    #[must_use]
    pub fn method_class(&self) -> &'static str {
        match (self.known_method, self.method.as_deref(), self.http_method.as_str()) {
            (Some(known), _, _) => known,
            (None, Some(method), _) if method.starts_with("notifications/") => "notifications",
            (None, _, "GET") => "GET",
            (None, _, "DELETE") => "DELETE",
            _ => "other",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The client left, or was let go for not reading, before it had the whole answer.
    Abandoned,
    /// The client got an answer, be it an error of the server's.
    Answered,
    /// The server could not answer, or broke off.
    Failed,
    /// Not an end: the client has a stream open, which gets a second record when it ends.
    Opened,
    /// The gate refused it.
    Refused,
}

impl RequestOutcome {
    /// As it is written in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Opened => "opened",
            Self::Refused => "refused",
        }
    }
}

/// Writes each record as one `tracing` event at level info, target `portcullis::request`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingRequestAuditor;

impl RequestAuditor for TracingRequestAuditor {
    fn record(&self, record: &RequestRecord) {
        tracing::info!(
            target: "portcullis::request",
            connection = record.connection,
            principal = record.principal,
            serial_number = record.serial_number,
            server = record.server,
            http_method = record.http_method,
            method = record.method,
            name = record.name,
            status = record.status,
            outcome = record.outcome.as_str(),
            code = record.code,
            elapsed_ms = record.elapsed.as_secs_f64() * 1000.0,
            request_bytes = record.request_bytes,
            response_bytes = record.response_bytes,
        );
    }
}

/// A request under way. Its record is written when it is dropped.
pub(crate) struct Ongoing {
    auditor: Arc<dyn RequestAuditor>,
    record: RequestRecord,
    started: Instant,
    pub(crate) in_flight: Option<InFlight>,
}

impl Ongoing {
    pub(crate) fn new(
        auditor: Arc<dyn RequestAuditor>,
        caller: &Caller,
        http_method: &http::Method,
    ) -> Self {
        let record = RequestRecord {
            connection: caller.connection,
            principal: caller.principal.as_deref().map(|text| printable(text, MAXIMUM_TEXT)),
            serial_number: caller.certificate.serial_number.clone(),
            server: None,
            http_method: printable(http_method.as_str(), MAXIMUM_TEXT),
            method: None,
            known_method: None,
            name: None,
            status: None,
            outcome: RequestOutcome::Abandoned,
            code: None,
            elapsed: Duration::ZERO,
            request_bytes: 0,
            response_bytes: 0,
        };
        Self { auditor, record, started: Instant::now(), in_flight: None }
    }

    pub(crate) fn is_for(&mut self, server: &str) {
        self.record.server = Some(server.to_owned());
    }

    pub(crate) fn has_body(&mut self, body: &Bytes) {
        self.record.request_bytes = body.len() as u64;
    }

    pub(crate) fn calls(&mut self, call: &Call) {
        self.record.method = call.method.as_deref().map(|text| printable(text, MAXIMUM_TEXT));
        self.record.known_method = call.known_method();
        self.record.name = call.name().map(|name| printable(without_query(name), MAXIMUM_TEXT));
    }

    /// The answer, with the record of the request on its end.
    pub(crate) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        let (mut parts, body) = response.into_parts();
        self.record.status = Some(status.as_u16());
        self.record.code = parts.extensions.remove::<Because>().map(|because| because.0);
        let is_stream = self.record.http_method == "GET"
            || self.record.known_method == Some("subscriptions/listen");
        if is_stream && status == StatusCode::OK && self.record.code.is_none() {
            self.write(RequestOutcome::Opened);
            self.record.outcome = RequestOutcome::Abandoned;
        }
        Response::from_parts(parts, Audited { body, request: self }.boxed())
    }

    fn write(&mut self, outcome: RequestOutcome) {
        self.record.outcome = outcome;
        self.record.elapsed = self.started.elapsed();
        self.auditor.record(&self.record);
    }

    /// How a request ends whose answer went out as a whole.
    fn complete(&self) -> RequestOutcome {
        match (self.record.code, self.record.status) {
            (Some(code), _) if code.starts_with(reply::OF_SERVER) => RequestOutcome::Failed,
            (Some(_), _) => RequestOutcome::Refused,
            (None, Some(500..)) => RequestOutcome::Failed,
            (None, _) => RequestOutcome::Answered,
        }
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.write(self.record.outcome);
    }
}

/// Keys and tokens may stand in a URI's query.
fn without_query(name: &str) -> &str {
    name.split(['?', '#']).next().unwrap_or_default()
}

/// The body of an answer, which takes along what is noted of its request.
struct Audited {
    body: Body,
    request: Ongoing,
}

impl hyper::body::Body for Audited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.request.record.response_bytes += length as u64;
            }
            Poll::Ready(Some(Err(_))) => this.request.record.outcome = RequestOutcome::Failed,
            Poll::Ready(None) => this.request.record.outcome = this.request.complete(),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        // Nobody asks a body for more that says that there is no more.
        if self.request.record.outcome == RequestOutcome::Abandoned && self.body.is_end_stream() {
            self.request.record.outcome = self.request.complete();
        }
    }
}
