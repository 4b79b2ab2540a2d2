use bytes::Bytes;

use super::*;
use crate::message::Message;

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn line(event: Event) -> Bytes {
    match event.line {
        Line::Short(line) => line,
        Line::Long(_) => unreachable!(),
    }
}

fn next(messages: &mut mpsc::Receiver<Event>) -> Result<Bytes, mpsc::error::TryRecvError> {
    messages.try_recv().map(line)
}

fn id(number: u32) -> Id {
    match message(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":1}}"#)).kind {
        Kind::Response { id, .. } => id,
        _ => unreachable!(),
    }
}

fn expect(router: &Router, number: u32) -> (Ticket, mpsc::Receiver<Event>) {
    router.expect(&id(number), Some(&id(number + 100)), Carries::Everything, 4).unwrap()
}

/// Delivers, and tells whether it went anywhere.
fn deliver(router: &Router, text: &str) -> bool {
    let message = message(text);
    match router.route(&message.kind, Line::Short(message.line)) {
        Route::To(stream, event) => stream.try_send(event).is_ok(),
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
    assert_eq!(next(&mut one).unwrap(), ANSWER);
    assert_eq!(next(&mut one), Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(next(&mut two), Err(mpsc::error::TryRecvError::Empty));
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
    assert_eq!(next(&mut one).unwrap(), PROGRESS);
    assert_eq!(next(&mut two).unwrap(), LOG);
    assert_eq!(next(&mut listener).unwrap(), CHANGED);
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
    assert_eq!(next(&mut listener).unwrap(), CHANGED);
    assert!(next(&mut listener).is_err());
}

#[test]
fn what_a_client_did_not_wait_for_goes_to_its_listener_unless_it_is_an_answer() {
    let router = Router::default();
    let listener = router.listen();
    let keep = |text| {
        let message = message(text);
        router.keep(&message.kind, Event { id: None, line: Line::Short(message.line) })
    };
    assert!(matches!(keep(LOG), Route::To(..)));
    assert!(matches!(keep(ANSWER), Route::Nowhere));
    drop(listener);
    assert!(matches!(keep(LOG), Route::Kept));
}

#[test]
fn a_newer_listener_takes_the_place_of_an_older_one() {
    let router = Router::default();
    let mut old = router.listen();
    let mut new = router.listen();
    assert!(deliver(&router, LOG));
    assert_eq!(next(&mut old), Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(next(&mut new).unwrap(), LOG);
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
    assert!(next(&mut messages).is_ok());
}

fn expect_resumable(router: &Router, number: u32) -> (Ticket, mpsc::Receiver<Event>) {
    router.expect(&id(number), None, Carries::EverythingResumable, 4).unwrap()
}

#[test]
fn a_request_whose_client_is_away_waits_for_it_to_come_back() {
    let router = Router::default();
    let (ticket, mut lost) = expect_resumable(&router, 1);
    assert!(deliver(&router, LOG));
    let seen = lost.try_recv().unwrap().id.unwrap();
    drop(lost);
    router.forget(&ticket);
    assert!(deliver(&router, LOG), "kept while it is away");
    let (again, mut messages) = router.resume(seen).unwrap();
    assert_eq!(next(&mut messages).unwrap(), LOG);
    router.forget(&ticket);
    assert!(deliver(&router, ANSWER));
    assert_eq!(next(&mut messages).unwrap(), ANSWER, "the loss was noticed late");
    assert_eq!(next(&mut messages), Err(mpsc::error::TryRecvError::Disconnected));
    assert!(again.is_some());
    // It may lose the answer, too.
    let (over, mut messages) = router.resume(seen).unwrap();
    assert!(over.is_none());
    assert_eq!(next(&mut messages).unwrap(), LOG);
    assert_eq!(next(&mut messages).unwrap(), ANSWER);
    assert_eq!(next(&mut messages), Err(mpsc::error::TryRecvError::Disconnected));
    assert!(router.resume(EventId { stream: 7, number: 0 }).is_none());
}

#[test]
fn a_listener_that_comes_back_gets_what_it_missed_once() {
    let router = Router::default();
    let mut listener = router.listen();
    assert!(deliver(&router, LOG));
    assert!(deliver(&router, CHANGED));
    let seen = listener.try_recv().unwrap().id.unwrap();
    drop(listener);
    assert!(deliver(&router, LOG), "kept in the backlog");
    let (_, mut messages) = router.resume(seen).unwrap();
    for text in [CHANGED, LOG] {
        assert_eq!(next(&mut messages).unwrap(), text);
    }
    assert!(deliver(&router, CHANGED));
    assert_eq!(next(&mut messages).unwrap(), CHANGED);
    assert_eq!(next(&mut messages), Err(mpsc::error::TryRecvError::Empty));
}

#[test]
fn requests_whose_clients_are_away_make_room() {
    let router = Router::default();
    let tickets: Vec<Ticket> = (1..=4).map(|number| expect_resumable(&router, number).0).collect();
    let refusal = |number| router.expect(&id(number), None, Carries::Everything, 4).map(|_| ());
    assert_eq!(refusal(5), Err(Refusal::TooMany), "nobody has noticed yet");
    tickets.iter().for_each(|ticket| router.forget(ticket));
    assert_eq!(refusal(5), Ok(()));
    assert!(router.resume(tickets[0].before_first()).is_none(), "the oldest made room");
    assert!(router.resume(tickets[1].before_first()).is_some());
    assert_eq!(refusal(3), Ok(()), "asked again");
}
