//! Which stream of its client a server's message belongs on. No sockets, no process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::history::History;
use crate::line::Line;
use crate::message::{Id, Kind};
use crate::reply;
use crate::sse::{Event, EventId};

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
    /// How many requests there were. Each has the stream of its number.
    started: u64,
    /// How many events there were.
    events: u64,
    waiting: HashMap<Id, Waiting>,
    listener: Option<mpsc::Sender<Event>>,
    /// Events for the listener, until there is one.
    backlog: VecDeque<Event>,
    backlog_bytes: usize,
    history: History,
}

/// The stream of what belongs to no request.
const LISTENER: u64 = 0;

/// A request of the client that has no answer yet.
#[derive(Clone, Debug)]
struct Waiting {
    /// None while its client is away.
    stream: Option<mpsc::Sender<Event>>,
    progress_token: Option<Id>,
    carries: Carries,
    number: u64,
}

/// What a request's stream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// The answer, and whatever the server says before it.
    Everything,
    /// As [`Self::Everything`], and its client may lose it and come back.
    EverythingResumable,
    /// The answer.
    OnlyTheAnswer,
}

/// Where a message goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// It is kept until the client comes for it.
    Kept,
    /// To nobody, for want of room or because nobody asked.
    Nowhere,
    /// Onto this stream.
    To(mpsc::Sender<Event>, Event),
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

impl Ticket {
    /// The id before the first one of the request's stream.
    pub(crate) fn before_first(&self) -> EventId {
        EventId { stream: self.number, number: 0 }
    }
}

impl Router {
    /// Makes a stream for the answer to a request, before the request is sent.
    pub(crate) fn expect(
        &self,
        id: &Id,
        progress_token: Option<&Id>,
        carries: Carries,
        maximum: usize,
    ) -> Result<(Ticket, mpsc::Receiver<Event>), Refusal> {
        let mut streams = self.streams();
        if streams.closed {
            return Err(Refusal::Closed);
        }
        match streams.waiting.get(id) {
            Some(waiting) if waiting.stream.is_some() => return Err(Refusal::IdInUse),
            // Its client is away, and asks again rather than resume.
            Some(_) => drop(streams.waiting.remove(id)),
            None => {}
        }
        if streams.waiting.len() >= maximum && !streams.forget_one_away() {
            return Err(Refusal::TooMany);
        }
        let (stream, messages) = mpsc::channel(STREAM_MESSAGES);
        streams.started += 1;
        let number = streams.started;
        let progress_token = progress_token.cloned();
        let waiting = Waiting { stream: Some(stream), progress_token, carries, number };
        streams.waiting.insert(id.clone(), waiting);
        Ok((Ticket { id: id.clone(), number }, messages))
    }

    /// A client is gone. Its request waits on if it may be resumed, unless somebody has resumed it.
    pub(crate) fn forget(&self, ticket: &Ticket) {
        let mut streams = self.streams();
        // The client may have used the id again once it was answered.
        let Some(waiting) = streams.waiting.get_mut(&ticket.id) else { return };
        if waiting.number != ticket.number {
            return;
        }
        if waiting.carries != Carries::EverythingResumable {
            streams.waiting.remove(&ticket.id);
        } else if waiting.stream.as_ref().is_some_and(mpsc::Sender::is_closed) {
            waiting.stream = None;
        }
    }

    /// The client cancelled a request: its stream ends.
    pub(crate) fn cancel(&self, id: &Id) {
        self.streams().waiting.remove(id);
    }

    /// Makes the stream for messages that belong to no request. It takes the place of an earlier one: a client that
    /// lost its connection comes back before the loss is noticed here.
    pub(crate) fn listen(&self) -> mpsc::Receiver<Event> {
        let mut streams = self.streams();
        let backlog = std::mem::take(&mut streams.backlog);
        streams.listen(backlog)
    }

    /// Goes on with a stream after an event of it. None if there is nothing to go on with.
    pub(crate) fn resume(&self, last: EventId) -> Option<(Option<Ticket>, mpsc::Receiver<Event>)> {
        let mut streams = self.streams();
        let mut missed: VecDeque<Event> = streams
            .history
            .after(last)
            .map(|(id, line)| Event { id: Some(id), line: Line::Short(line) })
            .collect();
        if last.stream == LISTENER {
            let newest = missed.back().and_then(|event| event.id).unwrap_or(last).number;
            let newer = |event: &Event| event.id.is_some_and(|id| id.number > newest);
            missed.extend(std::mem::take(&mut streams.backlog).into_iter().filter(newer));
            return Some((None, streams.listen(missed)));
        }
        let (stream, messages) = mpsc::channel(missed.len() + STREAM_MESSAGES);
        let is_over = missed.is_empty();
        send_all(&stream, missed);
        let resumed = streams.waiting.iter_mut().find(|(_, waiting)| {
            waiting.number == last.stream && waiting.carries == Carries::EverythingResumable
        });
        match resumed {
            Some((id, waiting)) => {
                waiting.stream = Some(stream);
                Some((Some(Ticket { id: id.clone(), number: waiting.number }), messages))
            }
            None => (!is_over).then_some((None, messages)),
        }
    }

    /// Finds the stream for a message of the server.
    pub(crate) fn route(&self, kind: &Kind, line: Line) -> Route {
        let mut streams = self.streams();
        match kind {
            Kind::Response { id, .. } => match streams.waiting.remove(id) {
                Some(waiting) => streams.offer_request(&waiting, line, Some(id)),
                None => Route::Nowhere,
            },
            Kind::Notification { method, about: Some(token) }
                if method == "notifications/progress" =>
            {
                let of_request =
                    |waiting: &&Waiting| waiting.progress_token.as_ref() == Some(token);
                match streams.waiting.values().find(of_request).cloned() {
                    Some(waiting) if waiting.carries != Carries::OnlyTheAnswer => {
                        streams.offer_request(&waiting, line, None)
                    }
                    _ => streams.offer_listener(line),
                }
            }
            Kind::Notification { method, .. } if is_about_the_session(method) => {
                streams.offer_listener(line)
            }
            _ => streams.offer_newest_request(line),
        }
    }

    /// Finds another place for a message whose stream turned out to be gone.
    pub(crate) fn keep(&self, kind: &Kind, event: Event) -> Route {
        match event.id {
            Some(id) if id.stream == LISTENER => self.streams().keep(event),
            // It is in the history already.
            Some(_) => Route::Kept,
            // An answer belongs on the stream of its request or nowhere.
            None if matches!(kind, Kind::Response { .. }) => Route::Nowhere,
            None => self.streams().offer_listener(event.line),
        }
    }

    /// Takes no more requests, and gives back the streams of those that had no answer.
    pub(crate) fn close(&self) -> Vec<(Id, mpsc::Sender<Event>)> {
        let mut streams = self.streams();
        streams.closed = true;
        streams.listener = None;
        streams.backlog.clear();
        streams.history = History::default();
        let waiting = streams.waiting.drain();
        waiting.filter_map(|(id, waiting)| Some((id, waiting.stream?))).collect()
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn event(&mut self, stream: u64, line: Line) -> Event {
        self.events += 1;
        let id = EventId { stream, number: self.events };
        if let Line::Short(line) = &line {
            self.history.record(id, line.clone());
        }
        Event { id: Some(id), line }
    }

    fn offer_request(&mut self, waiting: &Waiting, line: Line, answered: Option<&Id>) -> Route {
        let is_long = matches!(line, Line::Long(_));
        let event = match waiting.carries {
            Carries::EverythingResumable => self.event(waiting.number, line),
            _ => Event { id: None, line },
        };
        if let (true, Some(id), Some(event_id)) = (is_long, answered, event.id) {
            let text = "the answer is too long to be sent again: make the request again";
            let error = reply::error_message(Some(id), reply::INTERNAL_ERROR, text);
            self.history.record(event_id, error);
        }
        match &waiting.stream {
            Some(stream) => Route::To(stream.clone(), event),
            None if is_long && answered.is_none() => Route::Nowhere,
            None => Route::Kept,
        }
    }

    /// What a server says or asks while it works most likely concerns the newest request: standard output does
    /// not tell.
    fn offer_newest_request(&mut self, line: Line) -> Route {
        let open =
            self.waiting.values().filter(|waiting| waiting.carries != Carries::OnlyTheAnswer);
        match open.max_by_key(|waiting| (waiting.stream.is_some(), waiting.number)).cloned() {
            Some(waiting) => self.offer_request(&waiting, line, None),
            None => self.offer_listener(line),
        }
    }

    fn offer_listener(&mut self, line: Line) -> Route {
        let event = self.event(LISTENER, line);
        match self.listener.as_ref().filter(|listener| !listener.is_closed()) {
            Some(listener) => Route::To(listener.clone(), event),
            None => self.keep(event),
        }
    }

    fn keep(&mut self, event: Event) -> Route {
        self.listener = None;
        let Line::Short(line) = &event.line else { return Route::Nowhere };
        let bytes = self.backlog_bytes.saturating_add(line.len());
        if self.closed || self.backlog.len() >= BACKLOG_MESSAGES || bytes > BACKLOG_BYTES {
            return Route::Nowhere;
        }
        self.backlog_bytes = bytes;
        self.backlog.push_back(event);
        Route::Kept
    }

    fn listen(&mut self, missed: VecDeque<Event>) -> mpsc::Receiver<Event> {
        let (stream, messages) = mpsc::channel(missed.len().max(BACKLOG_MESSAGES));
        send_all(&stream, missed);
        self.backlog_bytes = 0;
        if !self.closed {
            self.listener = Some(stream);
        }
        messages
    }

    /// Makes room at the cost of the oldest request whose client is away.
    fn forget_one_away(&mut self) -> bool {
        let away = self.waiting.iter().filter(|(_, waiting)| waiting.stream.is_none());
        let oldest = away.min_by_key(|(_, waiting)| waiting.number).map(|(id, _)| id.clone());
        oldest.is_some_and(|id| self.waiting.remove(&id).is_some())
    }
}

/// Into a stream that has room for them.
fn send_all(stream: &mpsc::Sender<Event>, events: VecDeque<Event>) {
    for event in events {
        let _ = stream.try_send(event);
    }
}

/// News that no request asked for.
fn is_about_the_session(method: &str) -> bool {
    method == "notifications/resources/updated" || method.ends_with("/list_changed")
}

#[cfg(test)]
mod tests;
