//! The last events of a session, for a client that lost a stream and comes back.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::sse::EventId;

const EVENTS: usize = 256;
const BYTES: usize = 1024 * 1024;

/// The newest events, as many as are kept.
#[derive(Debug, Default)]
pub(super) struct History {
    events: VecDeque<(EventId, Bytes)>,
    bytes: usize,
}

impl History {
    /// Keeps an event, at the cost of the oldest ones.
    pub(super) fn record(&mut self, id: EventId, line: Bytes) {
        self.bytes += line.len();
        self.events.push_back((id, line));
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some((_, line)) = self.events.pop_front() else { return };
            self.bytes -= line.len();
        }
    }

    /// Those of the same stream that came after an event.
    pub(super) fn after(&self, last: EventId) -> impl Iterator<Item = (EventId, Bytes)> {
        let newer =
            move |(id, _): &&(EventId, Bytes)| id.stream == last.stream && id.number > last.number;
        self.events.iter().filter(newer).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(stream: u64, number: u64) -> EventId {
        EventId { stream, number }
    }

    fn after(history: &History, last: EventId) -> Vec<u64> {
        history.after(last).map(|(id, _)| id.number).collect()
    }

    #[test]
    fn events_of_one_stream_are_repeated_in_order() {
        let mut history = History::default();
        for (stream, number) in [(1, 1), (2, 2), (1, 3), (1, 4)] {
            history.record(id(stream, number), Bytes::from_static(b"{}"));
        }
        assert_eq!(after(&history, id(1, 1)), [3, 4]);
        assert_eq!(after(&history, id(1, 0)), [1, 3, 4]);
        assert!(after(&history, id(2, 2)).is_empty());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_long() {
        let mut history = History::default();
        for number in 1..=EVENTS as u64 + 2 {
            history.record(id(1, number), Bytes::from_static(b"{}"));
        }
        assert_eq!(after(&history, id(1, 0)).len(), EVENTS);
        assert_eq!(after(&history, id(1, 0))[0], 3);
        history.record(id(1, 1000), Bytes::from(vec![b'x'; BYTES - 2]));
        assert_eq!(after(&history, id(1, 0)), [EVENTS as u64 + 2, 1000]);
        history.record(id(1, 1001), Bytes::from(vec![b'x'; BYTES + 1]));
        assert!(after(&history, id(1, 0)).is_empty());
    }
}
