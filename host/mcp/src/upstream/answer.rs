//! The body of a server's answer, on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::connection::AnswerBody;
use crate::reply::BodyError;
use crate::sessions::InUse;

/// Passes as it comes. Dropping it ends the answer on the server's side.
pub(super) struct Answer {
    body: AnswerBody,
    /// What a client gets in place of an answer that breaks off.
    instead: Option<Instead>,
    _in_use: Option<InUse>,
}

/// An error for the client of an event stream, which would otherwise wait for its answer for ever. Not where events
/// have ids: then the client resumes the stream, and may get its answer yet.
pub(super) struct Instead {
    event: Bytes,
    has_ids: HasIds,
}

impl Answer {
    pub(super) fn new(body: AnswerBody, instead: Option<Instead>, in_use: Option<InUse>) -> Self {
        Self { body, instead, _in_use: in_use }
    }
}

impl Instead {
    /// `error` is a JSON-RPC error for the request that the stream answers.
    pub(super) fn new(error: &[u8]) -> Self {
        // The empty line ends an event that broke off. What is left of its data is no JSON.
        let event = [b"\n\ndata: ", error, b"\n\n"].concat().into();
        Self { event, has_ids: HasIds::default() }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let (Some(instead), Some(data)) = (&mut this.instead, frame.data_ref()) {
                    instead.has_ids.read(data);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => match this.instead.take() {
                Some(instead) if !instead.has_ids.found => {
                    tracing::debug!(%error, "a server broke off an answer");
                    Some(Ok(Frame::data(instead.event)))
                }
                _ => Some(Err(error.into())),
            },
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Finds out from its first event whether those of a stream have ids (HTML, 9.2.6).
#[derive(Debug, Default)]
struct HasIds {
    found: bool,
    known: bool,
    /// Of the line that is being read: how many bytes, and whether they are those of `id`.
    length: usize,
    is_id: bool,
    /// Whether the event has any other line than comments.
    has_fields: bool,
}

impl HasIds {
    fn read(&mut self, data: &[u8]) {
        for byte in data {
            if self.known {
                return;
            }
            self.take(*byte);
        }
    }

    fn take(&mut self, byte: u8) {
        match (byte, self.length) {
            (b'\n', 0) => self.known = self.has_fields,
            (b'\n', length) => {
                self.found |= self.is_id && length == 2;
                self.known |= self.found;
                self.length = 0;
            }
            (b'\r', _) => {}
            (byte, length) => {
                self.is_id = match length {
                    0 => byte == b'i',
                    1 => self.is_id && byte == b'd',
                    2 => self.is_id && byte == b':',
                    _ => self.is_id,
                };
                self.has_fields |= length == 0 && byte != b':';
                self.found |= self.is_id && length == 2;
                self.known |= self.found;
                self.length = length.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_ids(text: &str) -> bool {
        let whole = |parts: &mut dyn Iterator<Item = &[u8]>| {
            let mut has_ids = HasIds::default();
            parts.for_each(|part| has_ids.read(part));
            has_ids.found
        };
        let at_once = whole(&mut std::iter::once(text.as_bytes()));
        assert_eq!(at_once, whole(&mut text.as_bytes().chunks(1)), "{text:?}");
        at_once
    }

    #[test]
    fn the_first_event_tells_whether_events_have_ids() {
        for text in [
            "id: 1\ndata: {}\n\n",
            "event: message\nid:1\ndata: {}\n\n",
            ": hello\r\n\r\nid: 1\r\ndata: \r\n\r\n",
            "id\ndata: {}\n\n",
            "data: {}\nid: 1\n\n",
        ] {
            assert!(has_ids(text), "{text:?}");
        }
        for text in [
            "data: {}\n\nid: 1\n\n",
            "data: id: 1\n\n",
            ":id: 1\n\ndata: {}\n\n",
            "identity: 1\n\n",
            "data: {\nidea\n\n",
            "",
        ] {
            assert!(!has_ids(text), "{text:?}");
        }
    }
}
