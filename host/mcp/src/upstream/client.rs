//! The HTTP client towards one server: connections that are kept, and deadlines.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use thread_local::ThreadLocal;
use tower_service::Service;

use super::connection::{AnswerBody, Connection, IDLE_TIMEOUT, Idle};
use crate::options::HttpServer;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a server did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be reached")]
    Connect(#[source] BoxError),
    #[error("it broke off before it answered")]
    Broken(#[source] BoxError),
    #[error("it did not answer in time")]
    Timeout,
}

type Tls = Timed<HttpsConnector<HttpConnector>>;

/// A connection stays with the thread that made it: on another, each answer would have to wake that thread first.
pub(super) struct Client {
    /// For a server in the clear; any other is reached by the pools.
    plain: Option<Plain>,
    connector: Tls,
    pools: ThreadLocal<Pool<Tls, Full<Bytes>>>,
    response_timeout: Duration,
}

impl Client {
    pub(super) fn new(server: &HttpServer) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let limit = server.connect_timeout;
        let plain = host_in_the_clear(&server.url).map(|host| Plain {
            connector: Timed { connector: tcp.clone(), limit },
            host,
            idle: ThreadLocal::new(),
        });
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(server.tls.config())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let connector = Timed { connector: tls, limit };
        Self {
            plain,
            connector,
            pools: ThreadLocal::new(),
            response_timeout: server.response_timeout,
        }
    }

    /// Sends a request. Dropping the future, or later the body of the answer, ends it on the server's side too.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<AnswerBody>, Failure> {
        let answer = async {
            if let Some(plain) = &self.plain {
                return plain.send(request).await;
            }
            match self.pools.get_or(|| self.pool()).request(request).await {
                Ok(response) => Ok(response.map(|body| AnswerBody::new(body, None))),
                Err(error) if error.is_connect() => Err(Failure::Connect(error.into())),
                Err(error) => Err(Failure::Broken(error.into())),
            }
        };
        let answer = tokio::time::timeout(self.response_timeout, answer).await;
        answer.unwrap_or(Err(Failure::Timeout))
    }

    fn pool(&self) -> Pool<Tls, Full<Bytes>> {
        Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timer(TokioTimer::new())
            .build(self.connector.clone())
    }
}

/// What `Host` says (RFC 9110, 7.2) to a server that is reached without TLS.
fn host_in_the_clear(url: &Uri) -> Option<HeaderValue> {
    let host = url.host().filter(|_| url.scheme() == Some(&Scheme::HTTP))?;
    let host = match url.port_u16() {
        None | Some(80) => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    };
    HeaderValue::try_from(host).ok()
}

/// Towards a server in the clear, which speaks HTTP/1.1.
struct Plain {
    connector: Timed<HttpConnector>,
    host: HeaderValue,
    idle: ThreadLocal<Arc<Idle>>,
}

impl Plain {
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<AnswerBody>, Failure> {
        let idle = self.idle.get_or_default();
        let uri = request.uri().clone();
        if let Some(path) = uri.path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        request.headers_mut().insert(HOST, self.host.clone());
        loop {
            let (mut connection, is_new) = match idle.take() {
                Some(connection) => (connection, false),
                None => {
                    let io = self.connector.clone().call(uri.clone()).await;
                    let io = io.map_err(Failure::Connect)?;
                    let connection = Connection::new(io).await;
                    (connection.map_err(|error| Failure::Broken(error.into()))?, true)
                }
            };
            match connection.send(request).await {
                Ok(answer) => {
                    let idle = Arc::clone(idle);
                    return Ok(answer.map(|body| AnswerBody::new(body, Some((connection, idle)))));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(Failure::Broken(error.into_error().into())),
                },
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
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
    C: Service<Uri, Error: Into<BoxError>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.connector.call(uri));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
