//! Messages as a stream of Server-Sent Events.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::reply::BodyError;

/// One event per message, and a comment whenever there was none for a while.
pub(crate) struct EventStream<G> {
    messages: mpsc::Receiver<Bytes>,
    keep_alive: Duration,
    next_comment: Pin<Box<Sleep>>,
    /// Dropped when the client has read all, or is gone.
    _guard: G,
}

impl<G> EventStream<G> {
    /// Ends when the sender of the messages is dropped.
    pub(crate) fn new(messages: mpsc::Receiver<Bytes>, keep_alive: Duration, guard: G) -> Self {
        let next_comment = Box::pin(tokio::time::sleep(keep_alive));
        Self { messages, keep_alive, next_comment, _guard: guard }
    }
}

impl<G: Unpin> Body for EventStream<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let bytes = match self.messages.poll_recv(cx) {
            Poll::Ready(Some(message)) => event(&message),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending if self.next_comment.as_mut().poll(cx).is_ready() => {
                Bytes::from_static(b":\n\n")
            }
            Poll::Pending => return Poll::Pending,
        };
        let next = Instant::now() + self.keep_alive;
        self.next_comment.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// The message has no line breaks: [`crate::message::Message`] sees to it.
fn event(message: &[u8]) -> Bytes {
    const BEFORE: &[u8] = b"data: ";
    const AFTER: &[u8] = b"\n\n";
    let mut event = BytesMut::with_capacity(BEFORE.len() + message.len() + AFTER.len());
    event.put_slice(BEFORE);
    event.put_slice(message);
    event.put_slice(AFTER);
    event.freeze()
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
        sender.send(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "data: {}\n\n");
        let before = Instant::now();
        assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
        assert_eq!(before.elapsed().as_secs(), 15);
        drop(sender);
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_cancelled_token_ends_a_body() {
        let (_sender, messages) = mpsc::channel::<Bytes>(1);
        let token = CancellationToken::new();
        let mut body =
            Until::new(EventStream::new(messages, Duration::from_secs(15), ()), token.clone());
        token.cancel();
        assert_eq!(next(&mut body).await, None);
    }
}
