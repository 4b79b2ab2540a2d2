//! `--watch`: again at each change, until Ctrl-C.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context as _;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use portcullis_suite::{Suite, find_suites};

use crate::arguments::{OutputFormat, Test};
use crate::exit::Exit;

/// An editor or a compiler writes several times: this long must nothing change before the suites run.
const QUIET: Duration = Duration::from_millis(200);

/// Runs the suites, and again whenever one of them or a file of theirs changes. A mistake ends one round, not the watch.
pub(super) fn watch(arguments: &Test, format: OutputFormat) -> anyhow::Result<Exit> {
    let (sender, changes) = channel();
    let mut watcher = notify::recommended_watcher(sender).context("cannot watch files")?;
    let mut folders = BTreeSet::new();
    let mut suites = find_suites(&arguments.paths)?;
    loop {
        let files = files(&suites, &arguments.plugins);
        follow(&mut watcher, &mut folders, &files)?;
        if let Err(error) = super::once(arguments, &suites, format) {
            eprintln!("error: {error:#}");
        }
        eprintln!("\nwatching {} files, Ctrl-C ends", files.len());
        wait(&changes, &files)?;
        // A suite that is being replaced is missing for a moment.
        suites = find_suites(&arguments.paths).unwrap_or(suites);
    }
}

/// The suites and all that they read, as the system names them. Of a suite that is wrong, itself.
fn files(suites: &[PathBuf], plugins: &Path) -> BTreeSet<PathBuf> {
    let read = suites.iter().filter_map(|path| Suite::read(path).ok());
    let named = read.flat_map(|suite| suite.files(plugins));
    suites.iter().cloned().chain(named).filter_map(|path| absolute(&path)).collect()
}

/// A file may be gone for the moment in which it is replaced; its folder is not.
fn absolute(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    Some(folder.join(path.file_name()?))
}

/// Folders rather than files: a file that is replaced would be lost from sight.
fn follow(
    watcher: &mut RecommendedWatcher,
    followed: &mut BTreeSet<PathBuf>,
    files: &BTreeSet<PathBuf>,
) -> anyhow::Result<()> {
    for folder in files.iter().filter_map(|file| file.parent()) {
        if followed.insert(folder.to_owned()) {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch `{}`", folder.display()))?;
        }
    }
    Ok(())
}

fn wait(
    changes: &Receiver<notify::Result<Event>>,
    files: &BTreeSet<PathBuf>,
) -> anyhow::Result<()> {
    loop {
        let event = changes.recv().context("the watch has ended")?;
        if event.is_ok_and(|event| concerns(&event, files)) {
            break;
        }
    }
    while changes.recv_timeout(QUIET).is_ok() {}
    Ok(())
}

fn concerns(event: &Event, files: &BTreeSet<PathBuf>) -> bool {
    let lost = event.need_rescan();
    let changed = !matches!(event.kind, EventKind::Access(_));
    lost || (changed && event.paths.iter().any(|path| files.contains(path)))
}
