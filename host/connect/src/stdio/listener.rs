//! What the server of a session has to say by itself.

use std::sync::Arc;

use super::answer::{Stream, delay};
use super::bridge::Bridge;
use super::session::Session;

impl Bridge {
    /// Passes on what the server says until the session is over, or it turns out that there is no such stream.
    pub(super) fn spawn_listener(self: &Arc<Self>, session: Arc<Session>) {
        let bridge = Arc::clone(self);
        self.spawn_background(async move {
            let is_gone = session.over.run_until_cancelled(bridge.listen(&session)).await;
            if is_gone == Some(true) {
                // The next message says so to the client if it cannot be opened again.
                let _ = bridge.reopen(&session).await;
            }
        });
    }

    /// Whether the session is gone.
    async fn listen(&self, session: &Arc<Session>) -> bool {
        let (mut last_event_id, mut retry, mut attempt) = (None, None, 0);
        loop {
            match self.open_stream(session, last_event_id.clone()).await {
                Stream::Open(mut messages) => {
                    while let Some(message) = messages.next().await {
                        attempt = 0;
                        self.pass_on(message, Some(session)).await;
                    }
                    last_event_id = messages.last_event_id().cloned();
                    retry = messages.retry().or(retry);
                }
                Stream::NoSession => return true,
                Stream::Unknown => return false,
                Stream::Failed(_) | Stream::NotNow => {}
            }
            tokio::time::sleep(delay(retry, attempt)).await;
            attempt += 1;
        }
    }
}
