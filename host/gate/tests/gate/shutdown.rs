//! How a gate stops.

use std::sync::Arc;
use std::time::Duration;

use portcullis_gate::{ClientStream, Connection, Ended, GateOptions, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::support::{Credentials, GREETING, Running, VERSIONS, by_name};

/// On shutdown, waits for one more word of its client and says goodbye; or never ends.
struct Worker {
    obedient: bool,
}

impl Service for Worker {
    async fn serve(
        &self,
        mut stream: ClientStream,
        _: Arc<Connection>,
        shutdown: CancellationToken,
    ) {
        let _ = stream.write_all(GREETING).await;
        let _ = stream.flush().await;
        if self.obedient {
            shutdown.cancelled().await;
            let _ = stream.read(&mut [0]).await;
            let _ = stream.write_all(b", goodbye").await;
            let _ = stream.shutdown().await;
        } else {
            std::future::pending().await
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_finish_before_the_gate_ends() {
    let gate = Running::start(GateOptions::default(), by_name, Worker { obedient: true }).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    let mut stream = client.connect().await.expect("came in");
    stream.read_exact(&mut [0; GREETING.len()]).await.expect("is served");

    gate.shutdown.cancel();
    // Once nobody listens, the gate waits for its connections.
    while TcpStream::connect(gate.address).await.is_ok() {}
    stream.write_all(b"!").await.expect("still served");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("a proper end");
    assert_eq!(rest, b", goodbye");
    assert_eq!(gate.ended.await.expect("a task"), Ended::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_finish_is_cut() {
    let options =
        GateOptions { shutdown_timeout: Duration::from_millis(50), ..GateOptions::default() };
    let gate = Running::start(options, by_name, Worker { obedient: false }).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    let mut stream = client.connect().await.expect("came in");
    stream.read_exact(&mut [0; GREETING.len()]).await.expect("is served");

    gate.shutdown.cancel();
    stream.read_to_end(&mut Vec::new()).await.expect_err("cut without a close_notify");
    assert_eq!(gate.ended.await.expect("a task"), Ended::Aborted { connections: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_under_way_is_given_up() {
    let (mut gate, mut served) = Running::greeting(GateOptions::default(), by_name).await;
    // Silent clients are accepted in the order of their arrival: once the second has been recorded,
    // the first has its task as well.
    let mut silent = gate.tcp().await;
    gate.client(VERSIONS[1], &Credentials::new("good")).visit().await.expect("came in");
    gate.record().await;
    served.recv().await.expect("served");

    gate.shutdown.cancel();
    assert_eq!(silent.read(&mut [0]).await.ok(), Some(0), "the gate closes");
    assert_eq!(gate.record().await.code.as_deref(), Some("shutting-down"));
    assert_eq!(gate.ended.await.expect("a task"), Ended::Drained);
}
