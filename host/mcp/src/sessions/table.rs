//! The sessions with one server, and whose they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Claim, Claimed};
use crate::caller::Caller;

/// Sessions by their id.
#[derive(Debug)]
pub(crate) struct Table<S>(Mutex<HashMap<String, Arc<S>>>);

/// How many sessions there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) for_all: usize,
    pub(crate) for_one_client: usize,
}

/// Why a session is not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There is no room for one more.
    Full,
    /// Another session has this id.
    Taken,
}

/// What a client gets for the id of a session.
#[derive(Debug)]
pub(crate) enum Found<S> {
    Session(Arc<S>),
    /// It is another client's. To this one it does not exist.
    OfAnother,
    Nothing,
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Claimed> Table<S> {
    /// Takes in a session, at the cost of the client's own session that was not used for longest if it has too many.
    pub(crate) fn insert(&self, session: Arc<S>, room: Room) -> Result<(), NotTaken> {
        let mut sessions = self.sessions();
        if sessions.contains_key(&session.claim().id) {
            return Err(NotTaken::Taken);
        }
        if sessions.len() >= room.for_all {
            return Err(NotTaken::Full);
        }
        let owner = &session.claim().owner;
        let own = || {
            let claims = sessions.values().map(|known| known.claim());
            claims.filter(|known| known.owner.is_same(owner) && !known.is_over())
        };
        if own().count() >= room.for_one_client {
            let idle = own().filter_map(|known| Some((known.usage.idle_since()?, known)));
            let (_, longest) = idle.min_by_key(|(since, _)| *since).ok_or(NotTaken::Full)?;
            longest.end();
        }
        sessions.insert(session.claim().id.clone(), session);
        Ok(())
    }

    /// Finds a client's own session.
    pub(crate) fn find(&self, id: &str, client: &Caller) -> Found<S> {
        match self.sessions().get(id) {
            Some(session) if !session.claim().owner.is(client) => Found::OfAnother,
            Some(session) if !session.claim().is_over() => Found::Session(Arc::clone(session)),
            _ => Found::Nothing,
        }
    }

    /// Ends the sessions of whom this certificate was presented by last. Whoever keeps them forgets them.
    pub(crate) fn end_all_of(&self, certificate: &[u8; 32]) {
        let sessions = self.sessions();
        let claims = sessions.values().map(|session| session.claim());
        claims.filter(|claim| claim.owner.came_last_with(certificate)).for_each(Claim::end);
    }

    /// Forgets a session that is gone.
    pub(crate) fn remove(&self, id: &str) {
        self.sessions().remove(id);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<S>>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::sessions::Owner;

    const ROOM: Room = Room { for_all: 9, for_one_client: 2 };

    impl Claimed for Claim {
        fn claim(&self) -> &Claim {
            self
        }
    }

    fn client(certificate: u8) -> Caller {
        let mut caller = Caller::of_principal(None);
        caller.certificate.sha256 = [certificate; 32];
        caller
    }

    fn session(id: &str, owner: u8) -> Arc<Claim> {
        Arc::new(Claim::new(id.to_owned(), Owner::of(&client(owner)), CancellationToken::new()))
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_owner_until_it_is_over() {
        let table = Table::default();
        let session = session("a", 1);
        table.insert(Arc::clone(&session), ROOM).unwrap();
        assert!(matches!(table.find("a", &client(1)), Found::Session(_)));
        assert!(matches!(table.find("a", &client(2)), Found::OfAnother));
        assert!(matches!(table.find("0", &client(1)), Found::Nothing));
        session.end();
        assert!(matches!(table.find("a", &client(1)), Found::Nothing));
    }

    #[tokio::test]
    async fn an_id_is_one_sessions_only() {
        let table = Table::default();
        table.insert(session("a", 1), ROOM).unwrap();
        assert_eq!(table.insert(session("a", 2), ROOM), Err(NotTaken::Taken));
        assert!(matches!(table.find("a", &client(1)), Found::Session(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_session_too_many_ends_the_clients_own_that_was_idle_for_longest() {
        let table = Table::default();
        let (first, second, other) = (session("a", 1), session("b", 1), session("c", 2));
        for known in [&other, &first, &second] {
            table.insert(Arc::clone(known), ROOM).unwrap();
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        let in_use = first.usage.enter();
        table.insert(session("d", 1), ROOM).unwrap();
        assert!(second.is_over() && !first.is_over() && !other.is_over());
        let (one, two) = (session("e", 1), session("f", 1));
        table.insert(Arc::clone(&one), ROOM).unwrap();
        let _also = one.usage.enter();
        assert_eq!(table.insert(two, ROOM), Err(NotTaken::Full), "both are in use");
        drop(in_use);
    }

    #[tokio::test]
    async fn all_sessions_of_one_client_end_and_no_others() {
        let table = Table::default();
        let sessions = [session("a", 1), session("b", 2), session("c", 1)];
        for known in &sessions {
            table.insert(Arc::clone(known), ROOM).unwrap();
        }
        table.end_all_of(&[1; 32]);
        assert_eq!(sessions.map(|known| known.is_over()), [true, false, true]);
    }

    #[tokio::test]
    async fn all_clients_together_have_a_limit() {
        let room = Room { for_all: 1, for_one_client: 2 };
        let table = Table::default();
        let one = session("a", 1);
        table.insert(Arc::clone(&one), room).unwrap();
        one.end();
        assert_eq!(table.insert(session("b", 2), room), Err(NotTaken::Full), "one still ends");
        table.remove(&one.id);
        assert_eq!(table.insert(session("b", 2), room), Ok(()));
    }
}
