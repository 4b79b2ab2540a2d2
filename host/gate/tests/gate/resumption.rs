//! A resumed session is not a way around the judge.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis_engine::Handshake;
use portcullis_gate::{AuditVerdict, GateOptions, Resumption};
use rustls::HandshakeKind;

use crate::support::{Credentials, GREETING, Running, VERSIONS, accept, reject};

/// A judge whose mind can be changed, and who counts.
#[derive(Default)]
struct Mind {
    rejects: AtomicBool,
    asked: AtomicUsize,
}

impl Mind {
    fn judge(self: &Arc<Self>) -> impl Fn(&Handshake) -> portcullis_engine::Decision + use<> {
        let mind = Arc::clone(self);
        move |handshake| {
            assert_eq!(handshake.chain[0].subject(), "CN=good");
            mind.asked.fetch_add(1, Ordering::SeqCst);
            if mind.rejects.load(Ordering::SeqCst) { reject("revoked") } else { accept() }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_every_handshake_is_a_full_one() {
    let mind = Arc::new(Mind::default());
    let (gate, _served) = Running::greeting(GateOptions::default(), mind.judge()).await;
    for version in VERSIONS {
        let client = gate.client(version, &Credentials::new("good"));
        for _ in 0..2 {
            let visit = client.visit().await.expect("came in");
            assert_eq!(visit.tls.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(visit.tls.tls13_tickets_received(), 0);
        }
    }
    assert_eq!(mind.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_is_judged_again() {
    let mind = Arc::new(Mind::default());
    let options = GateOptions { resumption: Resumption::Rejudged, ..GateOptions::default() };
    let (mut gate, mut served) = Running::greeting(options, mind.judge()).await;
    for version in VERSIONS {
        mind.rejects.store(false, Ordering::SeqCst);
        mind.asked.store(0, Ordering::SeqCst);
        let mut client = gate.client(version, &Credentials::new("good"));
        client.config.enable_early_data = true;

        let full = client.visit().await.expect("came in");
        assert_eq!(full.tls.handshake_kind(), Some(HandshakeKind::Full));
        assert!(!gate.record().await.resumed);
        served.recv().await.expect("served");

        let resumed = client.visit().await.expect("came in");
        assert_eq!(resumed.tls.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(resumed.heard, GREETING);
        assert!(!resumed.tls.is_early_data_accepted());
        assert_eq!(mind.asked.load(Ordering::SeqCst), 2);
        let record = gate.record().await;
        assert!(record.resumed && record.verdict == AuditVerdict::Accepted);
        let connection = served.recv().await.expect("served");
        assert!(connection.resumed && connection.certificates.len() == 1);

        mind.rejects.store(true, Ordering::SeqCst);
        let refused = client.visit().await.expect("the handshake itself is complete");
        assert_eq!(refused.tls.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(refused.heard, b"", "the ticket gets it nothing");
        let record = gate.record().await;
        assert!(record.resumed && record.verdict == AuditVerdict::Rejected);
        assert_eq!(record.code.as_deref(), Some("revoked"));
        assert_eq!(record.alert, None, "TLS has none to send by then");
        assert_eq!(record.certificate.expect("the stored one").subject, "CN=good");
        assert!(served.try_recv().is_err(), "nobody was served");
    }
}

/// Without the key, a full handshake with the good certificate fails, and leaves nothing to resume.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_failed_leaves_no_session() {
    let mind = Arc::new(Mind::default());
    let options = GateOptions { resumption: Resumption::Rejudged, ..GateOptions::default() };
    let (mut gate, _served) = Running::greeting(options, mind.judge()).await;
    let (good, thief) = (Credentials::new("good"), Credentials::new("thief"));
    for version in VERSIONS {
        let client = gate.forger(version, good.chain.clone(), &thief);
        for _ in 0..2 {
            client.visit().await.expect_err("cannot sign");
            let record = gate.record().await;
            assert!(!record.resumed);
            assert_eq!(record.code.as_deref(), Some("bad-client-signature"));
        }
    }
}
