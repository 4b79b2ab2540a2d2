//! The HTTP client towards one server: connections that are kept, and deadlines.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use crate::options::HttpServer;

/// How long a connection is kept without a use. The servers of Node and of Python (uvicorn) close one after 5 s, and a
/// request that meets the closing is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a server did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be reached")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("it broke off before it answered")]
    Broken(#[source] hyper_util::client::legacy::Error),
    #[error("it did not answer in time")]
    Timeout,
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pool: Pool<Timed<HttpsConnector<HttpConnector>>, Full<Bytes>>,
    response_timeout: Duration,
}

impl Client {
    pub(super) fn new(server: &HttpServer) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(server.tls.config())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timer(TokioTimer::new())
            .build(Timed { connector: tls, limit: server.connect_timeout });
        Self { pool, response_timeout: server.response_timeout }
    }

    /// Sends a request. Dropping the future, or later the body of the answer, ends it on the server's side too.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        match tokio::time::timeout(self.response_timeout, self.pool.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(Failure::Connect(error)),
            Ok(Err(error)) => Err(Failure::Broken(error)),
            Err(_) => Err(Failure::Timeout),
        }
    }
}

/// A connector with a deadline for all that it does.
#[derive(Clone, Debug)]
struct Timed<C> {
    connector: C,
    limit: Duration,
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.connector.call(uri));
        Box::pin(
            async move { connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? },
        )
    }
}
