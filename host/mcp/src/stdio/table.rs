//! The sessions with one server, and whose they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::session::{Owner, Session};
use crate::options::SessionLimits;

/// Sessions by their id.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<HashMap<String, Arc<Session>>>);

/// There is no room for one more session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What a client gets for the id of a session.
#[derive(Debug)]
pub(crate) enum Found {
    Session(Arc<Session>),
    /// It is another client's. To this one it does not exist.
    OfAnother,
    Nothing,
}

impl Table {
    /// Takes in a session, at the cost of the client's own session that was not used for longest if it has too many.
    pub(crate) fn insert(&self, session: Arc<Session>, limits: &SessionLimits) -> Result<(), Full> {
        let mut sessions = self.sessions();
        if sessions.len() >= limits.maximum_sessions {
            return Err(Full);
        }
        let own =
            || sessions.values().filter(|known| known.owner == session.owner && !known.is_over());
        if own().count() >= limits.maximum_sessions_per_client {
            let idle = own().filter_map(|known| Some((known.usage.idle_since()?, known)));
            let (_, longest) = idle.min_by_key(|(since, _)| *since).ok_or(Full)?;
            longest.end();
        }
        sessions.insert(session.id.clone(), session);
        Ok(())
    }

    /// Finds a client's own session.
    pub(crate) fn find(&self, id: &str, client: &Owner) -> Found {
        match self.sessions().get(id) {
            Some(session) if session.owner != *client => Found::OfAnother,
            Some(session) if !session.is_over() => Found::Session(Arc::clone(session)),
            _ => Found::Nothing,
        }
    }

    /// Forgets a session whose process is gone.
    pub(crate) fn remove(&self, id: &str) {
        self.sessions().remove(id);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn session(owner: u8) -> Arc<Session> {
        Session::new([owner; 32], 1, CancellationToken::new()).unwrap().0
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_owner_until_it_is_over() {
        let table = Table::default();
        let session = session(1);
        table.insert(Arc::clone(&session), &SessionLimits::default()).unwrap();
        assert!(matches!(table.find(&session.id, &[1; 32]), Found::Session(_)));
        assert!(matches!(table.find(&session.id, &[2; 32]), Found::OfAnother));
        assert!(matches!(table.find("0", &[1; 32]), Found::Nothing));
        session.end();
        assert!(matches!(table.find(&session.id, &[1; 32]), Found::Nothing));
    }

    #[tokio::test(start_paused = true)]
    async fn one_session_too_many_ends_the_clients_own_that_was_idle_for_longest() {
        let limits = SessionLimits { maximum_sessions_per_client: 2, ..SessionLimits::default() };
        let table = Table::default();
        let (first, second, other) = (session(1), session(1), session(2));
        for known in [&other, &first, &second] {
            table.insert(Arc::clone(known), &limits).unwrap();
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        let in_use = first.usage.enter();
        table.insert(session(1), &limits).unwrap();
        assert!(second.is_over() && !first.is_over() && !other.is_over());
        let (one, two) = (session(1), session(1));
        table.insert(Arc::clone(&one), &limits).unwrap();
        let _also = one.usage.enter();
        assert_eq!(table.insert(two, &limits), Err(Full), "both are in use");
        drop(in_use);
    }

    #[tokio::test]
    async fn all_clients_together_have_a_limit() {
        let limits = SessionLimits { maximum_sessions: 1, ..SessionLimits::default() };
        let table = Table::default();
        let one = session(1);
        table.insert(Arc::clone(&one), &limits).unwrap();
        one.end();
        assert_eq!(table.insert(session(2), &limits), Err(Full), "its process still ends");
        table.remove(&one.id);
        assert_eq!(table.insert(session(2), &limits), Ok(()));
    }
}
