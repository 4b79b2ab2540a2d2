//! Where a policy's configured instances come from, each for one evaluation.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use wasmtime::Store;

use crate::bindings::{PolicyWorld, PolicyWorldPre, handshakes};
use crate::engine::{self, Engine};
use crate::host::CallState;
use crate::limits::PolicyLimits;
use crate::load::Preparation;

/// Instances of one policy that are kept configured: a few, for clients that come together.
const READY: usize = 4;

/// A policy's supply of instances.
pub(crate) enum Instances {
    /// Each starts from the memory that `configure` left.
    Snapshot(PolicyWorldPre<CallState>),
    /// Each was configured on its own, most of them ahead of need.
    ReadyAhead(Arc<Shelf>),
}

/// An instance with its store; or what became of it, when it could not be made or its `configure` said no.
pub(crate) type Made = (Store<CallState>, wasmtime::Result<Result<PolicyWorld, String>>);

impl Instances {
    pub(crate) fn preparation(&self) -> Preparation {
        match self {
            Self::Snapshot(_) => Preparation::Snapshot,
            Self::ReadyAhead(_) => Preparation::ReadyAhead,
        }
    }

    /// An instance that nobody has used, to be evaluated within the limits' deadline from now.
    pub(crate) fn take(&self, limits: &PolicyLimits) -> Made {
        match self {
            Self::Snapshot(world) => {
                let state = CallState::new(limits.memory_bytes);
                let mut store = engine::store(world.engine(), state, limits.deadline);
                let world = world.instantiate(&mut store).map(Ok);
                (store, world)
            }
            Self::ReadyAhead(shelf) => {
                let (mut store, world) = shelf.take();
                engine::set_deadline(&mut store, limits.deadline);
                (store, world)
            }
        }
    }
}

/// What `configure` is called with.
pub(crate) struct Configuration {
    pub(crate) settings: String,
    pub(crate) assets: Vec<handshakes::Asset>,
}

/// Instances of one policy, configured ahead of need.
pub(crate) struct Shelf {
    world: PolicyWorldPre<CallState>,
    configuration: Configuration,
    limits: PolicyLimits,
    /// Where more are asked for; none where none are made ahead.
    requests: Option<Sender<Weak<Shelf>>>,
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    ready: Vec<(Store<CallState>, PolicyWorld)>,
    /// How many were asked for and are not there yet.
    asked: usize,
}

impl Shelf {
    /// An empty shelf, to be filled from now on.
    pub(crate) fn new(
        engine: &Engine,
        world: PolicyWorldPre<CallState>,
        configuration: Configuration,
        limits: PolicyLimits,
    ) -> Arc<Self> {
        let requests = engine.requests();
        let shelf =
            Arc::new(Self { world, configuration, limits, requests, stock: Mutex::default() });
        shelf.refill(&mut shelf.stock());
        shelf
    }

    fn take(self: &Arc<Self>) -> Made {
        let mut stock = self.stock();
        let ready = stock.ready.pop();
        self.refill(&mut stock);
        drop(stock);
        match ready {
            Some((store, world)) => (store, Ok(Ok(world))),
            // By time, a client that has to wait for `configure` waits no longer than for a judgement. By work, a verdict
            // must not depend on whether an instance was ready.
            None if self.requests.is_some() => self.make(self.limits.deadline),
            None => self.make(self.limits.configure_deadline),
        }
    }

    /// Asks for what is missing.
    fn refill(self: &Arc<Self>, stock: &mut Stock) {
        let Some(requests) = &self.requests else { return };
        while stock.ready.len() + stock.asked < READY && requests.send(Arc::downgrade(self)).is_ok()
        {
            stock.asked += 1;
        }
    }

    fn make(&self, deadline: Duration) -> Made {
        let state = CallState::new(self.limits.memory_bytes);
        let mut store = engine::store(self.world.engine(), state, deadline);
        let made = self.world.instantiate(&mut store).and_then(|world| {
            let Configuration { settings, assets } = &self.configuration;
            Ok(world.call_configure(&mut store, settings, assets)?.map(|()| world))
        });
        (store, made)
    }

    fn stock(&self) -> std::sync::MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes what is asked for, one after the other, until nobody is left who could ask. A shelf that is gone gets nothing.
pub(crate) fn make_ahead(requests: &Receiver<Weak<Shelf>>) {
    for shelf in requests.iter() {
        let Some(shelf) = shelf.upgrade() else { continue };
        let made = shelf.make(shelf.limits.configure_deadline);
        let mut stock = shelf.stock();
        stock.asked -= 1;
        // What went wrong shows in the next decision, which configures an instance of its own.
        if let (store, Ok(Ok(world))) = made {
            stock.ready.push((store, world));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::mpsc;

    use super::make_ahead;

    #[test]
    fn nothing_is_made_for_a_policy_that_is_gone_nor_once_nobody_can_ask() {
        let (requests, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || make_ahead(&receiver));
        requests.send(Weak::new()).unwrap();
        drop(requests);
        thread.join().unwrap();
    }
}
