//! Threads that serve the clients that came in.
//!
//! A connection stays with one thread, and so does all that its requests start. On a runtime that moves tasks between its
//! threads, each answer of a server wakes another thread, which costs more than the request.

use std::io;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinError;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::connection::{Connection, Service};
use crate::tls::ClientStream;

/// Threads with a runtime of its own each. Clones are the same threads; they end with the last one.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Inner>);

/// A service whose connections are served by [`Workers`].
pub struct OnWorkers<S> {
    workers: Workers,
    service: Arc<S>,
}

#[derive(Debug)]
struct Inner {
    workers: Vec<Worker>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts as many threads.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread, or what its runtime needs.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let end = CancellationToken::new();
        let start = |number: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, end) = (runtime.handle().clone(), end.clone());
            let thread = thread::Builder::new().name(format!("serve-{number}"));
            thread.spawn(move || runtime.block_on(end.cancelled()))?;
            Ok(Worker { runtime: handle, connections: Arc::default() })
        };
        let workers = (1..=count.get()).map(start).collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(Inner { workers, _end: end.drop_guard() })))
    }

    /// The service, on these threads.
    #[must_use]
    pub fn serving<S: Service>(&self, service: S) -> OnWorkers<S> {
        OnWorkers { workers: self.clone(), service: Arc::new(service) }
    }

    /// Runs this on the thread that has the fewest connections. Dropping the future ends it.
    async fn run(&self, serving: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let count = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.0.workers.iter().min_by_key(count) else { return };
        let place = Place::take(&worker.connections);
        let served = worker.runtime.spawn(async move {
            serving.await;
            drop(place);
        });
        if let Err(error) = AbortOnDropHandle::new(served).await {
            go_on_panicking(error);
        }
    }
}

impl<S: Service> Service for OnWorkers<S> {
    async fn serve(
        &self,
        mut stream: ClientStream,
        connection: Arc<Connection>,
        shutdown: CancellationToken,
    ) {
        let service = Arc::clone(&self.service);
        // Boxed, or it would take its place twice: here and there.
        let serving = Box::pin(async move {
            match stream.register_here() {
                Ok(()) => service.serve(stream, connection, shutdown).await,
                // Out of file descriptors, most likely.
                Err(error) => {
                    let id = connection.id;
                    tracing::warn!(connection = id, %error, "a client that came in cannot be served");
                }
            }
        });
        self.workers.run(serving).await;
    }

    fn expelled(&self, connection: &Connection) {
        self.service.expelled(connection);
    }
}

/// One connection in a worker's count, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic of the service is the connection's, whichever thread it ran on.
fn go_on_panicking(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        resume_unwind(panic);
    }
}
