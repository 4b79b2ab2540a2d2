//! The session of the revisions before 2026-07-28: opened by the client's `initialize`, and by the same `initialize`
//! again when the gate knows it no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::headers::{self, PROTOCOL_VERSION, SESSION_ID};
use crate::message::Id;
use crate::upstream::Route;

/// A session at the gate.
pub(super) struct Session {
    /// A server may do without.
    pub(super) id: Option<HeaderValue>,
    version: Option<HeaderValue>,
    /// The way that it was opened on.
    pub(super) route: Arc<Route>,
    /// Ends the stream of what the server has to say by itself.
    pub(super) over: CancellationToken,
    /// Its requests that are not answered yet.
    pub(super) requests: TaskTracker,
}

impl Session {
    /// What the server's answer to `initialize` amounts to. Nothing if it is an error.
    pub(super) fn new(id: Option<HeaderValue>, answer: &Bytes, route: Arc<Route>) -> Option<Self> {
        let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
        let version = answer.get("result")?.get("protocolVersion").and_then(|it| it.as_str());
        Some(Self {
            id,
            version: version.and_then(|version| HeaderValue::from_str(version).ok()),
            route,
            over: CancellationToken::new(),
            requests: TaskTracker::new(),
        })
    }

    /// What its messages have.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = headers::common();
        headers.extend(self.id.clone().map(|id| (SESSION_ID, id)));
        headers.extend(self.version.clone().map(|version| (PROTOCOL_VERSION, version)));
        headers
    }
}

/// The session that is open now, and what opens another in its place.
#[derive(Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Held by whoever opens one.
    pub(super) opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Session>>,
    initialize: Option<(Id, Bytes)>,
    initialized: Option<Bytes>,
}

impl Sessions {
    pub(super) fn current(&self) -> Option<Arc<Session>> {
        self.lock().current.clone()
    }

    /// Gives the one that was open before.
    pub(super) fn replace(&self, session: Option<Arc<Session>>) -> Option<Arc<Session>> {
        let before = std::mem::replace(&mut self.lock().current, session);
        if let Some(before) = &before {
            before.over.cancel();
        }
        before
    }

    /// The client's own `initialize`, and that it is initialized, for the next time.
    pub(super) fn remember_initialize(&self, id: &Id, line: &Bytes) {
        let mut state = self.lock();
        state.initialize = Some((id.clone(), line.clone()));
        state.initialized = None;
    }

    pub(super) fn remember_initialized(&self, line: &Bytes) {
        self.lock().initialized = Some(line.clone());
    }

    pub(super) fn initialize(&self) -> Option<(Id, Bytes)> {
        self.lock().initialize.clone()
    }

    pub(super) fn initialized(&self) -> Option<Bytes> {
        self.lock().initialized.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
