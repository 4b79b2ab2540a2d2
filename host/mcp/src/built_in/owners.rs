//! Whose the built-in server's sessions are.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Response;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{SessionId, SessionManager};

use crate::caller::Caller;
use crate::options::SessionLimits;
use crate::reply::Body;
use crate::sessions::{self, Owner};

/// Who opened each session. The sessions themselves are the SDK's.
pub(super) struct Owners {
    limits: SessionLimits,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// How many sessions there ever were.
    opened: u64,
    sessions: HashMap<SessionId, Opened>,
}

struct Opened {
    owner: Owner,
    number: u64,
}

impl Owners {
    pub(super) fn new(limits: SessionLimits) -> Self {
        Self { limits, known: Mutex::default() }
    }

    /// Refuses a session that is not the client's own.
    pub(super) fn check(&self, id: &[u8], client: &Caller) -> Result<(), Response<Body>> {
        let id = std::str::from_utf8(id).unwrap_or_default();
        match self.known().sessions.get(id) {
            Some(opened) if opened.owner.is(client) => Ok(()),
            Some(_) => Err(sessions::of_another()),
            None => Err(sessions::not_found()),
        }
    }

    /// Notes a session that was just opened, and closes one if that is too many: the client's oldest, or else the new
    /// one. Tells whether the new one stays.
    pub(super) async fn add(
        &self,
        manager: &LocalSessionManager,
        id: &str,
        client: &Caller,
    ) -> bool {
        let id = SessionId::from(id);
        self.forget_closed(manager).await;
        let superfluous = self.known().add(id.clone(), Owner::of(client), &self.limits);
        let stays = superfluous.as_ref() != Some(&id);
        if let Some(superfluous) = superfluous
            && let Err(error) = manager.close_session(&superfluous).await
        {
            tracing::warn!(%error, "a session of the built-in server could not be closed");
        }
        stays
    }

    /// Forgets the sessions of whom this certificate was presented by last, and gives them to be closed.
    pub(super) fn remove_all_of(&self, certificate: &[u8; 32]) -> Vec<SessionId> {
        let mut known = self.known();
        known
            .sessions
            .extract_if(|_, opened| opened.owner.came_last_with(certificate))
            .map(|(id, _)| id)
            .collect()
    }

    /// The SDK closes sessions on its own, and does not tell.
    async fn forget_closed(&self, manager: &LocalSessionManager) {
        let opened = self.known().opened;
        let living: HashSet<SessionId> = manager.sessions.read().await.keys().cloned().collect();
        // Those opened meanwhile may be living all the same.
        self.known().sessions.retain(|id, known| known.number > opened || living.contains(id));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing that can panic runs under the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Gives the session that is to be closed.
    fn add(&mut self, id: SessionId, owner: Owner, limits: &SessionLimits) -> Option<SessionId> {
        if self.sessions.len() >= limits.maximum_sessions {
            return Some(id);
        }
        let own = || self.sessions.iter().filter(|(_, known)| known.owner.is_same(&owner));
        let oldest = own().min_by_key(|(_, known)| known.number).map(|(id, _)| id.clone());
        let full = own().count() >= limits.maximum_sessions_per_client;
        let superfluous = oldest.filter(|_| full);
        if let Some(superfluous) = &superfluous {
            self.sessions.remove(superfluous);
        }
        self.opened += 1;
        self.sessions.insert(id, Opened { owner, number: self.opened });
        superfluous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_too_many_costs_the_client_its_oldest_and_nobody_else_one() {
        let limits = SessionLimits {
            maximum_sessions: 3,
            maximum_sessions_per_client: 2,
            ..SessionLimits::default()
        };
        let mut known = Known::default();
        let mut add = |id: &str, certificate| {
            let mut caller = Caller::of_principal(None);
            caller.certificate.sha256 = [certificate; 32];
            known.add(id.into(), Owner::of(&caller), &limits)
        };
        assert_eq!(add("a", 1), None);
        assert_eq!(add("b", 1), None);
        assert_eq!(add("c", 1).as_deref(), Some("a"));
        assert_eq!(add("d", 2), None);
        assert_eq!(add("e", 3).as_deref(), Some("e"), "no room for anybody");
    }
}
