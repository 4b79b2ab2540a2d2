//! `--watch`: again at each change, until Ctrl-C.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use portcullis_source::{FileSystem, Signal, Source as _};
use portcullis_suite::{Suite, find_suites};

use crate::arguments::{OutputFormat, Test};
use crate::exit::Exit;

/// An editor or a compiler writes several times: this long must nothing change before the suites run.
const QUIET: Duration = Duration::from_millis(200);

/// Runs the suites, and again whenever one of them or a file of theirs changes. A mistake ends one round, not the watch.
pub(super) fn watch(arguments: &Test, format: OutputFormat) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start the runtime")?;
    let signal = Signal::default();
    let mut suites = find_suites(&arguments.paths)?;
    loop {
        let files = files(&suites, &arguments.plugins);
        let _watch = FileSystem.watch(&files, &signal).context("cannot watch files")?;
        if let Err(error) = super::once(arguments, &suites, format) {
            eprintln!("error: {error:#}");
        }
        eprintln!("\nwatching {} files, Ctrl-C ends", files.len());
        runtime.block_on(async {
            signal.raised().await;
            while tokio::time::timeout(QUIET, signal.raised()).await.is_ok() {}
        });
        // A suite that is being replaced is missing for a moment.
        suites = find_suites(&arguments.paths).unwrap_or(suites);
    }
}

/// The suites and all that they read, each once.
fn files(suites: &[PathBuf], plugins: &Path) -> Vec<PathBuf> {
    let read = suites.iter().filter_map(|path| Suite::read(path).ok());
    let named = read.flat_map(|suite| suite.files(plugins));
    let files: BTreeSet<PathBuf> = suites.iter().cloned().chain(named).collect();
    files.into_iter().collect()
}
