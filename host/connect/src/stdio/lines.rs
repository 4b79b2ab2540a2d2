//! Lines of bounded length.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its line break.
    Complete(Bytes),
    /// There are no more lines.
    End,
    /// It was skipped.
    TooLong,
}

/// Reads lines, and never more than the maximum into memory.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    maximum_bytes: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, maximum_bytes: usize) -> Self {
        Self { reader, maximum_bytes }
    }

    /// The next line. Not to be called again after it was dropped half-way.
    pub(super) async fn next(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let limit = u64::try_from(self.maximum_bytes).unwrap_or(u64::MAX).saturating_add(1);
        (&mut self.reader).take(limit).read_until(b'\n', &mut line).await?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > self.maximum_bytes {
            drop(line);
            self.skip().await?;
            return Ok(Line::TooLong);
        } else if line.is_empty() {
            return Ok(Line::End);
        }
        Ok(Line::Complete(line.into()))
    }

    async fn skip(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf().await?;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let (used, is_over) = match end {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.reader.consume(used);
            if is_over {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        let mut lines = Lines::new(&b"four\n\nlonger\nfour\nlast"[..], 4);
        let complete = |text: &'static str| Line::Complete(Bytes::from_static(text.as_bytes()));
        let expected = [
            complete("four"),
            complete(""),
            Line::TooLong,
            complete("four"),
            complete("last"),
            Line::End,
        ];
        for line in expected {
            assert_eq!(lines.next().await.unwrap(), line);
        }
        let mut lines = Lines::new(&b"longer"[..], 4);
        assert_eq!(lines.next().await.unwrap(), Line::TooLong);
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }
}
