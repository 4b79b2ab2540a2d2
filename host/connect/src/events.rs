//! Server-Sent Events (WHATWG HTML, 9.2) as they come in, in chunks of any size.

use std::time::Duration;

/// One event, as far as MCP uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The lines of its data, joined by line breaks.
    pub(crate) data: Vec<u8>,
    /// What a client that lost the stream gives to go on after this event.
    pub(crate) id: Option<Vec<u8>>,
    /// Whether it is a `message`, which is also what an event without a type is.
    pub(crate) is_message: bool,
}

/// More bytes in one event than are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {0} bytes is not taken")]
pub(crate) struct TooLarge(pub(crate) usize);

/// Puts chunks together to events.
#[derive(Debug)]
pub(crate) struct Decoder {
    maximum_bytes: usize,
    line: Vec<u8>,
    /// A line feed after a carriage return ends the same line.
    after_return: bool,
    at_start: bool,
    data: Vec<u8>,
    has_data: bool,
    id: Option<Vec<u8>>,
    kind: Vec<u8>,
    retry: Option<Duration>,
}

impl Decoder {
    /// Takes events of at most so many bytes.
    pub(crate) fn new(maximum_bytes: usize) -> Self {
        Self {
            maximum_bytes,
            line: Vec::new(),
            after_return: false,
            at_start: true,
            data: Vec::new(),
            has_data: false,
            id: None,
            kind: Vec::new(),
            retry: None,
        }
    }

    /// How long the server asks to wait before the stream is asked for again.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The events that are complete with this chunk.
    pub(crate) fn push(&mut self, mut chunk: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        if self.after_return && !chunk.is_empty() {
            self.after_return = false;
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = chunk.split_at(end);
            self.hold(line)?;
            chunk = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
            events.extend(self.end_line());
        }
        self.hold(chunk)?;
        Ok(events)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.line.len() + self.data.len() + bytes.len() > self.maximum_bytes {
            return Err(TooLarge(self.maximum_bytes));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" if !self.has_data => {
                self.has_data = true;
                // Most events are one line: it is not copied.
                let start = line.len() - value.len();
                self.data = line;
                self.data.drain(..start);
            }
            b"data" => {
                self.data.push(b'\n');
                self.data.extend_from_slice(value);
            }
            b"event" => self.kind = value.to_vec(),
            b"id" if !value.contains(&0) => self.id = Some(value.to_vec()),
            b"retry" => {
                let milliseconds =
                    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.retry = milliseconds.map(Duration::from_millis).or(self.retry);
            }
            // Comments, and what nobody knows.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let (data, id) = (std::mem::take(&mut self.data), self.id.take());
        let has_data = std::mem::take(&mut self.has_data);
        let is_message = kind.is_empty() || kind == b"message";
        (has_data || id.is_some()).then_some(Event { data, id, is_message })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::new(1000);
        chunks.iter().flat_map(|chunk| decoder.push(chunk).unwrap()).collect()
    }

    fn message(data: &str, id: Option<&str>) -> Event {
        let id = id.map(|id| id.as_bytes().to_vec());
        Event { data: data.as_bytes().to_vec(), id, is_message: true }
    }

    #[test]
    fn events_have_data_and_perhaps_an_id() {
        let stream = b"data: {}\n\nid: 7\nevent: message\ndata:a\ndata: b\n\n";
        assert_eq!(events(&[stream]), [message("{}", None), message("a\nb", Some("7"))]);
    }

    #[test]
    fn an_event_without_data_still_tells_its_id() {
        assert_eq!(events(&[b"id: 1\ndata:\n\n"]), [message("", Some("1"))]);
        assert_eq!(events(&[b"id: 1\n\n"]), [message("", Some("1"))]);
    }

    #[test]
    fn comments_unknown_fields_and_unfinished_events_are_nothing() {
        assert_eq!(events(&[b":\n\n: hello\nnonsense\nfoo: bar\n\ndata: unfinished\n"]), []);
    }

    #[test]
    fn an_event_of_another_type_is_no_message() {
        let event = Event { is_message: false, ..message("/messages", None) };
        assert_eq!(events(&[b"event: endpoint\ndata: /messages\n\n"]), [event]);
    }

    #[test]
    fn every_kind_of_line_break_and_a_byte_order_mark_are_understood() {
        for stream in ["\u{feff}data: a\r\n\r\n", "data: a\r\r", "data: a\n\r\n"] {
            assert_eq!(events(&[stream.as_bytes()]), [message("a", None)], "{stream:?}");
        }
    }

    #[test]
    fn the_delay_before_a_new_attempt_is_kept() {
        let mut decoder = Decoder::new(100);
        decoder.push(b"retry: 1500\nretry: soon\n\n").unwrap();
        assert_eq!(decoder.retry(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_line_or_an_event_that_is_too_long_is_refused_before_it_is_held() {
        let mut decoder = Decoder::new(10);
        assert!(decoder.push(b"data: abcd").is_ok());
        assert_eq!(decoder.push(b"e"), Err(TooLarge(10)));
        let mut decoder = Decoder::new(10);
        decoder.push(b"data: abcd\n").unwrap();
        assert_eq!(decoder.push(b"data: e\n"), Err(TooLarge(10)));
    }

    proptest! {
        #[test]
        fn where_chunks_end_changes_nothing(
            stream in "(data: ?[a-c]{0,3}|id: [0-9]|event: message|:|retry: 5|)(\n|\r|\r\n|\n\n){1,2}"
                .prop_flat_map(|part| proptest::collection::vec(Just(part), 1..6)),
            more in proptest::collection::vec(
                "(data: ?[a-c]{0,3}|id: [0-9]|event: message|:|x)?(\n|\r|\r\n|\n\n)", 0..8),
            cuts in proptest::collection::vec(0_usize..80, 0..8),
        ) {
            let stream = stream.concat() + &more.concat();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.sort_unstable();
            cuts.push(stream.len());
            let mut start = 0;
            let chunks: Vec<&[u8]> = cuts
                .into_iter()
                .map(|end| {
                    let chunk = &stream.as_bytes()[start..end];
                    start = end;
                    chunk
                })
                .collect();
            prop_assert_eq!(events(&chunks), events(&[stream.as_bytes()]));
        }

        #[test]
        fn no_bytes_make_it_panic_or_hold_too_much(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
        ) {
            let mut decoder = Decoder::new(50);
            for chunk in &chunks {
                match decoder.push(chunk) {
                    Ok(events) => {
                        prop_assert!(events.iter().all(|event| event.data.len() <= 50));
                    }
                    Err(_) => break,
                }
            }
        }
    }
}
