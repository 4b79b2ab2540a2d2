//! Sessions, whoever keeps them: each belongs to the client that opened it.

mod owner;
mod table;
mod usage;

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use tokio_util::sync::CancellationToken;

pub(crate) use self::owner::Owner;
pub(crate) use self::table::{Found, NotTaken, Room, Table};
pub(crate) use self::usage::{InUse, Usage};
use crate::caller::Caller;
use crate::reply::{self, Body};

pub(crate) const SESSION_ID: &str = "mcp-session-id";

/// What every session has.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The `Mcp-Session-Id`. Knowing it is of no use to any client but the owner.
    pub(crate) id: String,
    pub(crate) owner: Owner,
    pub(crate) usage: Arc<Usage>,
    /// Cancelled when the session is over, whoever ended it.
    pub(crate) ended: CancellationToken,
}

/// Something with a [`Claim`].
pub(crate) trait Claimed {
    fn claim(&self) -> &Claim;
}

impl Claim {
    pub(crate) fn new(id: String, owner: Owner, ended: CancellationToken) -> Self {
        Self { id, owner, usage: Usage::new(), ended }
    }

    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }
}

impl<S: Claimed> Table<S> {
    /// The session of a server that a request names, if it names one.
    pub(crate) fn of_request(
        &self,
        headers: &HeaderMap,
        client: &Caller,
    ) -> Result<Option<Arc<S>>, Response<Body>> {
        let mut ids = headers.get_all(SESSION_ID).iter();
        let Some(id) = ids.next() else {
            return Ok(None);
        };
        if ids.next().is_some() {
            let text = "Mcp-Session-Id is given more than once";
            return Err(reply::error(StatusCode::BAD_REQUEST, None, reply::REFUSED, text));
        }
        match id.to_str().map_or(Found::Nothing, |id| self.find(id, client)) {
            Found::Session(session) => Ok(Some(session)),
            Found::OfAnother => Err(of_another()),
            Found::Nothing => Err(not_found()),
        }
    }
}

/// The answer to a client that comes with another's session id: to the client it does not exist, to the operator it does.
pub(crate) fn of_another() -> Response<Body> {
    reply::because(not_found(), "session-of-another")
}

/// The answer that makes a client initialize a new session.
pub(crate) fn not_found() -> Response<Body> {
    let text = "session not found: initialize a new one";
    reply::error(StatusCode::NOT_FOUND, None, reply::SESSION_NOT_FOUND, text)
}
