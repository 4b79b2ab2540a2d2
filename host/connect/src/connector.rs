//! TCP and TLS to the gate, with an eye on the alerts that it sends.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

const TCP_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A gate that vanished is noticed at last, even on a stream that has nothing to say.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects to the gate with one identity.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    server_name: ServerName<'static>,
    alerts: Arc<Alerts>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no answer to the TLS handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimeout,
    #[error("no TCP connection")]
    Tcp(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no TLS connection")]
    Tls(#[source] io::Error),
}

/// The last alert on any connection with one identity.
///
/// In TLS 1.3 a client believes that it is connected before the gate has judged it: the alert comes instead of the
/// first answer, and HTTP/2 passes on that a connection broke but not why.
#[derive(Debug, Default)]
pub(crate) struct Alerts(Mutex<Option<(Instant, AlertDescription)>>);

impl Connector {
    pub(crate) fn new(
        tls: TlsConnector,
        server_name: ServerName<'static>,
        alerts: Arc<Alerts>,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(TCP_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        Self { tcp, tls, server_name, alerts }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx).map_err(|error| ConnectError::Tcp(error.into()))
    }

    fn call(&mut self, gate: Uri) -> Self::Future {
        let tcp = self.tcp.call(gate);
        let Self { tls, server_name, alerts, .. } = self.clone();
        Box::pin(async move {
            let tcp = tcp.await.map_err(|error| ConnectError::Tcp(error.into()))?;
            let handshake = tls.connect(server_name, tcp.into_inner());
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(tls)) => Ok(TokioIo::new(Stream { tls, alerts })),
                Ok(Err(error)) => {
                    alerts.note(&error);
                    Err(ConnectError::Tls(error))
                }
                Err(_) => Err(ConnectError::HandshakeTimeout),
            }
        })
    }
}

impl Alerts {
    fn note(&self, error: &io::Error) {
        let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = error {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((Instant::now(), *alert));
        }
    }

    /// An alert that came since then.
    pub(crate) fn since(&self, then: Instant) -> Option<AlertDescription> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(when, _)| *when >= then).map(|(_, alert)| alert)
    }
}

/// A connection that notes the alert it ends with.
pub(crate) struct Stream {
    tls: TlsStream<TcpStream>,
    alerts: Arc<Alerts>,
}

impl Stream {
    /// The gate may have closed the socket behind its alert, and then writing fails before the alert is read.
    fn note_after_write(&mut self, cx: &mut Context<'_>, result: io::Result<()>) -> io::Result<()> {
        let Err(error) = result else { return Ok(()) };
        let mut byte = [0];
        if let Poll::Ready(Err(why)) =
            Pin::new(&mut self.tls).poll_read(cx, &mut ReadBuf::new(&mut byte))
        {
            self.alerts.note(&why);
        }
        Err(error)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.tls).poll_read(cx, buffer));
        Poll::Ready(result.inspect_err(|error| self.alerts.note(error)))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        let result = ready!(Pin::new(&mut self.tls).poll_write(cx, bytes)).map(|n| written = n);
        Poll::Ready(self.note_after_write(cx, result).map(|()| written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.tls).poll_flush(cx));
        Poll::Ready(self.note_after_write(cx, result))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.tls.get_ref().1.alpn_protocol() == Some(b"h2") {
            return connected.negotiated_h2();
        }
        connected
    }
}
