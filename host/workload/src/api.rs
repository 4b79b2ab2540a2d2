//! The handle on what the agent gives.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::address::Address;
use crate::choice::Choice;
use crate::conversation::Conversation;
use crate::material::Material;
use crate::state::State;

/// What the agent gives, kept current. The last copy to be dropped ends the stream.
#[derive(Clone, Debug)]
pub struct WorkloadApi {
    state: watch::Receiver<State>,
    runtime: Handle,
    _conversation: Arc<AbortOnDropHandle<()>>,
}

/// The agent gave nothing to start with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Workload API gave no SVID within {} ms: {problem}", patience.as_millis())]
pub struct NotReady {
    patience: Duration,
    problem: String,
}

impl WorkloadApi {
    /// Starts to talk to the agent, whether or not it is there already. Within a runtime.
    #[must_use]
    pub fn start(address: Address, choice: Choice, clock: Clock) -> Self {
        let (sender, state) = watch::channel(State::new(clock.now()));
        let conversation = Conversation::new(address, choice, clock, sender);
        let task = tokio::spawn(async move { conversation.run().await });
        Self {
            state,
            runtime: Handle::current(),
            _conversation: Arc::new(AbortOnDropHandle::new(task)),
        }
    }

    /// Waits for the first message that can be used.
    ///
    /// # Errors
    ///
    /// When none came within `patience`: what was wrong last.
    pub async fn ready(&self, patience: Duration) -> Result<Arc<Material>, NotReady> {
        let mut state = self.state.clone();
        let wait = state.wait_for(|state| state.material.is_some());
        let ready = tokio::time::timeout(patience, wait).await;
        let material = ready.ok().and_then(|state| state.ok()?.material.clone());
        material.ok_or_else(|| NotReady { patience, problem: self.why_not() })
    }

    /// What may be used at this moment.
    #[must_use]
    pub fn material(&self) -> Option<Arc<Material>> {
        self.state.borrow().material.clone()
    }

    /// Why nothing may be used, when that is so.
    #[must_use]
    pub fn why_not(&self) -> String {
        let problem = self.state.borrow().problem.clone();
        problem.unwrap_or_else(|| "the Workload API has not answered yet".to_owned())
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether both are copies of one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self._conversation, &other._conversation)
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// How it stands from now on. Every change counts, not only those of the material.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
}
