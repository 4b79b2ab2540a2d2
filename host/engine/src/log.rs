//! What policies say, in the operator's log.

use portcullis_core::{LogLine, printable};

/// Lines that one call may log, and the bytes kept of each.
const MAXIMUM_LINES: usize = 32;
pub(crate) const MAXIMUM_LINE_BYTES: usize = 1024;

/// What one call writes: through the contract, and to its standard streams.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    lines: Vec<LogLine>,
    /// What came after the last end of a line.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A standard stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

impl CallLog {
    /// One line, dropped when there are enough.
    pub(crate) fn message(&mut self, level: &'static str, text: &str) {
        if self.lines.len() < MAXIMUM_LINES {
            self.lines.push(LogLine { level, text: printable(text, MAXIMUM_LINE_BYTES) });
        }
    }

    /// Bytes of a standard stream, which become a line of the log at each end of a line.
    pub(crate) fn write(&mut self, output: Output, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = part.strip_suffix(b"\n");
            let begun = match output {
                Output::Stdout => &mut self.stdout,
                Output::Stderr => &mut self.stderr,
            };
            // One byte more than is kept, by which a line is known to be cut.
            let room = (MAXIMUM_LINE_BYTES + 1).saturating_sub(begun.len());
            let kept = line.unwrap_or(part);
            begun.extend_from_slice(kept.get(..room).unwrap_or(kept));
            if line.is_some() {
                self.end_line(output);
            }
        }
    }

    /// All lines, the last of a stream without an end of line too.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        if !self.stdout.is_empty() {
            self.end_line(Output::Stdout);
        }
        if !self.stderr.is_empty() {
            self.end_line(Output::Stderr);
        }
        std::mem::take(&mut self.lines)
    }

    /// What goes to standard error is a warning, since a runtime's own complaints go there.
    fn end_line(&mut self, output: Output) {
        let (level, begun) = match output {
            Output::Stdout => ("info", &mut self.stdout),
            Output::Stderr => ("warn", &mut self.stderr),
        };
        let line = std::mem::take(begun);
        self.message(level, &String::from_utf8_lossy(&line));
    }
}

/// Passes a policy's lines on, each at its own level, with the target `portcullis::policy`.
pub(crate) fn forward(policy: &str, lines: &[LogLine]) {
    for LogLine { level, text } in lines {
        match *level {
            "error" => tracing::error!(target: "portcullis::policy", policy, "{text}"),
            "warn" => tracing::warn!(target: "portcullis::policy", policy, "{text}"),
            "debug" => tracing::debug!(target: "portcullis::policy", policy, "{text}"),
            _ => tracing::info!(target: "portcullis::policy", policy, "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &mut CallLog) -> Vec<(&'static str, String)> {
        log.take().into_iter().map(|line| (line.level, line.text)).collect()
    }

    #[test]
    fn a_line_that_comes_in_parts_is_one_line() {
        let mut log = CallLog::default();
        log.write(Output::Stdout, b"a li");
        log.write(Output::Stderr, b"a com");
        log.write(Output::Stdout, b"ne\nand an");
        log.write(Output::Stderr, b"plaint\n");
        log.write(Output::Stdout, b"other");
        let expected = [("info", "a line"), ("warn", "a complaint"), ("info", "and another")];
        assert_eq!(lines(&mut log), expected.map(|(level, text)| (level, text.to_owned())));
        assert_eq!(lines(&mut log), []);
    }

    #[test]
    fn a_stream_without_an_end_is_cut_and_marked() {
        let mut log = CallLog::default();
        for _ in 0..1000 {
            log.write(Output::Stdout, &[b'a'; 999]);
        }
        let lines = lines(&mut log);
        assert_eq!(lines, [("info", format!("{}…", "a".repeat(MAXIMUM_LINE_BYTES)))]);
    }

    #[test]
    fn there_are_as_many_lines_as_the_contract_says_from_all_together() {
        let mut log = CallLog::default();
        log.message("debug", "first");
        log.write(Output::Stdout, "\n".repeat(100).as_bytes());
        log.message("error", "last");
        assert_eq!(log.take().len(), MAXIMUM_LINES);
    }

    #[test]
    fn what_is_no_text_does_no_harm() {
        let mut log = CallLog::default();
        log.write(Output::Stderr, b"\xff\x1b[2J\r\n");
        assert_eq!(lines(&mut log), [("warn", "\u{fffd}\\u{1b}[2J\\r".to_owned())]);
    }
}
