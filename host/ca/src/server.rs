//! The authority on the network: [`serve_status`] gives the CRL and OCSP answers, [`Renewals`] renews certificates.
//!
//! Any number of processes may serve the same directory: each request is answered from the index, so what another
//! process has revoked counts from the next one on.

mod accept;
mod own;
mod renewal;
mod status;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

pub use self::renewal::Renewals;
pub use self::status::serve_status;
use crate::ca::Ca;
use crate::error::Error;

/// An authority for one thread at a time.
#[derive(Clone, Debug)]
pub struct SharedCa(Arc<Mutex<Ca>>);

impl SharedCa {
    /// Shares an authority.
    #[must_use]
    pub fn new(ca: Ca) -> Self {
        Self(Arc::new(Mutex::new(ca)))
    }

    /// Asks on a thread that may wait for the disk.
    async fn with<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        ask: impl FnOnce(&Ca) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let ca = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || {
            // Nothing of it is half-done after a panic: the index is changed in transactions.
            ask(&ca.lock().unwrap_or_else(PoisonError::into_inner))
        });
        asked.await.unwrap_or_else(|error| Err(Error::Encoding(error.to_string()).into()))
    }
}

fn found(kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}
