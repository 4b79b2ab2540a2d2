//! The baseline: the gate's own HTTP side behind rustls's own verifier, without policies.

use std::path::Path;
use std::sync::Arc;

use portcullis_engine::Certificate;
use portcullis_mcp::{Caller, CertificateFacts, McpService, Options};
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Serves until the process is ended. Prints where it listens, as the gate does.
pub(crate) fn serve(folder: &Path) {
    let config = config(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(accept(TlsAcceptor::from(Arc::new(config)), folder));
}

async fn accept(acceptor: TlsAcceptor, folder: &Path) {
    let mut options = Options::default();
    options.maximum_per_second = std::num::NonZeroU32::MAX;
    options.maximum_in_flight = usize::MAX >> 3;
    let service = McpService::new(options, Vec::new()).expect("the built-in server");
    let caller = Arc::new(caller(folder));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    println!("{{\"address\":\"{address}\"}}");
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let (acceptor, service, caller) = (acceptor.clone(), service.clone(), Arc::clone(&caller));
        tokio::spawn(async move {
            let _ = tcp.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(tcp).await {
                service.serve_connection(stream, caller, CancellationToken::new()).await;
            }
        });
    }
}

fn config(folder: &Path) -> ServerConfig {
    let file = |name: &str| std::fs::read(folder.join(name)).expect("a file of the bench");
    let certificates = |pem: &[u8]| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().expect("our own certificates")
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&file("clients-ca.pem")));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier");
    let key = PrivateKeyDer::from_pem_slice(&file("server.key")).expect("our own key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&file("server.pem")), key)
        .expect("our own certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// The same for everybody: who called is not worked out here.
fn caller(folder: &Path) -> Caller {
    let pem = std::fs::read(folder.join("clients-ca.pem")).expect("a file of the bench");
    let der = CertificateDer::from_pem_slice(&pem).expect("our own certificate").to_vec();
    let certificate = Certificate::from_der(der).expect("our own certificate");
    Caller {
        connection: 0,
        principal: None,
        attributes: Vec::new(),
        certificate: CertificateFacts::from(&certificate),
        certificates: Vec::new(),
        policies: Vec::new(),
    }
}
