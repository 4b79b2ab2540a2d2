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

/// How long a connection is kept without a use. The servers of Node and of Python (uvicorn) close one after 5 s, and a
/// request that meets the closing is lost.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// One connection, for one request at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// None when the connection is over.
    driver: Option<Driver>,
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
    /// What brings it, and where that goes then. None for one that has a task of its own.
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

    /// Whether it can take a request: the last answer is over, and the server has not closed it.
    fn is_ready(&mut self) -> bool {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        self.sender.is_ready()
    }
}

/// Goes on with what can be read and written. What ends a connection is told to whoever waits for an answer.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(going) = driver
        && Pin::new(going).poll(cx).is_ready()
    {
        *driver = None;
    }
}

impl Idle {
    /// A connection that the server did not close.
    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.kept().connections.pop()?;
            if since.elapsed() < IDLE_TIMEOUT && connection.is_ready() {
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
            runtime.spawn(Arc::clone(self).sweep());
        }
    }

    /// Closes what is not used any more, until nothing is left.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE_TIMEOUT).await;
            let mut kept = self.kept();
            kept.connections.retain(|(since, _)| since.elapsed() < IDLE_TIMEOUT);
            kept.is_swept = !kept.connections.is_empty();
            if !kept.is_swept {
                return;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic runs under the lock.
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
        if (self.has_ended || self.body.is_end_stream()) && connection.is_ready() {
            idle.put(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    const PART: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok";
    const LAST: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

    /// A connection to a server that answers so, and the receiver of how many requests it had when it ended.
    async fn connect(answer: &'static str) -> (Connection, mpsc::UnboundedReceiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ended, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut buffer, mut count) = ([0; 4096], 0);
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                count += 1;
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer == LAST {
                    break;
                }
            }
            drop(stream);
            ended.send(count).unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        (Connection::new(TokioIo::new(stream)).await.unwrap(), requests)
    }

    async fn ask(mut connection: Connection, idle: &Arc<Idle>) -> AnswerBody {
        let answer = connection.send(Request::new(Full::default())).await.unwrap();
        AnswerBody::new(answer.into_body(), Some((connection, Arc::clone(idle))))
    }

    #[tokio::test]
    async fn a_connection_is_used_again_when_its_answer_was_read() {
        for answer in [WHOLE, CHUNKED] {
            let (idle, (mut connection, mut requests)) = (Arc::default(), connect(answer).await);
            for _ in 0..3 {
                let body = ask(connection, &idle).await;
                assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
                connection = idle.take().expect("the connection");
                assert!(idle.take().is_none(), "it is one");
            }
            drop(connection);
            assert_eq!(requests.recv().await, Some(3));
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_left_ends_its_connection() {
        let (idle, (connection, mut requests)) = (Arc::default(), connect(PART).await);
        let mut body = ask(connection, &idle).await;
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        assert_eq!(requests.recv().await, Some(1), "the server sees the end");
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closes_is_not_used_again() {
        let (idle, (connection, mut requests)) = (Arc::default(), connect(LAST).await);
        let body = ask(connection, &idle).await;
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
        assert_eq!(requests.recv().await, Some(1));
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_nobody_uses_is_closed() {
        let (idle, (connection, mut requests)) = (Arc::default(), connect(WHOLE).await);
        ask(connection, &idle).await.collect().await.unwrap();
        tokio::time::pause();
        tokio::time::advance(IDLE_TIMEOUT).await;
        tokio::time::resume();
        assert_eq!(requests.recv().await, Some(1));
        assert!(idle.take().is_none() && !idle.kept().is_swept);
    }
}
