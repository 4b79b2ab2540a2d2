//! What the messages of one client share, and which way each of them goes.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use tokio::io::AsyncBufRead;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::in_flight::InFlight;
use super::lines::{Line, Lines};
use super::session::{Session, Sessions};
use crate::headers::AnnotatedTools;
use crate::message::{Id, Kind, Message};
use crate::problem::Problem;
use crate::upstream::{Upstream, whole};

/// Requests that are with the gate at a time. Together with those that do not end, and a few notifications, they fit
/// into the 100 streams of one HTTP/2 connection, so that no answer to a question waits behind the question.
const AT_A_TIME: usize = 32;
/// Requests that do not end.
const ENDLESS_AT_A_TIME: usize = 32;
/// Questions of servers whose answers are expected.
const MAXIMUM_QUESTIONS: usize = 1024;
/// For the end of a session at the gate.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// One client's side and the gate's.
pub(super) struct Bridge {
    pub(super) upstream: Arc<Upstream>,
    pub(super) options: Options,
    pub(super) sessions: Sessions,
    pub(super) in_flight: InFlight,
    pub(super) turns: Semaphore,
    pub(super) endless_turns: Semaphore,
    pub(super) tools: Mutex<AnnotatedTools>,
    /// The revision of the last request that told one: notifications do not.
    pub(super) version: Mutex<Option<String>>,
    questions: Mutex<HashMap<Id, Arc<Session>>>,
    output: mpsc::Sender<Bytes>,
    requests: TaskTracker,
    background: TaskTracker,
    /// When nothing is written any more.
    pub(super) ended: CancellationToken,
}

impl Bridge {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        options: Options,
        output: mpsc::Sender<Bytes>,
    ) -> Self {
        Self {
            upstream,
            options,
            output,
            sessions: Sessions::default(),
            in_flight: InFlight::default(),
            turns: Semaphore::new(AT_A_TIME),
            endless_turns: Semaphore::new(ENDLESS_AT_A_TIME),
            tools: Mutex::default(),
            version: Mutex::default(),
            questions: Mutex::default(),
            requests: TaskTracker::new(),
            background: TaskTracker::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Takes the client's messages until there are no more, nobody reads the answers, or `shutdown` is cancelled.
    pub(super) async fn read(
        self: &Arc<Self>,
        input: impl AsyncBufRead + Unpin,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        let reading = async {
            let mut lines = Lines::new(input, self.options.maximum_message_bytes);
            loop {
                match lines.next().await? {
                    Line::End => return Ok(()),
                    Line::TooLong => {
                        let problem = Problem::too_long(self.options.maximum_message_bytes);
                        self.write(problem.answer(None)).await;
                    }
                    Line::Complete(line) if line.trim_ascii().is_empty() => {}
                    Line::Complete(line) => self.take(line).await,
                }
            }
        };
        tokio::select! {
            ended = reading => ended,
            () = self.output.closed() => Ok(()),
            () = shutdown.cancelled() => Ok(()),
        }
    }

    /// Notifications, answers and `initialize` are passed on one after the other, in the order in which they come;
    /// other requests do not wait for each other.
    async fn take(self: &Arc<Self>, line: Bytes) {
        let Message { line, kind } = match Message::parse(line) {
            Ok(message) => message,
            Err(error) => return self.write(Problem::no_message(&error).answer(None)).await,
        };
        match kind {
            Kind::Request { id, method, facts } => self.request(id, method, facts, line).await,
            Kind::Notification { method, facts } => self.notify(&method, &facts, line).await,
            Kind::Response { id } => self.respond(id.as_ref(), line).await,
        }
    }

    /// Waits for what is under way, as long as it may, and ends the session.
    pub(super) async fn finish(&self, shutdown: &CancellationToken) {
        self.in_flight.cancel_endless();
        self.requests.close();
        tokio::select! {
            _ = tokio::time::timeout(self.options.drain_timeout, self.requests.wait()) => {}
            () = self.output.closed() => {}
            () = shutdown.cancelled() => {}
        }
        self.ended.cancel();
        self.background.close();
        self.requests.wait().await;
        self.background.wait().await;
        if let Some(session) = self.sessions.replace(None) {
            self.end_session(&session).await;
        }
    }

    /// Tells the gate that a session is not needed any more.
    pub(super) async fn end_session(&self, session: &Session) {
        if session.id.is_none() {
            return;
        }
        let Ok(mut request) = Request::delete(self.upstream.url()).body(whole(Bytes::new())) else {
            return;
        };
        *request.headers_mut() = session.headers();
        let ending = self.upstream.send_by(&session.route, request);
        // A gate that cannot be told forgets the session by itself.
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, ending).await;
    }

    /// Runs until it is done or everything ends; what the client waits for.
    pub(super) fn spawn_request(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.requests.spawn(self.ended.clone().run_until_cancelled_owned(task));
    }

    /// Runs until it is done or everything ends; what nobody waits for.
    pub(super) fn spawn_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(self.ended.clone().run_until_cancelled_owned(task));
    }

    /// A message for the client. Waits until the client has read enough of what came before.
    pub(super) async fn write(&self, message: Bytes) {
        // A client that is gone misses nothing.
        let _ = self.output.send(message).await;
    }

    /// A message of the server's for the client. The answer to a question goes back to the session that asked.
    pub(super) async fn pass_on(&self, message: Message, session: Option<&Arc<Session>>) {
        if let (Kind::Request { id, .. }, Some(session)) = (&message.kind, session) {
            let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
            if questions.len() >= MAXIMUM_QUESTIONS {
                tracing::warn!("{MAXIMUM_QUESTIONS} questions have no answer, and are forgotten");
                questions.clear();
            }
            questions.insert(id.clone(), Arc::clone(session));
        }
        self.write(message.line).await;
    }

    /// Who asked.
    pub(super) fn take_question(&self, id: &Id) -> Option<Arc<Session>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    pub(super) fn post(&self, headers: HeaderMap, line: Bytes) -> Request<Bytes> {
        self.to_gate(Method::POST, headers, line)
    }

    pub(super) fn to_gate(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.upstream.url().clone();
        *request.headers_mut() = headers;
        request
    }
}
