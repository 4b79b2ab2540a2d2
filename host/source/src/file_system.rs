//! Files as a source.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};

use crate::{Content, ReadError, Signal, Source, Version, Watch, WatchError, entries};

/// Files by their path.
///
/// Directories are watched, not files, and every directory on the way below the root with the links in it: so it is
/// noticed when a file is written, when it or its directory is replaced or moved away and back, and when a link to a
/// directory is set to another, as Kubernetes does with a volume's `..data`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Source for FileSystem {
    fn read(&self, name: &Path, maximum: u64) -> Result<Content, ReadError> {
        let file = File::open(name)?;
        let version = version(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(maximum.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > maximum {
            return Err(ReadError::TooLarge(maximum));
        }
        Ok(Content { bytes, version })
    }

    fn version(&self, name: &Path) -> Version {
        match std::fs::metadata(name) {
            Ok(metadata) => version(&metadata),
            Err(error) => Version::new(format!("none: {}", error.kind())),
        }
    }

    fn watch(&self, names: &[PathBuf], signal: &Signal) -> Result<Watch, WatchError> {
        let entries = names.iter().map(|name| entries::on_the_way(name));
        let entries: BTreeSet<PathBuf> =
            entries.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect();
        let directories: BTreeSet<PathBuf> = entries
            .iter()
            .filter_map(|entry| entry.parent())
            .filter(|directory| directory.parent().is_some())
            .map(Path::to_owned)
            .collect();
        let signal = signal.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error tells that events were lost.
            if event.map_or(true, |event| concerns(&event, &entries)) {
                signal.raise();
            }
        })?;
        for directory in &directories {
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                // It was moved away just now, or may be searched and not listed.
                Err(error) if is_out_of_reach(&error) => {}
                result => result?,
            }
        }
        Ok(Watch::new(watcher))
    }
}

/// Everything that changes when a file is written or replaced.
fn version(metadata: &Metadata) -> Version {
    Version::new(format!(
        "{}:{}:{}:{}.{}:{}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ))
}

/// That a file was opened or read is no change.
fn concerns(event: &Event, entries: &BTreeSet<PathBuf>) -> bool {
    let changes = !matches!(event.kind, EventKind::Access(_))
        || event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
    event.need_rescan() || changes && event.paths.iter().any(|path| entries.contains(path))
}

fn is_out_of_reach(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        }
        _ => false,
    }
}

impl From<notify::Error> for WatchError {
    fn from(error: notify::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<io::Error> for WatchError {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    /// Long enough for any machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn source_with(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pki")).unwrap();
        let path = folder.path().join("pki/file");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    /// Watches, makes the change, and waits for the signal.
    async fn is_signalled(path: &Path, change: impl FnOnce()) {
        let signal = Signal::default();
        let _watch = FileSystem.watch(&[path.to_owned()], &signal).unwrap();
        change();
        tokio::time::timeout(PATIENCE, signal.raised()).await.expect("it is signalled");
    }

    #[tokio::test]
    async fn a_write_a_replacement_and_a_removal_are_signalled_and_give_other_versions() {
        let (folder, path) = source_with("one");
        let mut versions = vec![FileSystem.read(&path, 9).unwrap().version];
        assert_eq!(FileSystem.version(&path), versions[0]);
        let new = folder.path().join("new");
        std::fs::write(&new, "new").unwrap();
        let changes: [&dyn Fn(); 3] = [
            &|| std::fs::write(&path, "longer").unwrap(),
            &|| std::fs::rename(&new, &path).unwrap(),
            &|| std::fs::remove_file(&path).unwrap(),
        ];
        for change in changes {
            is_signalled(&path, change).await;
            let version = FileSystem.version(&path);
            assert!(!versions.contains(&version), "{version:?}");
            versions.push(version);
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_moved_away_and_back_is_signalled_both_times() {
        let (folder, path) = source_with("one");
        let (here, away) = (folder.path().join("pki"), folder.path().join("away"));
        let version = FileSystem.version(&path);
        is_signalled(&path, || std::fs::rename(&here, &away).unwrap()).await;
        assert_ne!(FileSystem.version(&path), version);
        is_signalled(&path, || std::fs::rename(&away, &here).unwrap()).await;
        is_signalled(&path, || std::fs::write(&path, "two").unwrap()).await;
    }

    #[tokio::test]
    async fn a_link_to_a_directory_that_is_set_to_another_is_signalled() {
        let (folder, _) = source_with("one");
        let root = folder.path();
        symlink("pki", root.join("..data")).unwrap();
        std::fs::create_dir(root.join("other")).unwrap();
        std::fs::write(root.join("other/file"), "two").unwrap();
        let path = root.join("..data/file");
        let version = FileSystem.version(&path);
        is_signalled(&path, || {
            symlink("other", root.join("..data_tmp")).unwrap();
            std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        })
        .await;
        assert_ne!(FileSystem.version(&path), version);
    }

    #[test]
    fn a_file_beside_it_and_its_being_read_are_no_change() {
        let entries = BTreeSet::from([PathBuf::from("/pki/file")]);
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());
        let write = EventKind::Modify(notify::event::ModifyKind::Any);
        assert!(concerns(&event(write, "/pki/file"), &entries));
        assert!(!concerns(&event(write, "/pki/other"), &entries));
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(!concerns(&event(open, "/pki/file"), &entries));
    }

    #[test]
    fn what_is_larger_than_allowed_or_missing_is_not_read() {
        let (_folder, path) = source_with("four");
        assert_eq!(FileSystem.read(&path, 4).unwrap().bytes, b"four");
        assert!(matches!(FileSystem.read(&path, 3), Err(ReadError::TooLarge(3))));
        assert!(matches!(FileSystem.read(&path.join("x"), 3), Err(ReadError::Io(_))));
    }
}
