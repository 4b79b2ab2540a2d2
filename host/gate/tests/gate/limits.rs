//! What bounds the clients that are many, slow or both.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use portcullis_engine::Handshake;
use portcullis_gate::{AuditVerdict, ClientStream, Connection, GateOptions, Judge, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Credentials, GREETING, Running, VERSIONS, accept, by_name, reject};

/// A service that keeps its clients until the shutdown.
struct Keeper;

impl Service for Keeper {
    async fn serve(
        &self,
        mut stream: ClientStream,
        _: std::sync::Arc<Connection>,
        shutdown: CancellationToken,
    ) {
        let _ = stream.write_all(GREETING).await;
        let _ = stream.flush().await;
        let mut ignored = [0];
        tokio::select! {
            _ = stream.read(&mut ignored) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_cut() {
    let options =
        GateOptions { handshake_timeout: Duration::from_millis(50), ..GateOptions::default() };
    let (mut gate, _served) = Running::greeting(options, by_name).await;
    let mut tcp = gate.tcp().await;
    assert_eq!(tcp.read(&mut [0]).await.ok(), Some(0), "the gate closes");
    let record = gate.record().await;
    assert_eq!(record.verdict, AuditVerdict::Failed);
    assert_eq!(record.code.as_deref(), Some("handshake-timeout"));
    assert_eq!(record.detail.as_deref(), Some("no ClientHello after 50ms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_after_its_hello_is_cut() {
    let options =
        GateOptions { handshake_timeout: Duration::from_millis(500), ..GateOptions::default() };
    let (mut gate, _served) = Running::greeting(options, by_name).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let mut tls = rustls::ClientConnection::new(client.config.into(), name).expect("a client");
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).expect("a ClientHello");
    let mut tcp = gate.tcp().await;
    tcp.write_all(&hello).await.expect("sent");
    let mut answer = Vec::new();
    // A reset is a close as well.
    let _ = tcp.read_to_end(&mut answer).await;
    let record = gate.record().await;
    assert_eq!(record.code.as_deref(), Some("handshake-timeout"));
    assert_eq!(record.server_name.as_deref(), Some("localhost"), "known from the hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_beyond_the_limit_is_closed_until_one_leaves() {
    let options = GateOptions { maximum_connections: 1, ..GateOptions::default() };
    let mut gate = Running::start(options, by_name, Keeper).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    let mut first = client.connect().await.expect("came in");
    first.read_exact(&mut [0; GREETING.len()]).await.expect("is served");
    assert_eq!(gate.record().await.verdict, AuditVerdict::Accepted);

    client.connect().await.expect_err("the gate is full");
    let record = gate.record().await;
    assert_eq!(record.verdict, AuditVerdict::Failed);
    assert_eq!(record.code.as_deref(), Some("too-many-connections"));

    drop(first);
    // Until the gate has noticed, it is full; each attempt ends one way or the other.
    while client.connect().await.is_err() {
        let record = gate.record().await;
        assert_eq!(record.code.as_deref(), Some("too-many-connections"));
    }
    assert_eq!(gate.record().await.verdict, AuditVerdict::Accepted);
}

/// Counts who is inside, and holds everyone until two are.
#[derive(Default)]
struct Room {
    inside: Mutex<Count>,
    changed: Condvar,
}

#[derive(Default)]
struct Count {
    now: usize,
    most: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_handshakes_than_permits_are_under_way() {
    static ROOM: std::sync::LazyLock<Room> = std::sync::LazyLock::new(Room::default);
    let judge = |_: &Handshake| {
        let mut count = ROOM.inside.lock().expect("a lock");
        count.now += 1;
        count.most = count.most.max(count.now);
        ROOM.changed.notify_all();
        let mut count = ROOM.changed.wait_while(count, |count| count.most < 2).expect("a lock");
        count.now -= 1;
        accept()
    };
    let options = GateOptions { maximum_handshakes: 2, ..GateOptions::default() };
    let (gate, _served) = Running::greeting(options, judge).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        clients.spawn(async move { client.visit().await.map(|visit| visit.heard) });
    }
    for heard in clients.join_all().await {
        assert_eq!(heard.expect("came in after a wait"), GREETING);
    }
    assert_eq!(ROOM.inside.lock().expect("a lock").most, 2);
}

/// A judge who holds the client `slow` until it is released, or loses patience.
fn held_by_the_slow()
-> (impl Judge, tokio::sync::mpsc::UnboundedReceiver<()>, std::sync::mpsc::Sender<()>) {
    let (asked, is_asked) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let judge = move |handshake: &Handshake| {
        if handshake.chain[0].subject() != "CN=slow" {
            return accept();
        }
        let _ = asked.send(());
        match released.lock().expect("a lock").recv_timeout(Duration::from_secs(20)) {
            Ok(()) => accept(),
            Err(_) => reject("not-released"),
        }
    };
    (judge, is_asked, release)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_in_vain_for_a_permit_is_recorded() {
    let options = GateOptions {
        maximum_handshakes: 1,
        handshake_timeout: Duration::from_secs(1),
        ..GateOptions::default()
    };
    let (judge, mut is_asked, release) = held_by_the_slow();
    let (mut gate, _served) = Running::greeting(options, judge).await;
    let slow = gate.client(VERSIONS[1], &Credentials::new("slow"));
    let slow = tokio::spawn(async move { slow.visit().await.map(|visit| visit.heard) });
    is_asked.recv().await.expect("the judge is asked");
    let quick = gate.client(VERSIONS[1], &Credentials::new("quick"));
    quick.connect().await.expect_err("no permit is left");
    let record = gate.record().await;
    assert_eq!(record.verdict, AuditVerdict::Failed);
    assert_eq!(record.code.as_deref(), Some("too-many-handshakes"));
    release.send(()).expect("the judge waits");
    slow.await.expect("a task").expect("nothing was missing but the judge's answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_judge_starves_nobody() {
    let (judge, mut is_asked, release) = held_by_the_slow();
    let (gate, _served) = Running::greeting(GateOptions::default(), judge).await;
    let slow = gate.client(VERSIONS[1], &Credentials::new("slow"));
    let slow = tokio::spawn(async move { slow.visit().await.map(|visit| visit.heard) });
    is_asked.recv().await.expect("the judge is asked");
    let quick = gate.client(VERSIONS[1], &Credentials::new("quick"));
    assert_eq!(quick.visit().await.expect("came in").heard, GREETING);
    release.send(()).expect("the judge waits");
    assert_eq!(slow.await.expect("a task").expect("came in"), GREETING);
}

#[tokio::test(flavor = "current_thread")]
async fn a_runtime_with_one_thread_works_as_well() {
    let (gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("good"));
    assert_eq!(client.visit().await.expect("came in").heard, GREETING);
}
