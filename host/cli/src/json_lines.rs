//! A line of JSON for each event of the log.
//!
//! It says what tracing-subscriber's own format says, for less than half the work: a line is written for each request.

use std::fmt;
use std::str::from_utf8;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Most lines are shorter.
const ROOM: usize = 512;
/// The target of what comes from the crate `log`, whose own target is in a field.
const OF_LOG: &str = "log";

/// Writes events that stand alone; the others go to the format that it holds.
pub(crate) struct JsonLines(Format<Json>);

impl JsonLines {
    pub(crate) fn new() -> Self {
        Self(tracing_subscriber::fmt::format().json().flatten_event(true))
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let in_span = event.parent().is_some() || context.lookup_current().is_some();
        if in_span || metadata.target() == OF_LOG {
            return self.0.format_event(context, writer, event);
        }
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Line(Vec::with_capacity(ROOM), Ok(()));
        line.member("timestamp", &time);
        line.member("level", metadata.level().as_str());
        event.record(&mut line);
        line.member("target", metadata.target());
        line.0.extend_from_slice(b"}\n");
        line.1?;
        writer.write_str(from_utf8(&line.0).map_err(|_| fmt::Error)?)
    }
}

/// A line up to its last member, and whether all of them could be written.
struct Line(Vec<u8>, fmt::Result);

impl Line {
    fn member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        let name = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let value = serde_json::to_writer(&mut self.0, value);
        if name.and(value).is_err() {
            self.1 = Err(fmt::Error);
        }
    }
}

impl Visit for Line {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field.name(), &format!("{value:?}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of some events, without their times.
    fn lines(events: impl Fn(), own: bool) -> Vec<String> {
        let written = Written::default();
        let writer = Written(Arc::clone(&written.0));
        let builder = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let _logs = if own {
            builder.event_format(JsonLines::new()).fmt_fields(JsonFields::new()).set_default()
        } else {
            builder.json().flatten_event(true).with_ansi(false).set_default()
        };
        events();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let without_time = |line: &str| {
            let object: Value = serde_json::from_str(line).unwrap();
            let time = object["timestamp"].as_str().unwrap();
            assert!(line.starts_with(&format!("{{\"timestamp\":\"{time}\",")), "{line}");
            line.replacen(time, "", 1)
        };
        text.lines().map(without_time).collect()
    }

    #[test]
    fn every_line_is_as_tracing_subscriber_writes_it() {
        let events = || {
            let none: Option<&str> = None;
            let error: &(dyn std::error::Error + 'static) = &fmt::Error;
            tracing::info!(target: "portcullis::request", a = 1u64, b = -1, c = 0.5, d = f64::NAN, e = true);
            tracing::warn!(
                text = "\"quoted\"\n\u{1}é\u{2028}",
                none,
                some = Some("x"),
                "a message of {} words",
                4
            );
            tracing::error!(debug = ?vec![1, 2], display = %"d", error, r#type = 1, big = u128::MAX);
            tracing::info_span!("span", x = 1).in_scope(|| tracing::info!(y = 2, "inside"));
            tracing::info!("");
        };
        assert_eq!(lines(events, true), lines(events, false));
    }
}
