//! One stream to the agent after the other, for as long as somebody wants to know.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use portcullis_core::{Clock, printable, with_causes};
use spiffe::{WorkloadApiClient, WorkloadApiError, X509Context};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::address::Address;
use crate::backoff::Backoff;
use crate::choice::Choice;
use crate::material::{Material, Unusable};
use crate::state::{Connection, State};

/// For the connection and the first message, which comes without delay (SPIFFE Workload API, section 4.3).
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the clock is looked at. A machine that slept is noticed as soon.
const INTERVAL: i64 = 60;
/// Of what the agent says, in the log.
const MAXIMUM_TEXT: usize = 500;

/// The talk with an agent.
pub(crate) struct Conversation {
    address: Address,
    choice: Choice,
    clock: Clock,
    state: watch::Sender<State>,
    expired: Notify,
}

/// Why a stream is over.
enum End {
    /// The agent has no identity for this process.
    Denied(String),
    Gone(String),
}

type Message = Result<X509Context, WorkloadApiError>;

impl Conversation {
    pub(crate) fn new(
        address: Address,
        choice: Choice,
        clock: Clock,
        state: watch::Sender<State>,
    ) -> Self {
        Self { address, choice, clock, state, expired: Notify::new() }
    }

    /// Never ends.
    pub(crate) async fn run(&self) {
        tokio::join!(self.stay_connected(), self.watch_expiry());
    }

    async fn stay_connected(&self) {
        let mut backoff = Backoff::new();
        loop {
            let end = match timeout(PATIENCE, self.open()).await {
                Ok(Ok((stream, first))) => {
                    backoff = Backoff::new();
                    self.listen(stream, first).await
                }
                Ok(Err(end)) => end,
                Err(_) => End::Gone(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            match end {
                End::Denied(reason) => self.denied(reason),
                End::Gone(reason) => self.gone(reason),
            }
            sleep(backoff.next()).await;
        }
    }

    /// A stream and its first message, of whatever use that is.
    async fn open(
        &self,
    ) -> Result<(impl Stream<Item = Message> + Unpin + Send + use<>, Message), End> {
        let client = WorkloadApiClient::connect(self.address.endpoint().clone());
        let client = client.await.map_err(|error| End::of(&error))?;
        let mut stream = client.stream_x509_contexts().await.map_err(|error| End::of(&error))?;
        match next(&mut stream).await {
            Some(Err(error)) if ends_stream(&error) => Err(End::of(&error)),
            Some(first) => Ok((stream, first)),
            None => Err(End::closed()),
        }
    }

    /// Takes messages until the stream ends, or has not brought a new SVID in time.
    async fn listen(
        &self,
        mut stream: impl Stream<Item = Message> + Unpin,
        mut message: Message,
    ) -> End {
        loop {
            match message {
                Ok(message) => self.take(&message),
                Err(error) if ends_stream(&error) => return End::of(&error),
                // Something in the message is malformed: the next one may not be.
                Err(error) => self.refuse(text(&error)),
            }
            message = tokio::select! {
                message = next(&mut stream) => match message {
                    Some(message) => message,
                    None => return End::closed(),
                },
                () = self.expired.notified() => {
                    return End::Gone("the SVID expired, and no other came".to_owned());
                }
            };
        }
    }

    fn take(&self, message: &X509Context) {
        let held = self.state.borrow().material.clone();
        match Material::new(message, &self.choice, held.as_deref(), self.clock.now()) {
            Ok((material, problem)) => {
                let problem = problem.map(|problem| problem.to_string());
                self.announce(held.as_deref(), &material);
                let is_same = held.is_some_and(|held| held.is_same(&material));
                let material = (!is_same).then(|| Arc::new(material));
                self.heard(problem, |state| {
                    if material.is_some() {
                        state.material.clone_from(&material);
                    }
                });
            }
            // What the agent has taken back is not used any longer (section 5.2.1).
            Err(error @ Unusable::NotThere(_)) => {
                self.heard(Some(error.to_string()), |state| state.material = None);
            }
            Err(error) => self.refuse(error.to_string()),
        }
    }

    fn announce(&self, held: Option<&Material>, new: &Material) {
        let svid = new.svid();
        let old = held.map(|held| held.svid().certificate().sha256());
        if old != Some(svid.certificate().sha256()) {
            tracing::info!(
                spiffe_id = %svid.id(),
                serial = svid.certificate().serial_number(),
                seconds = svid.certificate().not_after() - self.clock.now(),
                "an SVID came from the Workload API and is used from now on"
            );
        }
        if held.is_none_or(|held| held.all_bundles() != new.all_bundles()) {
            let trust_domains: Vec<_> = new.trust_domains().collect();
            let trust_domains = printable(&trust_domains.join(" "), MAXIMUM_TEXT);
            tracing::info!(trust_domains, "the CAs of these trust domains came with it");
        }
    }

    fn refuse(&self, problem: String) {
        self.heard(Some(problem), |_| {});
    }

    /// Notes a message, with what is wrong with it.
    fn heard(&self, problem: Option<String>, change: impl FnOnce(&mut State)) {
        let now = self.clock.now();
        self.state.send_modify(|state| {
            let (heard, of_no_use) = &mut state.messages;
            *heard += 1;
            *of_no_use += u64::from(problem.is_some());
            if state.connection != Connection::Connected {
                (state.connection, state.since) = (Connection::Connected, now);
                tracing::info!(address = %self.address, "the Workload API answers");
            }
            change(state);
            if let Some(problem) =
                problem.as_ref().filter(|new| state.problem.as_ref() != Some(new))
            {
                let is_held = state.material.is_some();
                tracing::warn!(problem, is_held, "what the Workload API gives is of no use");
            }
            state.problem = problem;
        });
    }

    /// The agent takes back all that it gave (section 5.2.1).
    fn denied(&self, reason: String) {
        self.lost(Connection::Denied, reason, |state, reason| {
            state.material = None;
            tracing::warn!(
                reason,
                "the Workload API has no identity for this process: register it with the agent"
            );
        });
    }

    fn gone(&self, reason: String) {
        let (address, now) = (&self.address, self.clock.now());
        self.lost(Connection::Gone, reason, |state, reason| match &state.material {
            Some(material) => {
                let seconds = material.svid().certificate().not_after() - now;
                tracing::warn!(
                    %address, reason, seconds,
                    "the Workload API is gone: what it gave last is used for so long"
                );
            }
            None => tracing::warn!(%address, reason, "waiting for the Workload API"),
        });
    }

    /// Says once how the connection was lost, whatever comes of the attempts to have another.
    fn lost(&self, how: Connection, reason: String, say: impl FnOnce(&mut State, &str)) {
        let now = self.clock.now();
        self.state.send_modify(|state| {
            if state.connection != how || state.problem.is_none() {
                say(state, &reason);
            }
            if state.connection != how {
                (state.connection, state.since) = (how, now);
            }
            state.problem = Some(reason);
        });
    }

    async fn watch_expiry(&self) {
        let mut state = self.state.subscribe();
        loop {
            let material = state.borrow_and_update().material.clone();
            let Some(material) = material else {
                // The sender is ours.
                let _ = state.changed().await;
                continue;
            };
            let left = material.svid().certificate().not_after() - self.clock.now();
            if left < 0 {
                self.expire();
                continue;
            }
            let pause = Duration::from_secs(u64::try_from(left.min(INTERVAL)).unwrap_or(0) + 1);
            tokio::select! {
                () = sleep(pause) => {}
                _ = state.changed() => {}
            }
        }
    }

    fn expire(&self) {
        tracing::error!(
            "the SVID of the Workload API expired, and no other came: nothing of it is used any longer"
        );
        self.state.send_modify(|state| {
            state.material = None;
            state.problem = Some("the SVID expired, and no other came".to_owned());
        });
        self.expired.notify_waiters();
    }
}

impl End {
    fn of(error: &WorkloadApiError) -> Self {
        match error {
            WorkloadApiError::NoIdentityIssued | WorkloadApiError::PermissionDenied(_) => {
                Self::Denied(text(error))
            }
            error => Self::Gone(text(error)),
        }
    }

    fn closed() -> Self {
        Self::Gone("the agent closed the stream".to_owned())
    }
}

/// Whether it is an answer of gRPC's or of the network's, and not about what is in a message.
fn ends_stream(error: &WorkloadApiError) -> bool {
    matches!(
        error,
        WorkloadApiError::NoIdentityIssued
            | WorkloadApiError::PermissionDenied(_)
            | WorkloadApiError::Transport(_)
    )
}

fn text(error: &WorkloadApiError) -> String {
    printable(&with_causes(error), MAXIMUM_TEXT)
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}
