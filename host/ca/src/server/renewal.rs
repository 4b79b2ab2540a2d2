//! Renewals over mutual TLS: the part of EST (RFC 7030) for who has a certificate already.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::with_causes;
use portcullis_est as est;
use portcullis_pki::AltName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::accept::{TIMEOUT, accept};
use super::own::OwnCertificate;
use super::tls::Door;
use super::{SharedCa, found};
use crate::ca::Ca;
use crate::error::Error;
use crate::issue::Issued;
use crate::reenroll::Refusal;

/// The target of the line that each renewal and each refusal gets in the log.
pub(super) const AUDIT: &str = "portcullis::renewal";
/// When a client that has too many may come again, in seconds.
const RETRY_AFTER_SECONDS: u16 = 3600;
const MAXIMUM_HEADER_BYTES: usize = 16 * 1024;
const MAXIMUM_READ_BYTES: usize = 8 * est::MAXIMUM_BODY_BYTES;

const TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// Renews certificates of an authority for who has them.
pub struct Renewals {
    ca: SharedCa,
    own: OwnCertificate,
    door: Arc<Door>,
}

impl Renewals {
    /// Has a certificate issued for the server itself, which clients reach under these names.
    ///
    /// # Errors
    /// As [`Ca::issue`], and as [`Ca::open`].
    pub fn new(ca: Ca, names: Vec<AltName>) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let own = OwnCertificate::new(&ca, names, Arc::clone(&provider))?;
        let another = Ca::open(ca.directory(), ca.clock.clone())?;
        let door = Arc::new(Door::new(another, ca.subject_der()?, provider));
        Ok(Self { ca: SharedCa::new(ca), own, door })
    }

    /// Serves until `shutdown` is cancelled.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let here = Arc::new(self);
        accept(listener, shutdown, |stream, peer| Arc::clone(&here).converse(stream, peer)).await;
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let key = self.own.current(&self.ca).await;
        let config = match self.door.config(key, peer) {
            Ok(config) => Arc::new(config),
            Err(error) => return tracing::error!(%error, "the TLS set-up is refused"),
        };
        let stream = match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => stream,
            // Of a certificate that is refused there is a line already.
            Err(error) => return tracing::debug!(%peer, %error, "no handshake"),
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = leaf.map(|leaf| leaf.to_vec());
        let service = service_fn(move |request| {
            let (here, certificate) = (Arc::clone(&self), certificate.clone());
            async move { Ok::<_, Infallible>(here.answer(request, certificate, peer).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(TIMEOUT)
            .max_buf_size(MAXIMUM_HEADER_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        // Whoever breaks it off has no answer.
        let _ = connection.await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        certificate: Option<Vec<u8>>,
        peer: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let Some(operation) = path.strip_prefix(est::PATH).and_then(|it| it.strip_prefix('/'))
        else {
            return refuse(StatusCode::NOT_FOUND, "not-found", "EST is under /.well-known/est");
        };
        match (request.method(), operation) {
            (&Method::GET, est::CA_CERTS) => self.ca_certificates().await,
            (&Method::POST, est::SIMPLE_REENROLL) => match certificate {
                Some(certificate) => self.reenroll(request, certificate, peer).await,
                None => {
                    let text = "a certificate is renewed for who presents it in the TLS handshake";
                    refuse(StatusCode::FORBIDDEN, "no-certificate", text)
                }
            },
            (&Method::POST, est::SIMPLE_ENROLL) => {
                let text = "a first certificate comes from the operator (`portcullis ca issue`)";
                refuse(StatusCode::FORBIDDEN, "no-first-certificate", text)
            }
            (_, est::CA_CERTS) => not_allowed("GET"),
            (_, est::SIMPLE_ENROLL | est::SIMPLE_REENROLL) => not_allowed("POST"),
            _ => refuse(StatusCode::NOT_FOUND, "not-found", "this part of EST is not offered"),
        }
    }

    async fn ca_certificates(&self) -> Response<Full<Bytes>> {
        match self.ca.with(|ca| ca.ca_certificates()).await {
            Ok(certificates) => certs_only(&certificates),
            Err(error) => failed(&error),
        }
    }

    async fn reenroll(
        &self,
        request: Request<Incoming>,
        certificate: Vec<u8>,
        peer: SocketAddr,
    ) -> Response<Full<Bytes>> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        let is_request = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(est::REQUEST_TYPE));
        let body = read(request.into_body()).await;
        if !is_request {
            let text = "the body is a request, application/pkcs10";
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", text);
        }
        let Some(body) = body else {
            let text = "the body is too long, or breaks off";
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text);
        };
        let Ok(request) = est::decode(&body) else {
            return refuse(StatusCode::BAD_REQUEST, "bad-request", "the body is not Base64");
        };
        let renewed = self.ca.with(move |ca| {
            // Of the one that is presented, not of the one that is made.
            let before = ca.authenticate(&certificate)?;
            Ok::<_, Refusal>((ca.reenroll(&certificate, &request), before))
        });
        match renewed.await {
            Ok((Ok(issued), before)) => renewed_for(&issued, &before.serial, peer),
            Ok((Err(refusal), before)) => refused(&refusal, Some(&before.serial), peer),
            Err(refusal) => refused(&refusal, None, peer),
        }
    }
}

/// A body that is not too long. Something more is read and left: whoever still sends does not see the answer.
async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        seen += data.len();
        if seen > MAXIMUM_READ_BYTES {
            break;
        }
        if seen <= est::MAXIMUM_BODY_BYTES {
            kept.extend_from_slice(&data);
        }
    }
    (seen <= est::MAXIMUM_BODY_BYTES).then_some(kept)
}

fn renewed_for(issued: &Issued, before: &[u8], peer: SocketAddr) -> Response<Full<Bytes>> {
    let record = &issued.record;
    tracing::info!(
        target: AUDIT,
        outcome = "renewed",
        peer_address = %peer,
        name = record.name,
        serial_number = HEXLOWER.encode(before),
        new_serial_number = HEXLOWER.encode(&record.serial),
        not_after = record.not_after,
    );
    certs_only(std::slice::from_ref(&record.der))
}

fn refused(refusal: &Refusal, before: Option<&[u8]>, peer: SocketAddr) -> Response<Full<Bytes>> {
    tracing::warn!(
        target: AUDIT,
        outcome = "refused",
        code = refusal.code(),
        detail = with_causes(refusal),
        peer_address = %peer,
        serial_number = before.map(|serial| HEXLOWER.encode(serial)),
    );
    let status = match refusal {
        // What is wrong here is for the log alone.
        Refusal::Failed(_) => {
            let text = "the authority failed; its log has the reason";
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, refusal.code(), text);
        }
        Refusal::Request(_) => StatusCode::BAD_REQUEST,
        Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::FORBIDDEN,
    };
    let mut response = refuse(status, refusal.code(), &refusal.to_string());
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

fn certs_only(certificates: &[Vec<u8>]) -> Response<Full<Bytes>> {
    let certificates: Vec<_> = certificates.iter().map(Vec::as_slice).collect();
    match est::certs_only(&certificates) {
        Ok(message) => {
            let mut response = found(est::CERTS_ONLY_TYPE, est::encode(&message));
            response.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("base64"));
            response
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response<Full<Bytes>> {
    tracing::error!("no answer: {}", with_causes(error));
    let text = "the authority failed; its log has the reason";
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed", text)
}

fn not_allowed(method: &'static str) -> Response<Full<Bytes>> {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "method", method);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

/// The reason, for people and for programs (RFC 7030, 4.2.3).
fn refuse(status: StatusCode, code: &str, text: &str) -> Response<Full<Bytes>> {
    let mut response = found("text/plain; charset=utf-8", format!("{code}: {text}\n"));
    *response.status_mut() = status;
    response
}
