//! Results on standard output.

use std::fmt;
use std::io::{self, Write as _};

use data_encoding::HEXLOWER;
use serde::Serialize;

/// How much of a text from a certificate or a policy is shown.
const MAXIMUM_TEXT_BYTES: usize = 1024;

/// Prints one JSON object. A reader that has gone is no error.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints text. A reader that has gone is no error.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Bytes as people compare them.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// A text that a policy or a certificate gave, fit for a terminal.
pub(crate) fn printable(text: &str) -> String {
    portcullis_engine::printable(text, MAXIMUM_TEXT_BYTES)
}

/// Columns as wide as their widest cell; the last one is as long as it is.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.0.push(cells.iter().map(|&cell| cell.to_owned()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for row in &self.0 {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                line.push_str(&format!(" {cell:<width$}", width = width(column)));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
