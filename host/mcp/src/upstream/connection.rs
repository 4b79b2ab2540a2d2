//! A connection to a server that speaks HTTP/1.1 in the clear. The request that uses it drives it: a task of its own
//! would have to be woken at each step of each request.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// One connection, for one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// Connections that wait for a request, the one used last at the end.
#[derive(Default)]
pub(super) struct Idle(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    connections: Vec<(Instant, Connection)>,
    is_swept: bool,
}

/// The body of an answer. Dropping it before its end closes the connection.
pub(super) struct AnswerBody {
    body: Incoming,
    has_ended: bool,
    driven: Option<(Connection, Arc<Idle>)>,
}

impl Connection {
    pub(super) async fn new(io: TokioIo<TcpStream>) -> hyper::Result<Self> {
        let (sender, driver) = http1::handshake(io).await?;
        Ok(Self { sender, driver: Some(driver) })
    }

    /// Sends a request. An error has the request with it if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }
}

/// Goes on with what can be read and written. What ends a connection is told to whoever waits for an answer.
fn drive(
    driver: &mut Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    cx: &mut Context<'_>,
) {
    if let Some(going) = driver
        && Pin::new(going).poll(cx).is_ready()
    {
        *driver = None;
    }
}

impl Idle {
    /// A connection that the server did not close.
    pub(super) fn take(&self, limit: Duration) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.kept().connections.pop()?;
            drive(&mut connection.driver, &mut Context::from_waker(Waker::noop()));
            if since.elapsed() < limit && connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    fn put(self: &Arc<Self>, connection: Connection) {
        let mut kept = self.kept();
        kept.connections.push((Instant::now(), connection));
        if !kept.is_swept
            && let Ok(runtime) = Handle::try_current()
        {
            kept.is_swept = true;
            runtime.spawn(Arc::clone(self).sweep(super::client::IDLE_TIMEOUT));
        }
    }

    /// Closes what was not used for this time, until nothing is left.
    async fn sweep(self: Arc<Self>, limit: Duration) {
        loop {
            tokio::time::sleep(limit).await;
            let mut kept = self.kept();
            kept.connections.retain(|(since, _)| since.elapsed() < limit);
            kept.is_swept = !kept.connections.is_empty();
            if !kept.is_swept {
                return;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AnswerBody {
    pub(super) fn new(body: Incoming, driven: Option<(Connection, Arc<Idle>)>) -> Self {
        Self { body, has_ended: false, driven }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending()
            && let Some((connection, _)) = &mut this.driven
        {
            drive(&mut connection.driver, cx);
            frame = Pin::new(&mut this.body).poll_frame(cx);
        }
        this.has_ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        let Some((mut connection, idle)) = self.driven.take() else { return };
        if self.has_ended || self.body.is_end_stream() {
            drive(&mut connection.driver, &mut Context::from_waker(Waker::noop()));
            if connection.sender.is_ready() {
                idle.put(connection);
            }
        }
    }
}
