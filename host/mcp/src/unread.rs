//! Answers that their client does not take.
//!
//! Over HTTP/2 a client may go on with the connection and leave one answer where it is, which no write of the connection
//! shows.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

/// What is given at once, so that a slow client can be told from one that takes nothing.
const PART_BYTES: usize = 64 * 1024;

/// The answers of one connection of which the client was given something, and since when.
#[derive(Debug)]
pub(crate) struct Unread {
    limit: Duration,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    answers: u64,
    since: HashMap<u64, Instant>,
}

/// An answer that is watched.
pub(crate) struct Watched<B> {
    body: B,
    /// What is left of a frame.
    rest: Bytes,
    all: Arc<Unread>,
    number: u64,
}

impl Unread {
    pub(crate) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self { limit, given: Mutex::default() })
    }

    /// Waits until an answer was left where it is for too long.
    pub(crate) async fn too_long(&self) {
        loop {
            let oldest = self.given().since.values().min().copied();
            match oldest {
                Some(since) if since.elapsed() >= self.limit => return,
                Some(since) => sleep_until(since + self.limit).await,
                None => sleep(self.limit).await,
            }
        }
    }

    pub(crate) fn watch<B>(self: &Arc<Self>, body: B) -> Watched<B> {
        let mut given = self.given();
        given.answers += 1;
        Watched { body, rest: Bytes::new(), all: Arc::clone(self), number: given.answers }
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        // Nothing that can panic runs under the lock.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        // Whoever asks for more has taken what there was.
        this.all.given().since.remove(&this.number);
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        this.all.given().since.insert(this.number, Instant::now());
        let part = this.rest.split_to(this.rest.len().min(PART_BYTES));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.all.given().since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_asks_on_is_left_for_too_long() {
        let unread = Unread::new(LIMIT);
        let mut body = unread.watch(Full::new(Bytes::from(vec![1; PART_BYTES + 1])));
        assert_eq!(body.size_hint().exact(), Some(PART_BYTES as u64 + 1));
        tokio::time::advance(LIMIT * 2).await;
        assert!(body.frame().await.is_some());
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(1), false));
        let began = Instant::now();
        unread.too_long().await;
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_asked_on_or_over_is_not() {
        let unread = Unread::new(LIMIT);
        let mut slow = unread.watch(Full::new(Bytes::from(vec![1; PART_BYTES * 3])));
        let over = unread.watch(Full::new(Bytes::from_static(b"1")));
        assert_eq!(over.collect().await.unwrap().to_bytes(), "1");
        for _ in 0..3 {
            assert!(slow.frame().await.is_some());
            let left = tokio::time::timeout(LIMIT - Duration::from_secs(1), unread.too_long());
            assert!(left.await.is_err());
        }
        drop(slow);
        assert!(tokio::time::timeout(LIMIT * 3, unread.too_long()).await.is_err());
    }
}
