//! What the record, and the service, are told of a client that came in.

use std::time::Duration;

use portcullis_engine::{Decision, Handshake, Outcome, PolicyReport};
use portcullis_gate::{AuditVerdict, GateOptions, TlsVersion};

use crate::support::{Credentials, GREETING, Running, VERSIONS, accept, by_name};

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_client_is_described() {
    let (mut gate, mut served) = Running::greeting(GateOptions::default(), by_name).await;
    for (version, expected) in VERSIONS.into_iter().zip([TlsVersion::Tls12, TlsVersion::Tls13]) {
        let mut client = gate.client(version, &Credentials::new("good"));
        client.config.alpn_protocols = vec![b"http/1.1".to_vec()];
        assert_eq!(client.visit().await.expect("came in").heard, GREETING);

        let record = gate.record().await;
        assert_eq!(record.verdict, AuditVerdict::Accepted);
        assert_eq!(record.tls_version, Some(expected));
        assert_eq!(record.server_name.as_deref(), Some("localhost"));
        assert_eq!(record.alpn.as_deref(), Some("http/1.1"));
        assert_eq!(record.principal.as_deref(), Some("good"));
        assert_eq!(record.certificate.expect("a certificate").subject, "CN=good");
        assert!(!record.resumed && record.code.is_none() && record.alert.is_none());

        let connection = served.recv().await.expect("served");
        assert_eq!(connection.id, record.connection);
        assert_eq!(connection.peer_address, record.peer_address);
        assert_eq!(connection.tls_version, expected);
        assert_eq!(connection.certificates.len(), 1);
        assert_eq!(connection.standing().identity.principal.as_deref(), Some("good"));
        assert!(connection.standing().decision.is_accepted() && !connection.resumed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policys_part_is_recorded_as_json() {
    let judge = |_: &Handshake| {
        let report = PolicyReport {
            policy: "pins".to_owned(),
            digest: "00ff".to_owned(),
            shadow: true,
            outcome: Outcome::Rejected {
                code: "not-pinned".to_owned(),
                detail: "two\nlines".to_owned(),
            },
            revocation: Vec::new(),
            log: Vec::new(),
            elapsed: Duration::from_micros(7),
            memory_bytes: 0,
        };
        Decision { policies: vec![report], ..accept() }
    };
    let (mut gate, _served) = Running::greeting(GateOptions::default(), judge).await;
    gate.client(VERSIONS[1], &Credentials::new("good")).visit().await.expect("came in");
    let record = serde_json::to_value(gate.record().await).expect("JSON");
    assert_eq!(record["verdict"], "accepted");
    assert_eq!(record["tls_version"], "1.3");
    assert_eq!(
        record["policies"],
        serde_json::json!([{
            "policy": "pins", "digest": "00ff", "shadow": true, "outcome": "rejected",
            "code": "not-pinned", "detail": "two\\nlines", "elapsed_us": 7,
        }])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_cannot_forge_a_line_of_the_log() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    let forged = Credentials::new("x\nverdict=accepted");
    gate.client(VERSIONS[1], &forged).visit().await.expect_err("rejected");
    let subject = gate.record().await.certificate.expect("a certificate").subject;
    assert!(!subject.contains('\n'), "{subject}");
}
