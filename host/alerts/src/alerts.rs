//! The handle that everybody holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::{Clock, Timestamp, Urgency, WarnBefore};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::alert::{Alert, Level};
use crate::clients::Clients;
use crate::expiring::Expiring;
use crate::hook::Queue;
use crate::options::AlertOptions;
use crate::watched::Watched;

/// Watches what ends, and tells the log and the hooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alerts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    warn_before: WarnBefore,
    watches_clients: bool,
    soon: Notify,
    watched: Mutex<Watched>,
    clients: Mutex<Clients>,
    queues: Vec<Queue>,
    counts: Mutex<BTreeMap<(String, Level), u64>>,
}

/// How alerting is doing, for metrics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// When this was so.
    pub now: Timestamp,
    /// What the gate has at hand.
    pub watched: Vec<Expiring>,
    /// The clients that came in shortly before their certificate's end and whose certificate has not ended yet.
    pub clients: Vec<Expiring>,
    /// Alerts by kind and level.
    pub alerts: BTreeMap<(String, Level), u64>,
    /// What became of them at each hook.
    pub deliveries: Vec<DeliveryCount>,
}

/// How many alerts of a hook ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryCount {
    /// "command" or "webhook".
    pub hook: &'static str,
    /// What became of them.
    pub delivery: Delivery,
    /// How many.
    pub count: u64,
}

/// What became of an alert at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The hook took it.
    Delivered,
    /// Too many were waiting for the hook.
    Dropped,
    /// The hook failed.
    Failed,
}

impl Delivery {
    /// "delivered", "dropped" or "failed".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

impl Alerts {
    /// Begins to watch, with nothing at hand. Where there are hooks: on a Tokio runtime, whose tasks call them.
    #[must_use]
    pub fn start(options: AlertOptions, clock: Clock) -> Self {
        let AlertOptions { warn_before, repeat_seconds, clients, hooks } = options;
        Self(Arc::new(Shared {
            clock,
            warn_before,
            watches_clients: clients,
            soon: Notify::new(),
            watched: Mutex::new(Watched::new(warn_before, repeat_seconds)),
            clients: Mutex::new(Clients::new(warn_before, repeat_seconds)),
            queues: hooks.into_iter().map(Queue::start).collect(),
            counts: Mutex::default(),
        }))
    }

    /// What one group consists of from now on. Nothing is said before the next [`Alerts::check`].
    pub fn replace(&self, group: &'static str, items: Vec<Expiring>) {
        lock(&self.0.watched).replace(group, items);
    }

    /// Ends the waiting of [`Alerts::due`]: something was replaced.
    pub fn check_soon(&self) {
        self.0.soon.notify_one();
    }

    /// Waits until it is time for another [`Alerts::check`]: so long, or until [`Alerts::check_soon`].
    pub async fn due(&self, interval: Duration) {
        // Whichever of the two it was.
        let _ = timeout(interval, self.0.soon.notified()).await;
    }

    /// Looks at the clock, and says what there is to say.
    pub fn check(&self) {
        let now = self.0.clock.now();
        let alerts = lock(&self.0.watched).check(now);
        lock(&self.0.clients).forget(now);
        alerts.iter().for_each(|alert| self.raise(alert));
    }

    /// A client came in whose certificate is valid from `first` to `last`. `client` is asked who it is if that end is near.
    pub fn client(&self, first: Timestamp, last: Timestamp, client: impl FnOnce() -> Expiring) {
        let shared = &*self.0;
        if !shared.watches_clients {
            return;
        }
        let now = shared.clock.now();
        if shared.warn_before.urgency(first, last, now) == Urgency::None {
            return;
        }
        let alert = lock(&shared.clients).see(client(), now);
        if let Some(alert) = alert {
            self.raise(&alert);
        }
    }

    /// Tells the log and the hooks. Waits for nobody.
    pub fn raise(&self, alert: &Alert) {
        alert.log();
        *lock(&self.0.counts).entry((alert.kind.to_string(), alert.level)).or_default() += 1;
        self.0.queues.iter().for_each(|queue| queue.push(alert));
    }

    /// How alerting is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &*self.0;
        let now = shared.clock.now();
        Status {
            now,
            watched: lock(&shared.watched).items().cloned().collect(),
            clients: lock(&shared.clients).expiring(now).cloned().collect(),
            alerts: lock(&shared.counts).clone(),
            deliveries: shared.queues.iter().flat_map(Queue::counts).collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tokio::net::TcpListener;

    use super::*;
    use crate::hook::{CommandHook, Hook, Retries, Webhook};

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    /// Good for the first day.
    fn certificate(id: &str) -> Expiring {
        Expiring {
            kind: "server-certificate",
            id: id.to_owned(),
            subject: format!("CN={id}"),
            serial_number: "01".to_owned(),
            first: 0,
            last: DAY,
            source: "listen.certificate".to_owned(),
        }
    }

    /// At a time that the test sets.
    fn start(hooks: Vec<Hook>) -> (Alerts, Arc<AtomicI64>) {
        let time = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&time);
        let clock = Clock::from_fn(move || shown.load(Ordering::SeqCst));
        (Alerts::start(AlertOptions { hooks, ..AlertOptions::default() }, clock), time)
    }

    fn count(alerts: &Alerts, delivery: Delivery) -> u64 {
        let deliveries = alerts.status().deliveries.into_iter();
        deliveries.filter(|one| one.delivery == delivery).map(|one| one.count).sum()
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_hook_is_called_once_for_each_certificate_and_level() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let hook = Hook::Command(CommandHook {
            program: "/bin/sh".to_owned(),
            arguments: vec!["-c".to_owned(), format!("cat >> '{0}'; echo >> '{0}'", out.display())],
            timeout: Duration::from_secs(60),
        });
        let (alerts, time) = start(vec![hook]);
        alerts.replace("server", vec![certificate("old")]);
        for hour in [0, 15, 20, 21, 25, 26] {
            time.store(hour * HOUR, Ordering::SeqCst);
            alerts.check();
        }
        alerts.replace("server", vec![Expiring { last: 3 * DAY, ..certificate("new") }]);
        alerts.check();
        until(|| count(&alerts, Delivery::Delivered) == 3).await;

        let out = std::fs::read_to_string(out).unwrap();
        let seen: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let levels: Vec<_> = seen.iter().map(|alert| alert["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["warning", "expired", "resolved"]);
        assert_eq!(
            seen[0],
            serde_json::json!({
                "time": "1970-01-01T20:00:00Z",
                "kind": "server-certificate",
                "level": "warning",
                "subject": "CN=old",
                "serial_number": "01",
                "not_after": "1970-01-02T00:00:00Z",
                "seconds_left": 4 * HOUR,
                "sources": ["listen.certificate"],
                "message": "the server certificate of `CN=old` (listen.certificate) expires at 1970-01-02T00:00:00Z",
            })
        );
        let told = alerts.status().alerts;
        assert_eq!(told.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_hook_that_hangs_and_what_it_has_no_room_for_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let webhook =
            Webhook::new(&url, None, Duration::from_secs(600), Retries::default()).unwrap();
        let (alerts, time) = start(vec![Hook::Webhook(Box::new(webhook))]);
        time.store(20 * HOUR, Ordering::SeqCst);
        // Without a pause for the hook's task: all of it is done before anybody takes an alert off the queue.
        for id in 0..300 {
            alerts.client(0, DAY, || certificate(&id.to_string()));
        }
        assert_eq!(count(&alerts, Delivery::Dropped), 300 - 256);
        assert_eq!(count(&alerts, Delivery::Delivered), 0);
        assert_eq!(alerts.status().clients.len(), 300);
    }

    #[tokio::test]
    async fn a_client_whose_end_is_far_is_not_even_asked_for() {
        let (alerts, time) = start(Vec::new());
        alerts.client(0, DAY, || unreachable!("its end is far"));
        time.store(20 * HOUR, Ordering::SeqCst);
        for _ in 0..3 {
            alerts.client(0, DAY, || certificate("client"));
        }
        assert_eq!(alerts.status().alerts.values().copied().collect::<Vec<_>>(), [1]);
    }

    #[tokio::test]
    async fn clients_need_not_be_watched() {
        let options = AlertOptions { clients: false, ..AlertOptions::default() };
        let alerts = Alerts::start(options, Clock::fixed(20 * HOUR));
        alerts.client(0, DAY, || unreachable!("clients are not watched"));
    }
}
