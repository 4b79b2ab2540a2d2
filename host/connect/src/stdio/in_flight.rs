//! The requests that are not answered yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Options;
use crate::message::Id;
use crate::problem::Problem;

/// The requests that are not answered yet, by their ids, within bounds.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<Requests>);

#[derive(Debug, Default)]
struct Requests {
    by_id: HashMap<Id, Entry>,
    bytes: usize,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What ends it without an answer.
    pub(super) cancelled: CancellationToken,
    /// Whether it tells its revision itself: then its connection is what is cancelled.
    pub(super) stands_for_itself: bool,
    /// Whether it only ends when it is cancelled.
    pub(super) is_endless: bool,
    pub(super) bytes: usize,
}

impl InFlight {
    /// Takes a request in, unless there are too many, or one with its id.
    pub(super) fn insert(&self, id: &Id, entry: Entry, options: &Options) -> Result<(), Problem> {
        let mut requests = self.lock();
        if requests.by_id.contains_key(id) {
            return Err(Problem::id_in_use());
        }
        let bytes = requests.bytes.saturating_add(entry.bytes);
        if requests.by_id.len() >= options.maximum_waiting || bytes > options.maximum_waiting_bytes
        {
            return Err(Problem::too_many());
        }
        requests.bytes = bytes;
        requests.by_id.insert(id.clone(), entry);
        Ok(())
    }

    pub(super) fn remove(&self, id: &Id) {
        let mut requests = self.lock();
        if let Some(entry) = requests.by_id.remove(id) {
            requests.bytes = requests.bytes.saturating_sub(entry.bytes);
        }
    }

    pub(super) fn get(&self, id: &Id) -> Option<Entry> {
        self.lock().by_id.get(id).cloned()
    }

    /// Ends those that nothing else ends.
    pub(super) fn cancel_endless(&self) {
        for entry in self.lock().by_id.values().filter(|entry| entry.is_endless) {
            entry.cancelled.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
