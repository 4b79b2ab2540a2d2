//! Messages as a stream of Server-Sent Events.

use std::fmt;
use std::io;
use std::num::ParseIntError;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::{Body, Frame};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::line::Line;
use crate::reply::BodyError;

/// The id of an event, by which a client resumes the event's stream: "STREAM-NUMBER".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) stream: u64,
    /// Grows within a stream.
    pub(crate) number: u64,
}

/// A message on its way to a client.
#[derive(Debug)]
pub(crate) struct Event {
    /// None where the client cannot resume.
    pub(crate) id: Option<EventId>,
    pub(crate) line: Line,
}

/// How long a client is to wait before it comes back, in milliseconds.
const RETRY_MILLISECONDS: u32 = 1000;
/// Of a long message, at a time.
const PART_BYTES: usize = 64 * 1024;

/// One event per message, and a comment whenever there was none for a while.
pub(crate) struct EventStream<G> {
    messages: mpsc::Receiver<Event>,
    /// What is to be sent before the next message.
    pending: Option<Bytes>,
    /// The long message that is being sent.
    long: Option<File>,
    keep_alive: Duration,
    next_comment: Pin<Box<Sleep>>,
    /// Dropped when the client has read all, or is gone.
    _guard: G,
}

impl<G> EventStream<G> {
    /// Ends when the sender of the messages is dropped.
    pub(crate) fn new(messages: mpsc::Receiver<Event>, keep_alive: Duration, guard: G) -> Self {
        let next_comment = Box::pin(tokio::time::sleep(keep_alive));
        Self { messages, pending: None, long: None, keep_alive, next_comment, _guard: guard }
    }

    /// Begins with an event without data, so that the client can resume from the start.
    pub(crate) fn primed(mut self, id: EventId) -> Self {
        self.pending = Some(format!("retry: {RETRY_MILLISECONDS}\nid: {id}\ndata: \n\n").into());
        self
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(bytes) = self.pending.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if let Some(file) = &mut self.long {
            let mut part = vec![0; PART_BYTES];
            let mut buffer = ReadBuf::new(&mut part);
            let read = ready!(Pin::new(file).poll_read(cx, &mut buffer));
            let length = buffer.filled().len();
            if length == 0 {
                self.long = None;
                return Poll::Ready(Some(read.map(|()| Bytes::from_static(AFTER))));
            }
            part.truncate(length);
            return Poll::Ready(Some(read.map(|()| part.into())));
        }
        match self.messages.poll_recv(cx) {
            Poll::Ready(Some(Event { id, line: Line::Short(line) })) => {
                Poll::Ready(Some(Ok(event(id, &line))))
            }
            Poll::Ready(Some(Event { id, line: Line::Long(line) })) => {
                self.long = Some(line.into_file());
                Poll::Ready(Some(Ok(begin(id, 0).freeze())))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.next_comment.as_mut().poll(cx));
                Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))))
            }
        }
    }
}

impl<G: Unpin> Body for EventStream<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(bytes) = ready!(self.poll_bytes(cx)) else {
            return Poll::Ready(None);
        };
        let next = Instant::now() + self.keep_alive;
        self.next_comment.as_mut().reset(next);
        Poll::Ready(Some(bytes.map(Frame::data).map_err(Into::into)))
    }
}

const AFTER: &[u8] = b"\n\n";

/// The message has no line breaks: [`Line`] sees to it.
fn event(id: Option<EventId>, message: &[u8]) -> Bytes {
    let mut event = begin(id, message.len() + AFTER.len());
    event.put_slice(message);
    event.put_slice(AFTER);
    event.freeze()
}

fn begin(id: Option<EventId>, room: usize) -> BytesMut {
    let begin = id.map_or_else(|| "data: ".to_owned(), |id| format!("id: {id}\ndata: "));
    let mut event = BytesMut::with_capacity(begin.len() + room);
    event.put_slice(begin.as_bytes());
    event
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream, self.number)
    }
}

impl FromStr for EventId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (stream, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { stream: stream.parse()?, number: number.parse()? })
    }
}

/// Marks, in a response's extensions, a stream that ends only when its client leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// A body that ends early when a token is cancelled: a stream that waits for news would keep a connection open for
/// ever.
pub(crate) struct Until<B> {
    body: B,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<B> Until<B> {
    pub(crate) fn new(body: B, token: CancellationToken) -> Self {
        Self { body, cancelled: Box::pin(token.cancelled_owned()) }
    }
}

impl<B: Body + Unpin> Body for Until<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.cancelled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn next(
        body: &mut (impl Body<Data = Bytes, Error = BodyError> + Unpin),
    ) -> Option<Bytes> {
        body.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn messages_become_events_and_silence_becomes_comments() {
        let (sender, messages) = mpsc::channel(2);
        let mut body = EventStream::new(messages, Duration::from_secs(15), ());
        let line = || Line::Short(Bytes::from_static(b"{}"));
        sender.send(Event { id: None, line: line() }).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "data: {}\n\n");
        let before = Instant::now();
        assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
        assert_eq!(before.elapsed().as_secs(), 15);
        let id = EventId { stream: 3, number: 14 };
        sender.send(Event { id: Some(id), line: line() }).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "id: 3-14\ndata: {}\n\n");
        drop(sender);
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_stream_that_can_be_resumed_says_so_first() {
        let (_sender, messages) = mpsc::channel(1);
        let stream = EventStream::new(messages, Duration::from_secs(15), ());
        let mut body = stream.primed(EventId { stream: 3, number: 0 });
        assert_eq!(next(&mut body).await.unwrap(), "retry: 1000\nid: 3-0\ndata: \n\n");
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = EventId { stream: 3, number: 14 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "-", "3", "3-", "-14", "a-b", "3-14-1", "3--14"] {
            assert!(text.parse::<EventId>().is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_cancelled_token_ends_a_body() {
        let (_sender, messages) = mpsc::channel(1);
        let token = CancellationToken::new();
        let mut body =
            Until::new(EventStream::new(messages, Duration::from_secs(15), ()), token.clone());
        token.cancel();
        assert_eq!(next(&mut body).await, None);
    }
}
