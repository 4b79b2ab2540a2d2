//! A rustls server of your own that asks Portcullis's policies:
//! `portcullis-example-embed ca-chain.wasm clients-ca.pem server.pem server.key 127.0.0.1:8443`

use std::io::Write as _;
use std::{env::args, fs::read, iter::once, net::TcpListener, sync::Arc};

use anyhow::Context as _;
use portcullis_engine::*;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

#[derive(Debug)]
struct Policies(Chain);

#[rustfmt::skip]
impl ClientCertVerifier for Policies {
    fn verify_client_cert(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> Result<ClientCertVerified, Error> {
        let parse = |der: &CertificateDer<'_>| Certificate::from_der(der.to_vec()).map(Arc::new);
        let chain = once(leaf).chain(rest).map(parse).collect::<Result<_, _>>().map_err(|_| CertificateError::BadEncoding)?;
        // This trait does not tell the client's address; portcullis-gate shows how to get at it.
        let handshake = Handshake { chain, time: now.as_secs() as Timestamp, peer_address: ([0; 4], 0).into(), server_name: None };
        match self.0.decide(&handshake).verdict {
            Verdict::Accept(_) => Ok(ClientCertVerified::assertion()),
            Verdict::Reject(why) => { eprintln!("refused: {}: {}", why.code, why.detail); Err(CertificateError::ApplicationVerificationFailure.into()) }
        }
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] { &[] }
    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, signature: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &aws_lc_rs::default_provider().signature_verification_algorithms)
    }
    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, signature: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &aws_lc_rs::default_provider().signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> { aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes() }
}

#[rustfmt::skip]
fn main() -> anyhow::Result<()> {
    let [component, anchors, chain, key, address] =
        <[String; 5]>::try_from(args().skip(1).collect::<Vec<_>>()).ok().context("COMPONENT ANCHORS CERTIFICATE KEY ADDRESS")?;
    let assets = vec![Asset { name: "anchors".into(), content: read(anchors)? }];
    let source = PolicySource { name: "ca-chain".into(), component: read(component)?, settings: "{}".into(), assets, limits: PolicyLimits::default() };
    let policy = Arc::new(Policy::load(&Engine::new(EngineOptions::default())?, source)?);
    let policies = Chain::new(vec![Step::One(Member { policy, shadow: false })], Arc::new(NotConfigured))?;
    let mut config = rustls::ServerConfig::builder().with_client_cert_verifier(Arc::new(Policies(policies)))
        .with_single_cert(CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?, PrivateKeyDer::from_pem_file(key)?)?;
    // Whoever resumes a session is not verified again: no sessions, or ask the policies after the handshake.
    (config.session_storage, config.send_tls13_tickets) = (Arc::new(rustls::server::NoServerSessionStorage {}), 0);
    let (config, listener) = (Arc::new(config), TcpListener::bind(address)?);
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config))?, stream?);
        if let Err(error) = tls.write_all(b"welcome\n") { eprintln!("{error}") }
    }
    Ok(())
}
