//! The alerts that wait for a hook, which takes one at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use portcullis_core::with_causes;
use tokio::sync::mpsc;

use super::Hook;
use crate::alert::Alert;
use crate::alerts::{Delivery, DeliveryCount};

/// How many alerts wait for one hook.
const MAXIMUM_WAITING: usize = 256;

/// The way to one hook.
pub(crate) struct Queue {
    name: &'static str,
    waiting: mpsc::Sender<Bytes>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Queue {
    /// The hook is called by a task that ends with the queue.
    pub(crate) fn start(hook: Hook) -> Self {
        let (waiting, mut next) = mpsc::channel::<Bytes>(MAXIMUM_WAITING);
        let (name, counts) = (hook.name(), Arc::new(Counts::default()));
        let counted = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Some(alert) = next.recv().await {
                match hook.deliver(&alert).await {
                    Ok(()) => counted.delivered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        let error = with_causes(&error);
                        tracing::warn!(hook = name, error, "an alert could not be handed over");
                        counted.failed.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        });
        Self { name, waiting, counts }
    }

    /// Waits for nobody: an alert for which there is no room is only in the log.
    pub(crate) fn push(&self, alert: &Alert) {
        let Ok(json) = serde_json::to_vec(alert) else { return };
        if self.waiting.try_send(json.into()).is_err() {
            let before = self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            if before == 0 {
                tracing::warn!(
                    hook = self.name,
                    "alerts come faster than the hook takes them: some are left out"
                );
            }
        }
    }

    pub(crate) fn counts(&self) -> [DeliveryCount; 3] {
        let counts = &*self.counts;
        [
            (Delivery::Delivered, &counts.delivered),
            (Delivery::Dropped, &counts.dropped),
            (Delivery::Failed, &counts.failed),
        ]
        .map(|(delivery, count)| DeliveryCount {
            hook: self.name,
            delivery,
            count: count.load(Ordering::Relaxed),
        })
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}
