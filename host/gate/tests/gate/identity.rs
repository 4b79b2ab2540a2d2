//! The server's certificate changes while the gate runs.

use portcullis_gate::GateOptions;

use crate::support::{Client, Credentials, Running, VERSIONS, by_name, client_builder};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_client_sees_the_new_certificate() {
    let (gate, _served) = Running::greeting(GateOptions::default(), by_name).await;
    let (renewed, good) = (Credentials::new("renewed"), Credentials::new("good"));
    for version in VERSIONS {
        let config = client_builder(version, &renewed)
            .with_client_auth_cert(good.chain.clone(), good.key.clone_key())
            .expect("a client certificate");
        let client = Client::new(gate.address, config);
        client.visit().await.expect_err("the old certificate is in force");
        let old = gate.identity.current();
        gate.identity.replace(renewed.identity());
        client.visit().await.expect("the new certificate is in force");
        gate.identity.replace((*old).clone());
    }
}
