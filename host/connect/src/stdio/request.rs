//! A request of the client's, from its line to the line of its answer.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::bridge::Bridge;
use super::in_flight::Entry;
use super::session::Session;
use crate::headers::{self, SESSION_ID};
use crate::message::{Facts, Id};
use crate::problem::Problem;

const INITIALIZE: &str = "initialize";
/// A request that is answered only when the subscription ends.
const LISTEN: &str = "subscriptions/listen";
/// From `initialize` to its answer: nothing else is read meanwhile.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(120);

impl Bridge {
    /// Answers a request, now or as soon as the server does.
    pub(super) async fn request(
        self: &Arc<Self>,
        id: Id,
        method: String,
        facts: Facts,
        line: Bytes,
    ) {
        let entry = Entry {
            cancelled: CancellationToken::new(),
            stands_for_itself: facts.version.is_some(),
            is_endless: method == LISTEN,
            bytes: line.len(),
        };
        let cancelled = entry.cancelled.clone();
        let number = match self.in_flight.insert(&id, entry, &self.options) {
            Ok(number) => number,
            Err(problem) => return self.write(problem.answer(Some(&id))).await,
        };
        if method == INITIALIZE {
            let opened = self.initialize(&id, line).await;
            self.in_flight.remove(&id, number);
            return self.write(opened.unwrap_or_else(|problem| problem.answer(Some(&id)))).await;
        }
        let bridge = Arc::clone(self);
        self.spawn_request(async move {
            let answer = bridge.answer(&id, &method, &facts, line);
            let answer = cancelled.run_until_cancelled(answer).await;
            // Before the client can know that the id is free again.
            bridge.in_flight.remove(&id, number);
            if let Some(answer) = answer {
                bridge.write(answer.unwrap_or_else(|problem| problem.answer(Some(&id)))).await;
            }
        });
    }

    async fn answer(
        self: &Arc<Self>,
        id: &Id,
        method: &str,
        facts: &Facts,
        line: Bytes,
    ) -> Result<Bytes, Problem> {
        let turns = if method == LISTEN { &self.endless_turns } else { &self.turns };
        let _turn = turns.acquire().await.map_err(|_| Problem::session_lost())?;
        match &facts.version {
            Some(version) => self.answer_by_itself(id, method, version, facts, line).await,
            None => self.answer_in_session(id, line).await,
        }
    }

    /// Since 2026-07-28.
    async fn answer_by_itself(
        self: &Arc<Self>,
        id: &Id,
        method: &str,
        version: &str,
        facts: &Facts,
        line: Bytes,
    ) -> Result<Bytes, Problem> {
        let mut headers =
            headers::standard(version, method, facts).ok_or_else(Problem::not_for_headers)?;
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
        if let ("tools/call", Some(tool)) = (method, &facts.name) {
            let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
            headers.extend(tools.headers(tool, &line));
        }
        let (_, response) = self.upstream.send_patiently(self.post(headers, line)).await?;
        let answer = self.read_answer(response, id, None).await?;
        if method == "tools/list" {
            self.tools.lock().unwrap_or_else(PoisonError::into_inner).learn(&answer);
        }
        Ok(answer)
    }

    /// Before 2026-07-28. What a session that is gone did not take is sent again in the next one.
    async fn answer_in_session(self: &Arc<Self>, id: &Id, line: Bytes) -> Result<Bytes, Problem> {
        let Some(mut session) = self.sessions.current() else {
            let request = self.post(headers::common(), line);
            let (_, response) = self.upstream.send_patiently(request).await?;
            return self.read_answer(response, id, None).await;
        };
        let mut counted = session.requests.token();
        let request = self.post(session.headers(), line.clone());
        let (_, mut response) = self.upstream.send_patiently(request).await?;
        if response.status() == StatusCode::NOT_FOUND && session.id.is_some() {
            self.reopen(&session).await?;
            session = self.sessions.current().ok_or_else(Problem::session_lost)?;
            counted = session.requests.token();
            let request = self.post(session.headers(), line);
            (_, response) = self.upstream.send_patiently(request).await?;
        }
        let answer = self.read_answer(response, id, Some(&session)).await;
        drop(counted);
        answer
    }

    /// The client's own `initialize`: a session in the place of the one before, if any.
    async fn initialize(self: &Arc<Self>, id: &Id, line: Bytes) -> Result<Bytes, Problem> {
        let _opening = self.sessions.opening.lock().await;
        self.sessions.remember_initialize(id, &line);
        self.open(id, line).await
    }

    /// Opens a session again, as the client opened it. Those who find it gone at the same time share the next one, which
    /// is opened to its end whoever of them is cancelled meanwhile.
    pub(super) async fn reopen(self: &Arc<Self>, gone: &Arc<Session>) -> Result<(), Problem> {
        let (bridge, gone) = (Arc::clone(self), Arc::clone(gone));
        let (sender, opened) = oneshot::channel();
        self.spawn_background(async move {
            // Nobody may be waiting any more.
            let _ = sender.send(bridge.open_instead_of(&gone).await);
        });
        opened.await.unwrap_or_else(|_| Err(Problem::session_lost()))
    }

    async fn open_instead_of(self: &Arc<Self>, gone: &Arc<Session>) -> Result<(), Problem> {
        let _opening = self.sessions.opening.lock().await;
        let current = self.sessions.current();
        if current.is_some_and(|current| !Arc::ptr_eq(&current, gone)) {
            return Ok(());
        }
        let (id, line) = self.sessions.initialize().ok_or_else(Problem::session_lost)?;
        tracing::info!("the session at the gate has ended: opening another");
        self.open(&id, line).await?;
        if let Some(initialized) = self.sessions.initialized() {
            self.send_initialized(initialized).await;
        }
        Ok(())
    }

    async fn open(self: &Arc<Self>, id: &Id, line: Bytes) -> Result<Bytes, Problem> {
        let opening = async {
            let request = self.post(headers::common(), line);
            let (route, response) = self.upstream.send_patiently(request).await?;
            let session_id = response.headers().get(SESSION_ID).cloned();
            let answer = self.read_answer(response, id, None).await?;
            Ok::<_, Problem>((route, session_id, answer))
        };
        let opened = tokio::time::timeout(INITIALIZE_TIMEOUT, opening).await;
        let (route, session_id, answer) = opened.map_err(|_| Problem::timeout())??;
        let Some(session) = Session::new(session_id, &answer, route) else { return Ok(answer) };
        if let Some(before) = self.sessions.replace(Some(Arc::new(session))) {
            let bridge = Arc::clone(self);
            // Its requests go on until they are answered, with the certificate that it belongs to.
            self.spawn_background(async move {
                before.requests.close();
                before.requests.wait().await;
                bridge.end_session(&before).await;
            });
        }
        Ok(answer)
    }
}
