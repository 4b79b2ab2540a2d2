//! A client that came in is judged again when its verdict may be another one, and goes at once if it is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_engine::{
    Clock, Decision, Handshake, Identity, Outcome, PolicyReport, RevocationAnswer, RevocationCheck,
    RevocationStatus, Verdict,
};
use portcullis_gate::{
    Cause, ClientStream, Concern, Connection, GateOptions, Judge, Rejudged, Service,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{Credentials, GREETING, Running, VERSIONS, accept, reject};

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// Greets, and then has its clients stay for as long as they want to. Tells of their ends.
struct Inn {
    served: mpsc::UnboundedSender<Arc<Connection>>,
    ends: mpsc::UnboundedSender<End>,
}

/// What a client leaves behind.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// What served it was dropped.
    Dropped(u64),
    Expelled(u64),
}

struct Guest(u64, mpsc::UnboundedSender<End>);

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.1.send(End::Dropped(self.0));
    }
}

impl Service for Inn {
    async fn serve(
        &self,
        mut stream: ClientStream,
        connection: Arc<Connection>,
        _: CancellationToken,
    ) {
        let _guest = Guest(connection.id, self.ends.clone());
        let _ = self.served.send(connection);
        let _ = stream.write_all(GREETING).await;
        let _ = stream.flush().await;
        let _ = stream.read(&mut [0]).await;
    }

    fn expelled(&self, connection: &Connection) {
        let _ = self.ends.send(End::Expelled(connection.id));
    }
}

/// A gate with an [`Inn`].
struct House {
    gate: Running,
    served: mpsc::UnboundedReceiver<Arc<Connection>>,
    ends: mpsc::UnboundedReceiver<End>,
}

impl House {
    async fn of(judge: impl Judge) -> Self {
        Self::with(Clock::system(), GateOptions::default(), judge).await
    }

    async fn with(clock: Clock, options: GateOptions, judge: impl Judge) -> Self {
        let ((connections, served), (sender, ends)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let inn = Inn { served: connections, ends: sender };
        Self { gate: Running::start_by(clock, options, judge, inn).await, served, ends }
    }

    /// A client of this name that was greeted, and what the gate knows of it.
    async fn guest(&mut self, name: &str) -> (Stream, Arc<Connection>) {
        let client = self.gate.client(VERSIONS[1], &Credentials::new(name));
        let mut stream = client.connect().await.expect("came in");
        stream.read_exact(&mut [0; GREETING.len()]).await.expect("is served");
        (stream, self.served.recv().await.expect("served"))
    }

    fn count(&self, cause: Cause, result: Rejudged) -> u64 {
        let mut counts = self.gate.live.rejudged();
        counts.find(|count| (count.0, count.1) == (cause, result)).expect("a count").2
    }

    /// Waits until so many were judged again for this cause.
    async fn rejudged(&self, cause: Cause, result: Rejudged, count: u64) {
        while self.count(cause, result) < count {
            tokio::task::yield_now().await;
        }
    }
}

fn name(handshake: &Handshake) -> String {
    handshake.chain[0].subject().trim_start_matches("CN=").to_owned()
}

fn accept_all(_: &Handshake) -> Decision {
    accept()
}

fn all_but(names: &'static [&'static str]) -> Arc<dyn Judge> {
    Arc::new(
        move |handshake: &Handshake| {
            if names.contains(&name(handshake).as_str()) { reject("revoked") } else { accept() }
        },
    )
}

/// The gate says that it closes, and closes.
async fn assert_closed(mut stream: Stream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("close_notify");
    assert_eq!(rest, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_that_replaces_another_closes_those_whom_it_rejects_and_no_others() {
    let mut house = House::of(accept_all).await;
    let (leaver, gone) = house.guest("leaver").await;
    let (_stayer, stays) = house.guest("stayer").await;
    assert_eq!(house.gate.live.count(), 2);

    house.gate.judge.replace(all_but(&["leaver"]));
    assert_closed(leaver).await;
    let record = house.gate.closed().await;
    assert_eq!((record.connection, record.cause), (gone.id, "policies"));
    assert_eq!((record.code.as_str(), record.policy.as_deref()), ("revoked", Some("test")));
    assert_eq!(record.certificate.expect("its own").subject, "CN=leaver");
    assert_eq!(record.principal.as_deref(), Some("good"));
    assert_eq!(house.ends.recv().await, Some(End::Dropped(gone.id)), "and all that served it");
    assert_eq!(house.ends.recv().await, Some(End::Expelled(gone.id)));

    house.rejudged(Cause::Policies, Rejudged::Kept, 1).await;
    assert_eq!(house.count(Cause::Policies, Rejudged::Closed), 1);
    assert_eq!(house.gate.live.count(), 1);
    assert!(house.ends.try_recv().is_err(), "{} is still served", stays.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_are_judged_again_whom_a_change_concerns() {
    let asked = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&asked);
    let judge = move |handshake: &Handshake| {
        seen.lock().expect("no panic").insert(name(handshake));
        accept()
    };
    let mut house = House::of(judge).await;
    let (_one, concerned) = house.guest("one").await;
    let (_other, _) = house.guest("other").await;
    asked.lock().expect("no panic").clear();
    house.gate.live.judge_again(Cause::Revocation, |connection| {
        if connection.id == concerned.id { Concern::Possibly } else { Concern::No }
    });
    house.rejudged(Cause::Revocation, Rejudged::Kept, 1).await;
    assert_eq!(*asked.lock().expect("no panic"), HashSet::from(["one".to_owned()]));
}

/// Its first decision takes until the test lets it go.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_whom_the_old_judge_lets_in_while_it_is_replaced_is_judged_again() {
    let (asked, arrivals) = std_mpsc::channel();
    let (release, released) = std_mpsc::channel::<()>();
    let (asked, released) = (Mutex::new(asked), Mutex::new(released));
    let judge = move |_: &Handshake| {
        asked.lock().expect("no panic").send(()).expect("a test");
        released.lock().expect("no panic").recv().expect("a test");
        accept()
    };
    let mut house = House::of(judge).await;
    let client = house.gate.client(VERSIONS[1], &Credentials::new("leaver"));
    let visit = tokio::spawn(async move { client.visit().await });
    tokio::task::block_in_place(|| arrivals.recv().expect("asked"));
    house.gate.judge.replace(all_but(&["leaver"]));
    assert_eq!(house.gate.live.count(), 0, "nobody was there to be judged again");
    release.send(()).expect("it waits");
    let record = house.gate.closed().await;
    assert_eq!((record.code.as_str(), record.cause), ("revoked", "policies"));
    visit.await.expect("a task").expect("an orderly end");
}

fn until(valid_until: i64) -> Decision {
    let identity = Identity {
        principal: Some("good".to_owned()),
        valid_until: Some(valid_until),
        ..Identity::default()
    };
    Decision { verdict: Verdict::Accept(identity), policies: Vec::new(), elapsed: Duration::ZERO }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_has_expired_is_asked_for_again() {
    let time = Arc::new(AtomicI64::new(1_000));
    let clock = {
        let time = Arc::clone(&time);
        Clock::from_fn(move || time.load(Ordering::SeqCst))
    };
    let judge = |handshake: &Handshake| match (name(handshake).as_str(), handshake.time) {
        ("short", 2_000..) => reject("expired"),
        ("short", _) => until(2_000),
        ("renewed", time) => until(time + 1_500),
        _ => until(3_000),
    };
    let mut house = House::with(clock, GateOptions::default(), judge).await;
    let (short, gone) = house.guest("short").await;
    let (_renewed, renewed) = house.guest("renewed").await;
    let (_long, _) = house.guest("long").await;
    time.store(2_500, Ordering::SeqCst);
    assert_closed(short).await;
    let record = house.gate.closed().await;
    assert_eq!((record.connection, record.cause), (gone.id, "expiry"));
    assert_eq!(record.code, "expired");
    house.rejudged(Cause::Expiry, Rejudged::Kept, 1).await;
    assert_eq!(renewed.standing().identity.valid_until, Some(4_000));
    assert_eq!(house.gate.live.count(), 2);
}

/// Lets everybody in, and has another answer for those whom it is asked about again.
struct Second<F>(F);

impl<F: Fn(&Handshake) -> Decision + Send + Sync + 'static> Judge for Second<F> {
    fn decide(&self, _: &Handshake) -> Decision {
        accept()
    }

    fn decide_again(&self, handshake: &Handshake) -> Decision {
        self.0(handshake)
    }
}

fn judge_all_again(house: &House) {
    house.gate.live.judge_again(Cause::Revocation, |_| Concern::Possibly);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_who_cannot_be_judged_goes() {
    let panics = Second(|_: &Handshake| unreachable!("on purpose"));
    let fails = Second(|_: &Handshake| reject("policy-trapped"));
    let mut houses = [House::of(panics).await, House::of(fails).await];
    for (house, code) in houses.iter_mut().zip(["policy-failed", "policy-trapped"]) {
        let (guest, _) = house.guest("guest").await;
        judge_all_again(house);
        assert_closed(guest).await;
        assert_eq!(house.gate.closed().await.code, code);
        assert_eq!(house.count(Cause::Revocation, Rejudged::Undecided), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_whose_turn_does_not_come_in_time_go() {
    let (release, released) = std_mpsc::channel::<()>();
    let released = Mutex::new(released);
    let stuck = Second(move |_: &Handshake| {
        // Until the test has ended.
        let _ = released.lock().expect("no panic").recv();
        accept()
    });
    let rejudge_timeout = Duration::from_millis(50);
    let options = GateOptions { rejudge_timeout, ..GateOptions::default() };
    let mut house = House::with(Clock::system(), options, stuck).await;
    let (one, _) = house.guest("one").await;
    let (other, _) = house.guest("other").await;
    judge_all_again(&house);
    assert_closed(one).await;
    assert_closed(other).await;
    for _ in 0..2 {
        assert_eq!(house.gate.closed().await.code, "not-judged-in-time");
    }
    assert_eq!(house.count(Cause::Revocation, Rejudged::Undecided), 2);
    drop(release);
}

/// A rejection by a policy that was told this about revocation.
fn told(status: RevocationStatus, pending: bool, handshake: &Handshake) -> Decision {
    let certificate = Arc::clone(&handshake.chain[0]);
    let answer = RevocationAnswer { status, pending, ..RevocationAnswer::unknown("for a test") };
    let check = RevocationCheck {
        subject: Arc::clone(&certificate),
        issuer: certificate,
        source: "ocsp".to_owned(),
        answer,
    };
    let rejected = reject("revocation-unknown");
    let report = PolicyReport {
        policy: "test".to_owned(),
        digest: String::new(),
        shadow: false,
        outcome: Outcome::Rejected { code: "revocation-unknown".to_owned(), detail: String::new() },
        revocation: vec![check],
        log: Vec::new(),
        elapsed: Duration::ZERO,
        memory_bytes: 0,
    };
    Decision { policies: vec![report], ..rejected }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_about_revocation_is_asked_about_again_and_may_stay() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let judge = Second(move |handshake: &Handshake| match count.fetch_add(1, Ordering::SeqCst) {
        0 => told(RevocationStatus::Unknown, true, handshake),
        _ => accept(),
    });
    let mut house = House::of(judge).await;
    let (_guest, _) = house.guest("guest").await;
    judge_all_again(&house);
    house.rejudged(Cause::Revocation, Rejudged::Kept, 1).await;
    assert_eq!((asked.load(Ordering::SeqCst), house.gate.live.count()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_to_be_revoked_waits_for_no_other_answer() {
    for (status, pending) in [(RevocationStatus::Revoked, true), (RevocationStatus::Unknown, false)]
    {
        let judge = Second(move |handshake: &Handshake| told(status, pending, handshake));
        let mut house = House::of(judge).await;
        let (guest, _) = house.guest("guest").await;
        judge_all_again(&house);
        assert_closed(guest).await;
        assert_eq!(house.gate.closed().await.policies.len(), 1);
        assert_eq!(house.count(Cause::Revocation, Rejudged::Closed), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_who_would_be_somebody_else_goes_and_one_with_other_attributes_stays() {
    let again = |handshake: &Handshake| {
        let principal = if name(handshake) == "other" { "other" } else { "good" };
        let attribute =
            portcullis_engine::Attribute { name: "team".to_owned(), value: "a".to_owned() };
        let identity = Identity {
            principal: Some(principal.to_owned()),
            attributes: vec![attribute],
            valid_until: None,
        };
        Decision {
            verdict: Verdict::Accept(identity),
            policies: Vec::new(),
            elapsed: Duration::ZERO,
        }
    };
    let mut house = House::of(Second(again)).await;
    let (_stays, connection) = house.guest("stays").await;
    let (other, _) = house.guest("other").await;
    let before = connection.standing();
    judge_all_again(&house);
    assert_closed(other).await;
    assert_eq!(house.gate.closed().await.code, "principal-changed");
    house.rejudged(Cause::Revocation, Rejudged::Kept, 1).await;
    assert!(before.identity.attributes.is_empty());
    assert_eq!(connection.standing().identity.attributes[0].value, "a");
}

/// The first to be judged again holds up the others until all are in line.
#[tokio::test(flavor = "multi_thread")]
async fn those_whom_a_change_certainly_concerns_come_before_the_others() {
    let (asked, order) = std_mpsc::channel();
    let (release, released) = std_mpsc::channel::<()>();
    let (asked, released) = (Mutex::new(asked), Mutex::new(released));
    let judge = Second(move |handshake: &Handshake| {
        asked.lock().expect("no panic").send(name(handshake)).expect("a test");
        let _ = released.lock().expect("no panic").recv();
        accept()
    });
    let mut house = House::of(judge).await;
    let mut streams = Vec::new();
    for name in ["first", "a", "b", "c"] {
        streams.push(house.guest(name).await);
    }
    let is = |connection: &Connection, name: &str| {
        connection.certificates[0].subject() == format!("CN={name}")
    };
    house.gate.live.judge_again(Cause::Policies, |connection| {
        if is(connection, "first") { Concern::Possibly } else { Concern::No }
    });
    assert_eq!(order.recv().expect("asked"), "first");
    house.gate.live.judge_again(Cause::Policies, |_| Concern::Possibly);
    house.gate.live.judge_again(Cause::Revocation, |connection| {
        if is(connection, "c") { Concern::Certainly } else { Concern::No }
    });
    drop(release);
    assert_eq!(order.recv().expect("asked"), "c");
    house.rejudged(Cause::Policies, Rejudged::Kept, 4).await;
    assert_eq!(house.count(Cause::Revocation, Rejudged::Kept), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_expelled_with_its_last_connection() {
    let refused = Arc::new(Mutex::new(HashSet::new()));
    let by_address = Arc::clone(&refused);
    let judge = Second(move |handshake: &Handshake| {
        let refused = by_address.lock().expect("no panic").contains(&handshake.peer_address);
        if refused { reject("not-allowed") } else { accept() }
    });
    let mut house = House::of(judge).await;
    let client = house.gate.client(VERSIONS[1], &Credentials::new("leaver"));
    let mut guests = Vec::new();
    for _ in 0..2 {
        let mut stream = client.connect().await.expect("came in");
        stream.read_exact(&mut [0; GREETING.len()]).await.expect("is served");
        guests.push((stream, house.served.recv().await.expect("served")));
    }
    for (is_last, (stream, connection)) in [false, true].into_iter().zip(guests) {
        refused.lock().expect("no panic").insert(connection.peer_address);
        judge_all_again(&house);
        assert_closed(stream).await;
        assert_eq!(house.ends.recv().await, Some(End::Dropped(connection.id)));
        if is_last {
            assert_eq!(house.ends.recv().await, Some(End::Expelled(connection.id)));
        }
    }
}

/// What a judge has held is what its newest decision wants held, until the client is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_verdict_needs_is_held_while_it_is_in_force() {
    struct Holding(Arc<()>);
    impl Judge for Holding {
        fn decide(&self, _: &Handshake) -> Decision {
            accept()
        }
        fn hold(&self, _: &Decision) -> Option<Box<dyn Send>> {
            Some(Box::new(Arc::clone(&self.0)))
        }
    }
    let (one, other) = (Arc::new(()), Arc::new(()));
    let mut house = House::of(Holding(Arc::clone(&one))).await;
    let (guest, connection) = house.guest("guest").await;
    assert_eq!(Arc::strong_count(&one), 3, "ours, the judge's and the client's");
    house.gate.judge.replace(Arc::new(Holding(Arc::clone(&other))));
    house.rejudged(Cause::Policies, Rejudged::Kept, 1).await;
    assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (1, 3));
    drop(guest);
    assert_eq!(house.ends.recv().await, Some(End::Dropped(connection.id)));
    while house.gate.live.count() > 0 {
        tokio::task::yield_now().await;
    }
    while Arc::strong_count(&other) > 2 {
        tokio::task::yield_now().await;
    }
}
