//! Which stream of its client a server's message belongs on. No sockets, no process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::message::{Id, Kind, Message};

/// Messages that wait in one stream for its client to read. When there are more, the server has to wait too.
const STREAM_MESSAGES: usize = 8;
/// Messages, and their bytes, that are kept for a client that has no stream open.
const BACKLOG_MESSAGES: usize = 64;
const BACKLOG_BYTES: usize = 1024 * 1024;

/// The streams of one session.
#[derive(Debug, Default)]
pub(crate) struct Router(Mutex<Streams>);

#[derive(Debug, Default)]
struct Streams {
    closed: bool,
    started: u64,
    waiting: HashMap<Id, Waiting>,
    listener: Option<mpsc::Sender<Bytes>>,
    backlog: VecDeque<Bytes>,
    backlog_bytes: usize,
}

/// A request of the client that has no answer yet.
#[derive(Debug)]
struct Waiting {
    stream: mpsc::Sender<Bytes>,
    progress_token: Option<Id>,
    carries: Carries,
    number: u64,
}

/// What a request's stream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// The answer, and whatever the server says before it.
    Everything,
    /// The answer.
    OnlyTheAnswer,
}

/// Where a message goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// It is kept until the client opens a stream.
    Kept,
    /// To nobody, for want of room or because nobody asked.
    Nowhere,
    /// Onto this stream.
    To(mpsc::Sender<Bytes>),
}

/// Why a request cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    IdInUse,
    TooMany,
}

/// A request that was let through, to be given back with [`Router::forget`].
#[derive(Debug)]
pub(crate) struct Ticket {
    id: Id,
    number: u64,
}

impl Router {
    /// Makes a stream for the answer to a request, before the request is sent.
    pub(crate) fn expect(
        &self,
        id: &Id,
        progress_token: Option<&Id>,
        carries: Carries,
        maximum: usize,
    ) -> Result<(Ticket, mpsc::Receiver<Bytes>), Refusal> {
        let mut streams = self.streams();
        if streams.closed {
            return Err(Refusal::Closed);
        }
        if streams.waiting.contains_key(id) {
            return Err(Refusal::IdInUse);
        }
        if streams.waiting.len() >= maximum {
            return Err(Refusal::TooMany);
        }
        let (stream, messages) = mpsc::channel(STREAM_MESSAGES);
        streams.started += 1;
        let number = streams.started;
        let waiting = Waiting { stream, progress_token: progress_token.cloned(), carries, number };
        streams.waiting.insert(id.clone(), waiting);
        Ok((Ticket { id: id.clone(), number }, messages))
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn forget(&self, ticket: &Ticket) {
        let mut streams = self.streams();
        // The client may have used the id again once it was answered.
        if streams.waiting.get(&ticket.id).is_some_and(|waiting| waiting.number == ticket.number) {
            streams.waiting.remove(&ticket.id);
        }
    }

    /// The client cancelled a request: its stream ends.
    pub(crate) fn cancel(&self, id: &Id) {
        self.streams().waiting.remove(id);
    }

    /// Makes the stream for messages that belong to no request. It takes the place of an earlier one: a client that
    /// lost its connection comes back before the loss is noticed here.
    pub(crate) fn listen(&self) -> mpsc::Receiver<Bytes> {
        let mut streams = self.streams();
        let (stream, messages) = mpsc::channel(BACKLOG_MESSAGES);
        for message in streams.backlog.drain(..) {
            // There is room for a whole backlog.
            let _ = stream.try_send(message);
        }
        streams.backlog_bytes = 0;
        if !streams.closed {
            streams.listener = Some(stream);
        }
        messages
    }

    /// Finds the stream for a message of the server.
    pub(crate) fn route(&self, message: &Message) -> Route {
        let mut streams = self.streams();
        match &message.kind {
            Kind::Response { id, .. } => match streams.waiting.remove(id) {
                Some(waiting) => Route::To(waiting.stream),
                None => Route::Nowhere,
            },
            Kind::Notification { method, about: Some(token) }
                if method == "notifications/progress" =>
            {
                let of_request =
                    |waiting: &&Waiting| waiting.progress_token.as_ref() == Some(token);
                match streams.waiting.values().find(of_request) {
                    Some(waiting) if waiting.carries == Carries::Everything => {
                        Route::To(waiting.stream.clone())
                    }
                    _ => streams.offer_listener(&message.line),
                }
            }
            Kind::Notification { method, .. } if is_about_the_session(method) => {
                streams.offer_listener(&message.line)
            }
            _ => streams.offer_newest_request(&message.line),
        }
    }

    /// Finds another place for a message whose stream turned out to be gone.
    pub(crate) fn keep(&self, message: &Message) -> Route {
        match message.kind {
            // An answer belongs on the stream of its request or nowhere.
            Kind::Response { .. } => Route::Nowhere,
            _ => self.streams().offer_listener(&message.line),
        }
    }

    /// Takes no more requests, and gives back the streams of those that had no answer.
    pub(crate) fn close(&self) -> Vec<(Id, mpsc::Sender<Bytes>)> {
        let mut streams = self.streams();
        streams.closed = true;
        streams.listener = None;
        streams.backlog.clear();
        streams.waiting.drain().map(|(id, waiting)| (id, waiting.stream)).collect()
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// What a server says or asks while it works most likely concerns the newest request: standard output does
    /// not tell.
    fn offer_newest_request(&mut self, line: &Bytes) -> Route {
        let open = self.waiting.values().filter(|waiting| waiting.carries == Carries::Everything);
        match open.max_by_key(|waiting| waiting.number) {
            Some(waiting) => Route::To(waiting.stream.clone()),
            None => self.offer_listener(line),
        }
    }

    fn offer_listener(&mut self, line: &Bytes) -> Route {
        if let Some(listener) = self.listener.as_ref().filter(|listener| !listener.is_closed()) {
            return Route::To(listener.clone());
        }
        self.listener = None;
        let bytes = self.backlog_bytes.saturating_add(line.len());
        if self.closed || self.backlog.len() >= BACKLOG_MESSAGES || bytes > BACKLOG_BYTES {
            return Route::Nowhere;
        }
        self.backlog_bytes = bytes;
        self.backlog.push_back(line.clone());
        Route::Kept
    }
}

/// News that no request asked for.
fn is_about_the_session(method: &str) -> bool {
    method == "notifications/resources/updated" || method.ends_with("/list_changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn id(number: u32) -> Id {
        match message(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":1}}"#)).kind {
            Kind::Response { id, .. } => id,
            _ => unreachable!(),
        }
    }

    fn expect(router: &Router, number: u32) -> (Ticket, mpsc::Receiver<Bytes>) {
        router.expect(&id(number), Some(&id(number + 100)), Carries::Everything, 4).unwrap()
    }

    /// Delivers, and tells whether it went anywhere.
    fn deliver(router: &Router, text: &str) -> bool {
        let message = message(text);
        match router.route(&message) {
            Route::To(stream) => stream.try_send(message.line).is_ok(),
            Route::Kept => true,
            Route::Nowhere => false,
        }
    }

    const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message"}"#;
    const PROGRESS: &str =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":101}}"#;
    const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

    #[test]
    fn an_answer_ends_the_stream_of_its_request_only() {
        let router = Router::default();
        let (_first, mut one) = expect(&router, 1);
        let (_second, mut two) = expect(&router, 2);
        assert!(deliver(&router, ANSWER));
        assert_eq!(one.try_recv().unwrap(), ANSWER);
        assert_eq!(one.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(two.try_recv(), Err(mpsc::error::TryRecvError::Empty));
        assert!(!deliver(&router, ANSWER), "nobody waits for a second answer");
    }

    #[test]
    fn progress_goes_to_its_request_other_messages_to_the_newest_and_news_to_the_listener() {
        let router = Router::default();
        let (_first, mut one) = expect(&router, 1);
        let (_second, mut two) = expect(&router, 2);
        let mut listener = router.listen();
        for text in [PROGRESS, LOG, CHANGED] {
            assert!(deliver(&router, text));
        }
        assert_eq!(one.try_recv().unwrap(), PROGRESS);
        assert_eq!(two.try_recv().unwrap(), LOG);
        assert_eq!(listener.try_recv().unwrap(), CHANGED);
    }

    #[test]
    fn messages_wait_for_a_listener_and_are_given_once() {
        let router = Router::default();
        for _ in 0..BACKLOG_MESSAGES {
            assert!(deliver(&router, LOG));
        }
        assert!(!deliver(&router, LOG), "the backlog is full");
        let mut listener = router.listen();
        assert_eq!(listener.len(), BACKLOG_MESSAGES);
        drop(listener);
        assert!(deliver(&router, CHANGED), "kept again");
        listener = router.listen();
        assert_eq!(listener.try_recv().unwrap(), CHANGED);
        assert!(listener.try_recv().is_err());
    }

    #[test]
    fn what_a_client_did_not_wait_for_goes_to_its_listener_unless_it_is_an_answer() {
        let router = Router::default();
        let listener = router.listen();
        assert!(matches!(router.keep(&message(LOG)), Route::To(_)));
        assert!(matches!(router.keep(&message(ANSWER)), Route::Nowhere));
        drop(listener);
        assert!(matches!(router.keep(&message(LOG)), Route::Kept));
    }

    #[test]
    fn a_newer_listener_takes_the_place_of_an_older_one() {
        let router = Router::default();
        let mut old = router.listen();
        let mut new = router.listen();
        assert!(deliver(&router, LOG));
        assert_eq!(old.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(new.try_recv().unwrap(), LOG);
    }

    #[test]
    fn an_id_in_use_one_too_many_and_a_closed_session_are_refused() {
        let router = Router::default();
        let all: Vec<_> = (1..=4).map(|number| expect(&router, number)).collect();
        let refusal = |number| router.expect(&id(number), None, Carries::Everything, 4).map(|_| ());
        assert_eq!(refusal(1), Err(Refusal::IdInUse));
        assert_eq!(refusal(5), Err(Refusal::TooMany));
        router.forget(&all[0].0);
        assert_eq!(refusal(5), Ok(()));
        assert_eq!(router.close().len(), 4);
        assert_eq!(refusal(6), Err(Refusal::Closed));
    }

    #[test]
    fn a_late_ticket_does_not_forget_a_newer_request_with_its_id() {
        let router = Router::default();
        let (old, _answered) = expect(&router, 1);
        assert!(deliver(&router, ANSWER));
        let (_new, mut messages) = expect(&router, 1);
        router.forget(&old);
        assert!(deliver(&router, ANSWER));
        assert!(messages.try_recv().is_ok());
    }
}
