//! Lets connections in, as many as there may be, for as long as each may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// From a client's arrival to the end of its answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// Connections at the same time; more wait.
const MAXIMUM_CONNECTIONS: usize = 256;
/// For those that are inside, at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Has each connection served until `shutdown` is cancelled.
pub(super) async fn accept<F: Future + Send + 'static>(
    listener: TcpListener,
    shutdown: CancellationToken,
    converse: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let connections = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
    let inside = TaskTracker::new();
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = tokio::time::timeout(TIMEOUT, converse(stream, peer));
                inside.spawn(async move {
                    // A client that leaves, or is slow, is its own loss.
                    let _ = connection.await;
                    drop(permit);
                });
            }
            // Out of file descriptors, most likely: whoever asks comes again.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
    inside.close();
    // Whoever is not done by then asks again.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, inside.wait()).await;
}
