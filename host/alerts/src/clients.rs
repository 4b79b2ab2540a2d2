//! The clients whose certificates end soon.

use std::collections::HashMap;

use portcullis_core::{Timestamp, Urgency, WarnBefore};

use crate::alert::Alert;
use crate::expiring::Expiring;
use crate::told::Told;

/// How many are told apart.
const MAXIMUM: usize = 10_000;

/// The certificates of clients that came in shortly before their end.
#[derive(Debug)]
pub(crate) struct Clients {
    warn_before: WarnBefore,
    repeat_seconds: i64,
    maximum: usize,
    /// By [`Expiring::id`].
    seen: HashMap<String, (Expiring, Told)>,
    is_full: bool,
}

impl Clients {
    pub(crate) fn new(warn_before: WarnBefore, repeat_seconds: i64) -> Self {
        Self { warn_before, repeat_seconds, maximum: MAXIMUM, seen: HashMap::new(), is_full: false }
    }

    /// A client came in. What is to be said of it.
    pub(crate) fn see(&mut self, client: Expiring, now: Timestamp) -> Option<Alert> {
        let urgency = self.warn_before.urgency(client.first, client.last, now);
        if urgency == Urgency::None {
            return None;
        }
        if !self.seen.contains_key(&client.id) && self.seen.len() >= self.maximum {
            if !self.is_full {
                self.is_full = true;
                let maximum = self.maximum;
                tracing::warn!(
                    target: "portcullis::alert",
                    maximum,
                    "more clients' certificates end soon than are told apart: of further ones nothing is said"
                );
            }
            return None;
        }
        let (known, told) = self.seen.entry(client.id.clone()).or_insert((client, Told::NOTHING));
        let level = told.news(urgency, now, self.repeat_seconds)?;
        Some(Alert::of(known, vec![known.source.clone()], level, now))
    }

    /// Forgets those whose end, and the time in which nothing is said twice, have passed.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let repeat = self.repeat_seconds;
        self.seen.retain(|_, (client, _)| now <= client.last.saturating_add(repeat));
        self.is_full = self.seen.len() >= self.maximum;
    }

    /// Those that have not ended yet.
    pub(crate) fn expiring(&self, now: Timestamp) -> impl Iterator<Item = &Expiring> {
        self.seen.values().map(|(client, _)| client).filter(move |client| client.last >= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Level;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn client(id: usize) -> Expiring {
        Expiring {
            kind: "client-certificate",
            id: id.to_string(),
            subject: format!("CN={id}"),
            serial_number: id.to_string(),
            first: 0,
            last: DAY,
            source: "192.0.2.1".to_owned(),
        }
    }

    fn clients() -> Clients {
        Clients::new(WarnBefore::default(), DAY)
    }

    fn level(clients: &mut Clients, id: usize, now: Timestamp) -> Option<Level> {
        clients.see(client(id), now).map(|alert| alert.level)
    }

    #[test]
    fn a_client_is_warned_of_once_over_several_connections() {
        let mut clients = clients();
        assert_eq!(level(&mut clients, 1, HOUR), None);
        assert_eq!(level(&mut clients, 1, 20 * HOUR), Some(Level::Warning));
        assert_eq!(level(&mut clients, 1, 20 * HOUR), None);
        assert_eq!(level(&mut clients, 1, 23 * HOUR), None);
        assert_eq!(level(&mut clients, 2, 23 * HOUR), Some(Level::Warning));
        // Who is let in by a pin alone may have expired.
        assert_eq!(level(&mut clients, 1, DAY + 1), Some(Level::Expired));
    }

    #[test]
    fn a_client_that_has_time_leaves_no_trace() {
        let mut clients = clients();
        assert_eq!(level(&mut clients, 1, 0), None);
        assert!(clients.seen.is_empty());
    }

    #[test]
    fn clients_beyond_the_bound_are_not_told_apart_until_others_are_forgotten() {
        let mut clients = clients();
        clients.maximum = 2;
        for id in 0..2 {
            assert_eq!(level(&mut clients, id, 20 * HOUR), Some(Level::Warning));
        }
        assert_eq!(level(&mut clients, 2, 20 * HOUR), None);
        assert_eq!(clients.expiring(20 * HOUR).count(), 2);
        assert_eq!(clients.expiring(DAY + 1).count(), 0);
        clients.forget(2 * DAY);
        assert_eq!(clients.seen.len(), 2);
        clients.forget(2 * DAY + 1);
        assert!(clients.seen.is_empty());
        assert_eq!(level(&mut clients, 2, 20 * HOUR), Some(Level::Warning));
    }
}
