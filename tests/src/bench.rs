//! What benches have in common: how they are told what to do, and how they say what they found.

use std::path::PathBuf;

pub use xtask::figures::{Figures, Spread, Table, grouped};

/// What `cargo xtask bench` tells a bench.
#[derive(Debug, Default)]
pub struct Bench {
    /// Whether it shall take a short time.
    pub quick: bool,
    json: Option<PathBuf>,
}

impl Bench {
    /// From `--quick` and `--json FILE`. Cargo's own arguments are left alone.
    #[must_use]
    pub fn from_arguments() -> Self {
        let (mut bench, mut arguments) = (Self::default(), std::env::args_os().skip(1));
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--quick") => bench.quick = true,
                Some("--json") => bench.json = arguments.next().map(PathBuf::from),
                _ => {}
            }
        }
        bench
    }

    /// One of two numbers: for a run that takes the time that it needs, and for a quick one.
    #[must_use]
    pub fn of<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Prints what was found, and writes it where it was asked for.
    pub fn finish(&self, figures: &Figures) {
        println!("{}", figures.text());
        if let Some(path) = &self.json {
            figures.write(path).expect("a file that can be written");
        }
    }
}
