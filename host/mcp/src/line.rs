//! One line of a server's standard output: one message. A long one waits in a file, so that memory stays bounded.

use std::io::{self, BufReader as StdBufReader, Seek as _};

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _};

use crate::message::{Kind, Message, MessageError};

/// A line of more bytes than this is long.
pub(crate) const LONG: usize = 1024 * 1024;

/// What a client is to get, without any line breaks.
#[derive(Debug)]
pub(crate) enum Line {
    Short(Bytes),
    Long(LongLine),
}

/// A line in a file that has no name, and is gone with it.
#[derive(Debug)]
pub(crate) struct LongLine(File);

/// What comes next of a server's output.
#[derive(Debug)]
pub(crate) enum Next {
    Line(Line),
    TooLong,
    End,
}

impl Next {
    /// Reads to the next line break or the end.
    pub(crate) async fn read(
        output: &mut (impl AsyncBufRead + Unpin),
        maximum_bytes: usize,
    ) -> io::Result<Self> {
        let mut line = Vec::new();
        let limit = LONG.min(maximum_bytes);
        output.take(size(limit) + 1).read_until(b'\n', &mut line).await?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > maximum_bytes {
            return Ok(Self::TooLong);
        } else if line.len() > limit {
            return read_long(&line, output, maximum_bytes).await;
        } else if line.is_empty() {
            return Ok(Self::End);
        }
        Ok(Self::Line(Line::Short(line.into())))
    }
}

/// The rest of a line that turned out to be long.
async fn read_long(
    begin: &[u8],
    output: &mut (impl AsyncBufRead + Unpin),
    maximum_bytes: usize,
) -> io::Result<Next> {
    let file =
        tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(io::Error::other)??;
    let mut file = File::from_std(file);
    let mut length = begin.len();
    file.write_all(&without_breaks(begin)).await?;
    loop {
        let buffer = output.fill_buf().await?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        length += part.len();
        if length > maximum_bytes {
            return Ok(Next::TooLong);
        }
        file.write_all(&without_breaks(part)).await?;
        let is_last = end.is_some() || buffer.is_empty();
        let read = part.len() + usize::from(end.is_some());
        output.consume(read);
        if is_last {
            file.flush().await?;
            return Ok(Next::Line(Line::Long(LongLine(file))));
        }
    }
}

/// A carriage return in valid JSON stands between tokens. For an event stream it would end a line.
fn without_breaks(part: &[u8]) -> Vec<u8> {
    part.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte }).collect()
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Line {
    /// Reads which message it is.
    pub(crate) async fn parse(self) -> io::Result<Result<(Kind, Self), MessageError>> {
        match self {
            Self::Short(bytes) => {
                Ok(Message::parse(bytes).map(|message| (message.kind, Self::Short(message.line))))
            }
            Self::Long(line) => line.parse().await,
        }
    }
}

impl LongLine {
    async fn parse(self) -> io::Result<Result<(Kind, Line), MessageError>> {
        let mut file = self.0.into_std().await;
        let reading = move || -> io::Result<_> {
            file.rewind()?;
            let kind = Kind::of_long(StdBufReader::with_capacity(64 * 1024, &file));
            file.rewind()?;
            Ok((kind, file))
        };
        let (kind, file) =
            tokio::task::spawn_blocking(reading).await.map_err(io::Error::other)??;
        Ok(kind.map(|kind| (kind, Line::Long(Self(File::from_std(file))))))
    }

    /// To be read from its begin to its end.
    pub(crate) fn into_file(self) -> File {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(mut text: &[u8], maximum_bytes: usize) -> Next {
        Next::read(&mut text, maximum_bytes).await.unwrap()
    }

    #[tokio::test]
    async fn a_line_ends_at_its_break_or_with_the_output() {
        let short = |next| match next {
            Next::Line(Line::Short(line)) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(short(next(b"ab\ncd", 9).await), "ab");
        assert_eq!(short(next(b"ab", 9).await), "ab");
        assert_eq!(short(next(b"\n", 9).await), "");
        assert!(matches!(next(b"", 9).await, Next::End));
        assert!(matches!(next(b"abcd\n", 3).await, Next::TooLong));
    }

    #[tokio::test]
    async fn a_long_line_keeps_its_kind_and_its_bytes() {
        let text =
            format!("{{\"result\":\r\"{}\",\"jsonrpc\":\"2.0\",\"id\":7}}", "x".repeat(LONG));
        let output = format!("{text}\n{{}}");
        let mut rest = output.as_bytes();
        let Next::Line(line) = Next::read(&mut rest, 2 * LONG).await.unwrap() else {
            panic!("no line");
        };
        assert_eq!(rest, b"{}");
        let (kind, line) = line.parse().await.unwrap().unwrap();
        assert!(matches!(kind, Kind::Response { is_error: false, .. }), "{kind:?}");
        let Line::Long(line) = line else { panic!("not long") };
        let mut read = String::new();
        line.into_file().read_to_string(&mut read).await.unwrap();
        assert_eq!(read, text.replace('\r', " "));
        assert!(matches!(next(output.as_bytes(), LONG + 10).await, Next::TooLong));
    }
}
