//! Clients that come no further than the handshake, and what the audit says of them.

use portcullis_engine::Handshake;
use portcullis_gate::{AuditRecord, AuditVerdict, GateOptions};
use rustls::AlertDescription;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Credentials, Running, VERSIONS, accept, by_name};

fn assert_failed(record: &AuditRecord, code: &str, alert: Option<&str>) {
    assert_eq!(record.verdict, AuditVerdict::Failed, "{record:?}");
    assert_eq!(record.code.as_deref(), Some(code), "{record:?}");
    assert_eq!(record.alert, alert, "{record:?}");
}

fn must_not_be_asked(_: &Handshake) -> portcullis_engine::Decision {
    unreachable!("the judge is asked about certificates that do not parse")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_is_told_that_one_is_required() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    for version in VERSIONS {
        let alert = gate.stranger(version).alert().await;
        assert_eq!(alert, AlertDescription::CertificateRequired);
        let record = gate.record().await;
        assert_failed(&record, "no-certificate", Some("certificate_required"));
        assert!(record.certificate.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_elses_certificate_is_not_accepted() {
    let (mut gate, mut served) = Running::greeting(GateOptions::default(), by_name).await;
    let (good, thief) = (Credentials::new("good"), Credentials::new("thief"));
    for version in VERSIONS {
        let client = gate.forger(version, good.chain.clone(), &thief);
        assert_eq!(client.alert().await, AlertDescription::DecryptError);
        let record = gate.record().await;
        assert_failed(&record, "bad-client-signature", Some("decrypt_error"));
        assert!(record.principal.is_none(), "the judge accepted, and that must not show");
        assert!(record.certificate.is_some(), "whose certificate it was");
    }
    assert!(served.try_recv().is_err(), "nobody was served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_parse_is_rejected_unasked() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), must_not_be_asked).await;
    let key = Credentials::new("good");
    for version in VERSIONS {
        let garbage = vec![CertificateDer::from(b"\x30\x03garbage".to_vec())];
        let client = gate.forger(version, garbage, &key);
        assert_eq!(client.alert().await, AlertDescription::BadCertificate);
        let record = gate.record().await;
        assert_eq!(record.verdict, AuditVerdict::Rejected);
        assert_eq!(record.code.as_deref(), Some("bad-certificate"));
        assert!(record.policies.is_empty() && record.policy.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_certificates_are_judged_and_seventeen_are_not() {
    let judge = |handshake: &Handshake| {
        assert_eq!(handshake.chain.len(), 16);
        accept()
    };
    let (mut gate, _served) = Running::greeting(GateOptions::default(), judge).await;
    let good = Credentials::new("good");
    for version in VERSIONS {
        let client = gate.forger(version, vec![good.chain[0].clone(); 16], &good);
        client.visit().await.expect("16 are welcome");
        assert_eq!(gate.record().await.verdict, AuditVerdict::Accepted);

        let client = gate.forger(version, vec![good.chain[0].clone(); 17], &good);
        assert_eq!(client.alert().await, AlertDescription::BadCertificate);
        assert_eq!(gate.record().await.code.as_deref(), Some("bad-certificate"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_closed() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    let mut tcp = gate.tcp().await;
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.expect("closed");
    assert_eq!(answer.first(), Some(&21), "an alert, and not HTTP: {answer:?}");
    assert_failed(&gate.record().await, "not-tls", Some("decode_error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_recorded() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    drop(gate.tcp().await);
    assert_failed(&gate.record().await, "disconnected", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_refuses_the_server_is_recorded() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    gate.identity.replace(Credentials::new("unknown").identity());
    for version in VERSIONS {
        let client = gate.client(version, &Credentials::new("good"));
        client.connect().await.expect_err("the server is not trusted");
        let record = gate.record().await;
        assert_failed(&record, "client-alert", None);
        assert!(record.detail.is_some_and(|detail| !detail.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_no_protocol_in_common_is_refused() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    for version in VERSIONS {
        let mut client = gate.client(version, &Credentials::new("good"));
        client.config.alpn_protocols = vec![b"gopher".to_vec()];
        assert_eq!(client.alert().await, AlertDescription::NoApplicationProtocol);
        let record = gate.record().await;
        assert_failed(&record, "no-common-protocol", Some("no_application_protocol"));
    }
}
