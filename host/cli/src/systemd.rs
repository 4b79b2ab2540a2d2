//! What systemd is told, where it runs the gate (sd_notify(3)). Elsewhere, nothing happens.

use sd_notify::NotifyState;

/// Clients can connect; or everything was loaded again, with whatever result.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// SIGHUP came, and is being followed.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd is not told of the reload"),
    }
}

/// No more clients are let in.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
