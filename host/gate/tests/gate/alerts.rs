//! Which alert a client receives for each code, read by a client in both versions of TLS.

use portcullis_gate::{AuditVerdict, GateOptions, alert_for};
use rustls::AlertDescription::{
    self, AccessDenied, BadCertificate, CertificateExpired, CertificateRevoked, CertificateUnknown,
    DecryptError, UnknownCA, UnsupportedCertificate,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Credentials, Running, VERSIONS, by_name};

const TABLE: [(&str, AlertDescription, &str); 23] = [
    ("bad-certificate", BadCertificate, "bad_certificate"),
    ("bad-signature", DecryptError, "decrypt_error"),
    ("ca-as-leaf", UnsupportedCertificate, "unsupported_certificate"),
    ("expired", CertificateExpired, "certificate_expired"),
    ("lifetime-too-long", CertificateUnknown, "certificate_unknown"),
    ("name-not-permitted", BadCertificate, "bad_certificate"),
    ("not-pinned", AccessDenied, "access_denied"),
    ("not-yet-valid", CertificateExpired, "certificate_expired"),
    ("path-too-long", UnknownCA, "unknown_ca"),
    ("pin-expired", CertificateExpired, "certificate_expired"),
    ("policy-failed", AccessDenied, "access_denied"),
    ("policy-memory", AccessDenied, "access_denied"),
    ("policy-timeout", AccessDenied, "access_denied"),
    ("policy-trapped", AccessDenied, "access_denied"),
    ("principal-conflict", AccessDenied, "access_denied"),
    ("revocation-unknown", UnknownCA, "unknown_ca"),
    ("revoked", CertificateRevoked, "certificate_revoked"),
    ("something-new", AccessDenied, "access_denied"),
    ("unknown-critical-extension", BadCertificate, "bad_certificate"),
    ("unknown-issuer", UnknownCA, "unknown_ca"),
    ("unsupported-signature-algorithm", DecryptError, "decrypt_error"),
    ("weak-key", CertificateUnknown, "certificate_unknown"),
    ("wrong-usage", UnsupportedCertificate, "unsupported_certificate"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_code_reaches_the_client_as_its_alert() {
    let (mut gate, mut served) = Running::greeting(GateOptions::default(), by_name).await;
    for version in VERSIONS {
        for (code, alert, name) in TABLE {
            let client = gate.client(version, &Credentials::new(code));
            assert_eq!(client.alert().await, alert, "{code} in {version:?}");
            let record = gate.record().await;
            assert_eq!(record.verdict, AuditVerdict::Rejected);
            assert_eq!(record.code.as_deref(), Some(code));
            assert_eq!(record.policy.as_deref(), Some("test"));
            assert_eq!(record.alert, Some(name));
            assert_eq!(alert_for(code), name);
        }
    }
    assert!(served.try_recv().is_err(), "nobody was served");
}

/// A socket that is closed while bytes wait to be read resets the connection. A client that is
/// still sending then sees the reset and not the alert.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_sending_hears_the_alert() {
    let (mut gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    let client = gate.client(VERSIONS[1], &Credentials::new("revoked"));
    for _ in 0..5 {
        let mut stream = client.connect().await.expect("in TLS 1.3 the client is done first");
        stream.write_all(&[b'x'; 8 * 1024]).await.expect("sent");
        gate.record().await;
        for _ in 0..3 {
            stream.write_all(&[b'x'; 8 * 1024]).await.expect("sent, though rejected meanwhile");
            stream.flush().await.expect("sent, though rejected meanwhile");
        }
        let error = stream.read(&mut [0]).await.expect_err("sent away");
        assert!(error.to_string().contains("CertificateRevoked"), "{error}");
    }
}
