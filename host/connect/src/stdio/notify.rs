//! What the client says without expecting an answer: notifications, and its own answers to questions of the server.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::StatusCode;

use super::bridge::Bridge;
use super::session::Session;
use crate::headers;
use crate::message::{Facts, Id};
use crate::problem::Problem;

const CANCELLED: &str = "notifications/cancelled";
const INITIALIZED: &str = "notifications/initialized";

impl Bridge {
    /// Passes a notification on.
    pub(super) async fn notify(self: &Arc<Self>, method: &str, facts: &Facts, line: Bytes) {
        if method == CANCELLED {
            return self.cancel(facts.request_id.as_ref(), line).await;
        }
        let Some(session) = self.sessions.current() else {
            return self.notify_by_itself(method, facts, line).await;
        };
        if method == INITIALIZED {
            self.sessions.remember_initialized(&line);
            return self.send_initialized(line).await;
        }
        self.send_in(&session, line).await;
    }

    /// Closing its connection is how a request of 2026-07-28 is cancelled; before, the server is told. Either way the
    /// client wants no answer any more.
    async fn cancel(self: &Arc<Self>, id: Option<&Id>, line: Bytes) {
        let entry = id.and_then(|id| self.in_flight.cancel(id));
        let in_session = entry.is_none_or(|entry| !entry.stands_for_itself);
        if let (true, Some(session)) = (in_session, self.sessions.current()) {
            // A session that is gone works on nothing any more.
            let _ = self.send(&session, line).await;
        }
    }

    async fn notify_by_itself(&self, method: &str, facts: &Facts, line: Bytes) {
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let version = facts.version.clone().or(known);
        let Some(headers) = version.and_then(|version| headers::standard(&version, method, facts))
        else {
            return tracing::debug!("a notification outside of any session is left out");
        };
        match self.upstream.send_patiently(self.post(headers, line)).await {
            Ok((_, response)) if response.status().is_success() => {}
            Ok((_, response)) => {
                tracing::debug!(status = %response.status(), "a notification was not taken");
            }
            // The log has the failure already.
            Err(_) => {}
        }
    }

    /// Passes the client's answer back to the session that asked.
    pub(super) async fn respond(self: &Arc<Self>, id: Option<&Id>, line: Bytes) {
        let Some(session) = id.and_then(|id| self.take_question(id)) else {
            return tracing::debug!("an answer to a question that nobody asked is left out");
        };
        if let Ok(StatusCode::NOT_FOUND) = self.send(&session, line).await {
            tracing::warn!("the session that asked has ended: the client's answer is left out");
        }
    }

    /// From now on the server may speak by itself.
    pub(super) async fn send_initialized(self: &Arc<Self>, line: Bytes) {
        let Some(session) = self.sessions.current() else { return };
        if self.send(&session, line).await.is_ok_and(|status| status.is_success()) {
            self.spawn_listener(session);
        }
    }

    async fn send_in(self: &Arc<Self>, session: &Arc<Session>, line: Bytes) {
        let sent = self.send(session, line.clone()).await;
        if sent.is_ok_and(|status| status == StatusCode::NOT_FOUND)
            && session.id.is_some()
            && self.reopen(session).await.is_ok()
            && let Some(session) = self.sessions.current()
        {
            // The next message that finds no session says so.
            let _ = self.send(&session, line).await;
        }
    }

    async fn send(&self, session: &Session, line: Bytes) -> Result<StatusCode, Problem> {
        let request = self.post(session.headers(), line);
        let (_, response) = self.upstream.send_patiently(request).await?;
        let status = response.status();
        if !status.is_success() {
            tracing::debug!(%status, "a notification or an answer was not taken");
        }
        Ok(status)
    }
}
