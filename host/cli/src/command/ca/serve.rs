//! `portcullis ca crl --serve`: the CRL and OCSP answers over HTTP (RFC 6960, appendix A; RFC 5280, 4.2.1.13).
//!
//! Both are signed, so plain HTTP will do; and both are read from the index at each request, so a revocation by any
//! process is in the next answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use portcullis_ca::{Ca, Error, MAXIMUM_REQUEST_BYTES, internal_error};
use portcullis_engine::with_causes;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::arguments::Format;
use crate::exit::Exit;
use crate::{report, signals};

/// From a client's arrival to the end of its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Connections at the same time; more wait.
const MAXIMUM_CONNECTIONS: usize = 256;
/// The headers of a request, the path of a GET with its OCSP request included, in bytes.
const MAXIMUM_HEADER_BYTES: usize = 2 * MAXIMUM_REQUEST_BYTES;
/// How often the CRL is looked at.
const CRL_INTERVAL: Duration = Duration::from_secs(60);

/// The authority, for one thread at a time.
type Shared = Arc<Mutex<Ca>>;

/// Printed once peers can ask.
#[derive(Serialize)]
struct Listening {
    event: &'static str,
    address: SocketAddr,
    crl: String,
    ocsp: String,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn serve(ca: Ca, address: SocketAddr, format: Format) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(listen(Arc::new(Mutex::new(ca)), address, format))
}

async fn listen(ca: Shared, address: SocketAddr, format: Format) -> anyhow::Result<Exit> {
    let shutdown = signals::shutdown()?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`, which `--serve` names"))?;
    announce(listener.local_addr().context("the address is not known")?, format)?;
    tokio::spawn(keep_fresh(Arc::clone(&ca)));
    let connections = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => return Ok(Exit::Success),
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = tokio::time::timeout(TIMEOUT, converse(stream, Arc::clone(&ca)));
                tokio::spawn(async move {
                    // A client that leaves, or is slow, is its own loss.
                    let _ = connection.await;
                    drop(permit);
                });
            }
            // Out of file descriptors, most likely: whoever asks comes again.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn announce(address: SocketAddr, format: Format) -> anyhow::Result<()> {
    let listening = Listening {
        event: "listening",
        address,
        crl: format!("http://{address}/ca.crl"),
        ocsp: format!("http://{address}/ocsp"),
    };
    match format {
        Format::Json => report::text(&format!("{}\n", serde_json::to_string(&listening)?)),
        Format::Text => {
            report::text(&format!("the CRL is at {}, OCSP at {}\n", listening.crl, listening.ocsp))
        }
    }
}

/// Makes a new CRL when half of the time of the one in force is up, so that the file does not run out either.
async fn keep_fresh(ca: Shared) {
    let mut interval = tokio::time::interval(CRL_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = with(&ca, |ca| ca.fresh_crl().map(drop)).await {
            tracing::error!("no new CRL: {}", with_causes(&error));
        }
    }
}

async fn converse(stream: TcpStream, ca: Shared) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let ca = Arc::clone(&ca);
        async move { Ok::<_, Infallible>(answer(request, ca).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .max_buf_size(MAXIMUM_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(request: Request<Incoming>, ca: Shared) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method().clone(), path.as_str()) {
        (Method::GET, "/ca.crl") => {
            let crl = with(&ca, |ca| ca.fresh_crl()).await;
            match crl {
                Ok(crl) => found("application/pkix-crl", crl.der),
                Err(error) => {
                    tracing::error!("no CRL: {}", with_causes(&error));
                    status(StatusCode::INTERNAL_SERVER_ERROR)
                }
            }
        }
        (Method::POST, "/ocsp") => {
            let body = Limited::new(request.into_body(), MAXIMUM_REQUEST_BYTES);
            match body.collect().await {
                Ok(body) => ocsp(body.to_bytes().to_vec(), &ca).await,
                Err(_) => status(StatusCode::PAYLOAD_TOO_LARGE),
            }
        }
        (Method::GET, path) => match path.strip_prefix("/ocsp/").and_then(decode) {
            Some(request) => ocsp(request, &ca).await,
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

async fn ocsp(request: Vec<u8>, ca: &Shared) -> Response<Full<Bytes>> {
    let answer = with(ca, move |ca| ca.answer_ocsp(&request)).await.unwrap_or_else(|error| {
        tracing::error!("no OCSP answer: {}", with_causes(&error));
        internal_error()
    });
    found("application/ocsp-response", answer)
}

/// Asks the authority on a thread that may wait for the disk.
async fn with<T: Send + 'static>(
    ca: &Shared,
    ask: impl FnOnce(&Ca) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let ca = Arc::clone(ca);
    let asked = tokio::task::spawn_blocking(move || {
        // Nothing of it is half-done after a panic: the index is changed in transactions.
        ask(&ca.lock().unwrap_or_else(PoisonError::into_inner))
    });
    asked.await.unwrap_or_else(|error| Err(Error::Encoding(error.to_string())))
}

fn found(kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}
