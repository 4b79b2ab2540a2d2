//! The CRL and OCSP answers over HTTP (RFC 6960, appendix A; RFC 5280, 4.2.1.13).
//!
//! Both are signed, so plain HTTP will do; and both are read from the index at each request, so a revocation by any
//! process is in the next answer.

use std::convert::Infallible;
use std::time::Duration;

use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use portcullis_core::with_causes;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::accept::{TIMEOUT, accept};
use super::{SharedCa, found, status};
use crate::ocsp::{MAXIMUM_REQUEST_BYTES, internal_error};

/// The headers of a request, the path of a GET with its OCSP request included, in bytes.
const MAXIMUM_HEADER_BYTES: usize = 2 * MAXIMUM_REQUEST_BYTES;
/// How often the CRL is looked at.
const CRL_INTERVAL: Duration = Duration::from_secs(60);

/// Serves `/ca.crl` and `/ocsp` until `shutdown` is cancelled, and keeps the CRL's file fresh.
pub async fn serve_status(ca: SharedCa, listener: TcpListener, shutdown: CancellationToken) {
    let fresh = keep_fresh(&ca);
    let served = accept(listener, shutdown, |stream, _| converse(stream, ca.clone()));
    tokio::select! {
        () = fresh => {}
        () = served => {}
    }
}

/// Makes a new CRL when half of the time of the one in force is up, so that the file does not run out either.
async fn keep_fresh(ca: &SharedCa) {
    let mut interval = tokio::time::interval(CRL_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = ca.with(|ca| ca.fresh_crl().map(drop)).await {
            tracing::error!("no new CRL: {}", with_causes(&error));
        }
    }
}

async fn converse(stream: TcpStream, ca: SharedCa) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let ca = ca.clone();
        async move { Ok::<_, Infallible>(answer(request, &ca).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .max_buf_size(MAXIMUM_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(request: Request<Incoming>, ca: &SharedCa) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method().clone(), path.as_str()) {
        (Method::GET, "/ca.crl") => match ca.with(|ca| ca.fresh_crl()).await {
            Ok(crl) => found("application/pkix-crl", crl.der),
            Err(error) => {
                tracing::error!("no CRL: {}", with_causes(&error));
                status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        },
        (Method::POST, "/ocsp") => {
            let body = Limited::new(request.into_body(), MAXIMUM_REQUEST_BYTES);
            match body.collect().await {
                Ok(body) => ocsp(body.to_bytes().to_vec(), ca).await,
                Err(_) => status(StatusCode::PAYLOAD_TOO_LARGE),
            }
        }
        (Method::GET, path) => match path.strip_prefix("/ocsp/").and_then(decode) {
            Some(request) => ocsp(request, ca).await,
            None => status(StatusCode::NOT_FOUND),
        },
        _ => status(StatusCode::NOT_FOUND),
    }
}

/// The OCSP request in the path of a GET: Base64, percent-encoded. Slashes may have been left as they are.
fn decode(path: &str) -> Option<Vec<u8>> {
    let base64: Vec<u8> = percent_decode_str(path).collect();
    BASE64.decode(&base64).ok()
}

async fn ocsp(request: Vec<u8>, ca: &SharedCa) -> Response<Full<Bytes>> {
    let answer = ca.with(move |ca| ca.answer_ocsp(&request)).await.unwrap_or_else(|error| {
        tracing::error!("no OCSP answer: {}", with_causes(&error));
        internal_error()
    });
    found("application/ocsp-response", answer)
}
