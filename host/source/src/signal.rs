//! That something may have changed.

use std::sync::Arc;

use tokio::sync::Notify;

/// Raised by sources, awaited by who reads them. Clones are the same signal; raised several times before anybody waits, it
/// is raised once.
#[derive(Clone, Debug, Default)]
pub struct Signal(Arc<Notify>);

impl Signal {
    /// Something may have changed.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Waits until it is raised, or was since the last wait.
    pub async fn raised(&self) {
        self.0.notified().await;
    }
}
