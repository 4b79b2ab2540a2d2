//! A session that a server gave to a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use crate::sessions::{Claim, Claimed, Owner, Table};

/// What of it the gate knows: whose it is.
#[derive(Debug)]
pub(super) struct Session {
    claim: Claim,
    ended_by_server: AtomicBool,
}

impl Session {
    pub(super) fn new(id: String, owner: Owner, ended: CancellationToken) -> Arc<Self> {
        let claim = Claim::new(id, owner, ended);
        Arc::new(Self { claim, ended_by_server: AtomicBool::new(false) })
    }

    /// The server says that the session is no more.
    pub(super) fn is_gone(&self) {
        self.ended_by_server.store(true, Ordering::Relaxed);
        self.claim.end();
    }

    /// Waits for the first reason to end, forgets the session, and has the server end it too.
    pub(super) async fn keep(
        self: Arc<Self>,
        idle_timeout: Duration,
        sessions: Arc<Table<Self>>,
        client: Arc<Client>,
        delete: Request<Full<Bytes>>,
    ) {
        tokio::select! {
            () = self.claim.ended.cancelled() => {}
            () = self.claim.usage.idle_for(idle_timeout) => {}
        }
        self.claim.end();
        sessions.remove(&self.claim.id);
        if self.ended_by_server.load(Ordering::Relaxed) {
            return;
        }
        // Out of courtesy: nobody can use it any more. Servers need not support this (MCP 2025-11-25, Session Management).
        match tokio::time::timeout(DELETE_TIMEOUT, client.send(delete)).await {
            Ok(Ok(answer)) => tracing::debug!(status = %answer.status(), "a session was deleted"),
            Ok(Err(error)) => tracing::debug!(%error, "a session could not be deleted"),
            Err(_) => tracing::debug!("a session could not be deleted in time"),
        }
    }
}

/// For a server to end a session that its client has left.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);

impl Claimed for Session {
    fn claim(&self) -> &Claim {
        &self.claim
    }
}
