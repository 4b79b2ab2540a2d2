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
    by_id: HashMap<Id, (Number, Entry)>,
    bytes: usize,
    count: u64,
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

/// Tells a request from a later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u64);

impl InFlight {
    /// Takes a request in, unless there are too many, or one with its id.
    pub(super) fn insert(
        &self,
        id: &Id,
        entry: Entry,
        options: &Options,
    ) -> Result<Number, Problem> {
        let mut requests = self.lock();
        if requests.by_id.contains_key(id) {
            return Err(Problem::id_in_use());
        }
        let bytes = requests.bytes.saturating_add(entry.bytes);
        if requests.by_id.len() >= options.maximum_waiting || bytes > options.maximum_waiting_bytes
        {
            return Err(Problem::too_many());
        }
        let number = Number(requests.count);
        requests.count += 1;
        requests.bytes = bytes;
        requests.by_id.insert(id.clone(), (number, entry));
        Ok(number)
    }

    /// A request that is done.
    pub(super) fn remove(&self, id: &Id, number: Number) {
        let mut requests = self.lock();
        if requests.by_id.get(id).is_some_and(|(known, _)| *known == number) {
            requests.take(id);
        }
    }

    /// A request that its client gives up. The id is free from now on.
    pub(super) fn cancel(&self, id: &Id) -> Option<Entry> {
        let entry = self.lock().take(id)?;
        entry.cancelled.cancel();
        Some(entry)
    }

    /// Ends those that nothing else ends.
    pub(super) fn cancel_endless(&self) {
        for (_, entry) in self.lock().by_id.values().filter(|(_, entry)| entry.is_endless) {
            entry.cancelled.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn take(&mut self, id: &Id) -> Option<Entry> {
        let (_, entry) = self.by_id.remove(id)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry)
    }
}
