//! Clients that came in, served by threads of their own.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use portcullis_gate::{ClientStream, Connection, Ended, GateOptions, Service, Workers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::support::{Credentials, Running, VERSIONS, by_name};

/// Says which thread it is on, and stays.
struct Teller;

impl Service for Teller {
    async fn serve(&self, mut stream: ClientStream, _: Arc<Connection>, _: CancellationToken) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let _ = stream.write_all(name.as_bytes()).await;
        let _ = stream.flush().await;
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_goes_to_the_thread_with_the_fewest_and_is_cut_with_the_gate() {
    let workers = Workers::start(NonZeroUsize::new(2).expect("two")).expect("threads");
    let options =
        GateOptions { shutdown_timeout: Duration::from_millis(50), ..GateOptions::default() };
    let gate = Running::start(options, by_name, workers.serving(Teller)).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    let mut streams = Vec::new();
    let mut threads = Vec::new();
    for _ in 0..4 {
        let mut stream = client.connect().await.expect("came in");
        let mut name = [0; "serve-0".len()];
        stream.read_exact(&mut name).await.expect("is served");
        threads.push(String::from_utf8(name.to_vec()).expect("a name"));
        streams.push(stream);
    }
    threads.sort_unstable();
    assert_eq!(threads, ["serve-1", "serve-1", "serve-2", "serve-2"]);

    gate.shutdown.cancel();
    for mut stream in streams {
        stream.read_to_end(&mut Vec::new()).await.expect_err("cut without a close_notify");
    }
    assert_eq!(gate.ended.await.expect("a task"), Ended::Aborted { connections: 4 });
}

/// Panics at once.
struct Broken;

impl Service for Broken {
    async fn serve(&self, _: ClientStream, _: Arc<Connection>, _: CancellationToken) {
        std::panic::resume_unwind(Box::new("for a test"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_panics_takes_its_own_connection_with_it_only() {
    let workers = Workers::start(NonZeroUsize::MIN).expect("a thread");
    let gate = Running::start(GateOptions::default(), by_name, workers.serving(Broken)).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    for _ in 0..2 {
        client.visit().await.expect_err("broken off");
    }
    gate.shutdown.cancel();
    assert_eq!(gate.ended.await.expect("a task"), Ended::Drained);
}
