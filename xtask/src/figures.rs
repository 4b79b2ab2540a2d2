//! What a bench found: tables of figures, and ratios against what was measured beside them, with the machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::components;

/// What a bench found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figures {
    /// The bench.
    pub bench: String,
    /// Where and when.
    pub machine: Machine,
    /// By name, `ratio_to_nginx` for instance; in JSON beside the other members.
    #[serde(flatten)]
    pub ratios: BTreeMap<String, f64>,
    /// The figures.
    pub tables: Vec<Table>,
}

/// Where and when something was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    /// The model of the processor.
    pub processor: String,
    /// As many threads run at the same time.
    pub cores: usize,
    /// The kernel.
    pub kernel: String,
    /// The compiler.
    pub rust: String,
    /// UTC, RFC 3339.
    pub time: String,
    /// The commit, with a `+` where files differ from it.
    pub commit: String,
}

/// Subjects and what was measured of each.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Table {
    /// What the rows are.
    pub title: String,
    /// What is measured, with the unit. The chart shows the first.
    pub columns: Vec<String>,
    /// The subjects.
    pub rows: Vec<Row>,
}

/// What was measured of one subject.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The subject.
    pub name: String,
    /// A value of each column; none where it does not apply.
    pub values: Vec<Option<Spread>>,
}

/// A value that was measured several times.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
}

impl Figures {
    /// Nothing yet, on this machine.
    #[must_use]
    pub fn new(bench: &str) -> Self {
        Self {
            bench: bench.to_owned(),
            machine: Machine::this(),
            ratios: BTreeMap::new(),
            tables: Vec::new(),
        }
    }

    /// Adds a ratio.
    pub fn ratio(&mut self, name: &str, ratio: f64) {
        self.ratios.insert(name.to_owned(), ratio);
    }

    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// All of it for people to read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("\n{}: {}\n", self.bench, self.machine.text());
        for table in &self.tables {
            out.push('\n');
            out.push_str(&table.text());
        }
        if !self.ratios.is_empty() {
            out.push('\n');
        }
        for (name, ratio) in &self.ratios {
            let _ = writeln!(out, "{name} = {ratio:.2}");
        }
        out
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }

    /// Reads what [`Figures::write`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is another's.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// Writes JSON for people to read too.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))
}

impl Machine {
    /// This one, now. What cannot be found out is "unknown".
    #[must_use]
    pub fn this() -> Self {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = information
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == "model name")
            .map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned());
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: said_by("uname", &["-sr"]),
            rust: said_by("rustc", &["--version"]),
            time: said_by("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            commit: said_by("git", &["describe", "--always", "--exclude=*", "--dirty=+"]),
        }
    }

    /// On one line.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { processor, cores, kernel, rust, time, commit } = self;
        format!("{processor}, {cores} cores, {kernel}, {rust}, {time}, commit {commit}")
    }
}

/// What a program prints in this repository, on one line.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(components::root()).output().ok();
    let text = output.filter(|output| output.status.success()).map(|output| output.stdout);
    text.and_then(|text| String::from_utf8(text).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

impl Table {
    /// Without rows yet.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a subject, with a value for each column.
    pub fn row(&mut self, name: &str, values: impl IntoIterator<Item = Option<Spread>>) {
        self.rows.push(Row { name: name.to_owned(), values: values.into_iter().collect() });
    }

    /// For people to read: columns of the same width.
    fn text(&self) -> String {
        let heads = std::iter::once(self.title.clone()).chain(self.columns.iter().cloned());
        let mut lines: Vec<Vec<String>> = vec![heads.collect()];
        for row in &self.rows {
            let values = row.values.iter().map(|value| value.map_or(String::new(), Spread::text));
            lines.push(std::iter::once(row.name.clone()).chain(values).collect());
        }
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..=self.columns.len()).map(width).collect();
        let mut out = String::new();
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                let _ = match column {
                    0 => write!(text, "{cell:<width$}"),
                    _ => write!(text, "  {cell:>width$}"),
                };
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
        out
    }
}

impl Spread {
    /// Of values in any order; none of no values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*values.first()?, *values.last()?);
        let median = *values.get(values.len() / 2)?;
        Some(Self { median, minimum, maximum })
    }

    /// Of a value that was measured once.
    #[must_use]
    pub fn once(value: f64) -> Option<Self> {
        Self::of([value])
    }

    /// The median, with the range where there is one.
    #[must_use]
    pub fn text(self) -> String {
        let median = number(self.median);
        if self.minimum == self.maximum {
            return median;
        }
        format!("{median} ({}–{})", number(self.minimum), number(self.maximum))
    }
}

/// With as many digits as mean something, and thousands set apart.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        1000.0.. => 0,
        100.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", grouped(whole)),
        None => grouped(&text),
    }
}

/// The digits of a whole number with thousands set apart.
#[must_use]
pub fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let mut figures = Figures::new("proxy");
        let mut table = Table::new("a call", &["requests/s", "p99 µs"]);
        table.row("nginx", [Spread::of([49_000.0, 50_000.5, 48_000.0]), Spread::once(2.5)]);
        table.row("the gate", [Spread::once(27_000.0), None]);
        figures.table(table);
        figures.ratio("ratio_to_nginx", 0.55);
        figures
    }

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let spread = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(spread, Some(Spread { median: 2.0, minimum: 1.0, maximum: 3.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let all = [0.0, 0.123, 99.5, 123.45, -1234.5, 999_999.6, 1_234_567.0].map(number);
        assert_eq!(all, ["0.00", "0.12", "99.50", "123.5", "-1,234", "1,000,000", "1,234,567"]);
    }

    #[test]
    fn a_table_lines_up() {
        let text = figures().text();
        let lines: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "a call                requests/s  p99 µs",
                "nginx     49,000 (48,000–50,000)    2.50",
                "the gate                  27,000",
                "",
                "ratio_to_nginx = 0.55",
            ]
        );
    }

    #[test]
    fn in_json_a_ratio_is_a_member_of_the_bench_and_it_is_read_again() {
        let value = serde_json::to_value(figures()).unwrap();
        assert_eq!(value["ratio_to_nginx"], 0.55);
        assert_eq!(value["tables"][0]["rows"][0]["values"][0]["maximum"], 50_000.5);
        let read: Figures = serde_json::from_value(value).unwrap();
        assert_eq!(read.ratios["ratio_to_nginx"], 0.55);
        assert_eq!(read.tables[0].rows[1].values[1], None);
    }
}
