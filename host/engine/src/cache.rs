//! The compile cache: what was compiled is kept on disk, so that the next start does not compile it again.
//!
//! An entry is machine code that the host will run as it stands, so whoever can write it can do whatever the host can.
//! Therefore the directory belongs to the user that the host runs as and nobody else can write it, the same holds for each
//! entry, and symbolic links in it are not followed: a compiled artefact from elsewhere is never loaded. The checksum of an
//! entry is against damage. A MAC would add nothing: its key would be readable by whoever can write here.
//!
//! Entries are replaced whole, and nothing depends on one being there, so any number of processes share a directory.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// Entries begin with it. Another number is for another layout of what follows.
const MAGIC: &[u8; 16] = b"portcullis cache";
const CHECKSUM_BYTES: usize = 32;
/// How the names of entries end, and of those that are being written.
const ENTRY: &str = ".compiled";
const UNFINISHED: &str = ".new";

/// What an entry is found by: a digest of all that it depends on.
pub(crate) type Key = [u8; 32];

/// A directory that keeps what was compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CompileCache(Arc<Directory>);

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// What was checked: a directory that takes its place afterwards is not looked at.
    handle: File,
    maximum_bytes: u64,
}

/// Why a directory cannot be a compile cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The system refused.
    #[error("cannot use `{}` as the compile cache", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could put machine code into it.
    #[error(
        "others can write the compile cache `{}` (mode {mode:o}), and what is in it is run; chmod 700 it, after removing \
         its files",
        path.display()
    )]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is somebody else's.
    #[error(
        "the compile cache `{}` belongs to user {owner}, and what is in it is run; name a directory of the user that the \
         gate runs as",
        path.display()
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// The user that it belongs to.
        owner: u32,
    },
}

impl CompileCache {
    /// What a cache holds unless it is told otherwise, in bytes: some ten policies that bring a Python interpreter.
    pub const DEFAULT_MAXIMUM_BYTES: u64 = 2 * 1024 * 1024 * 1024;

    /// Uses a directory, and makes it with mode 0700 if there is none. Beyond `maximum_bytes` the entries go that were not
    /// used for longest.
    ///
    /// # Errors
    ///
    /// When it cannot be made or opened, belongs to another user, or can be written by others.
    pub fn open(path: &Path, maximum_bytes: u64) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let handle = File::open(path).map_err(io)?;
        let metadata = handle.metadata().map_err(io)?;
        if !metadata.is_dir() {
            return Err(io(io::ErrorKind::NotADirectory.into()));
        }
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        if !is_ours(&metadata) {
            return Err(CacheError::Owner { path: path.to_owned(), owner });
        }
        if is_open_to_others(&metadata) {
            return Err(CacheError::Mode { path: path.to_owned(), mode });
        }
        let path = path.to_owned();
        Ok(Self(Arc::new(Directory { path, handle, maximum_bytes })))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What is kept under a key. What is damaged, or is not as this wrote it, is thrown away and reported.
    pub(crate) fn read(&self, key: &Key) -> Option<Entry> {
        let kept = match self.0.read(&entry_name(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
            Ok(bytes) => Entry::verified(key, bytes).ok_or_else(|| "it is damaged".to_owned()),
        };
        kept.inspect_err(|problem| self.throw_away(key, problem)).ok()
    }

    /// Keeps what these parts make together. That it could not be kept is reported, and no error.
    pub(crate) fn write(&self, key: &Key, parts: &[&[u8]]) {
        let path = || self.0.path.display();
        match self.0.write(&entry_name(key), &[MAGIC, &checksum(key, parts)], parts) {
            Ok(()) => {}
            Err(error) => tracing::warn!("cannot keep a compiled policy in `{}`: {error}", path()),
        }
        if let Err(error) = self.0.tidy() {
            tracing::warn!("cannot tidy the compile cache `{}`: {error}", path());
        }
    }

    /// Removes what turned out to be of no use.
    pub(crate) fn throw_away(&self, key: &Key, problem: &str) {
        let name = entry_name(key);
        tracing::warn!(
            "`{}` of the compile cache is thrown away, and the policy compiled again: {problem}",
            self.0.path.join(&name).display()
        );
        // If it stays, it is reported again.
        let _ = self.0.remove(&name);
    }
}

/// An entry that is whole.
pub(crate) struct Entry(Vec<u8>);

impl Entry {
    /// An entry is what it says, and was written for this key; otherwise none.
    fn verified(key: &Key, bytes: Vec<u8>) -> Option<Self> {
        let (sum, content) = bytes.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM_BYTES)?;
        (sum == checksum(key, &[content])).then_some(Self(bytes))
    }

    /// What was kept.
    pub(crate) fn content(&self) -> &[u8] {
        self.0.get(MAGIC.len() + CHECKSUM_BYTES..).unwrap_or_default()
    }
}

impl Directory {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        // A pipe in its place must not make the host wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.handle, name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() || !is_ours(&metadata) || is_open_to_others(&metadata) {
            return Err(io::Error::other("it is not a file that only its owner can write"));
        }
        if metadata.len() > self.maximum_bytes {
            return Err(io::Error::other("it is larger than the whole cache may be"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        (&mut file).take(self.maximum_bytes).read_to_end(&mut bytes)?;
        // The time of its last use, by which the oldest are found. Without it, it goes earlier.
        let now = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: now(UTIME_OMIT), last_modification: now(UTIME_NOW) };
        let _ = rustix::fs::futimens(&file, &times);
        Ok(bytes)
    }

    /// Writes beside the entry and renames.
    fn write(&self, name: &str, head: &[&[u8]], parts: &[&[u8]]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let bytes: usize = head.iter().chain(parts).map(|part| part.len()).sum();
        if bytes as u64 > self.maximum_bytes {
            return Ok(());
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{name}.{}-{number}{UNFINISHED}", std::process::id());
        // Nobody has the name but a process of the same number that was killed.
        let _ = self.remove(&unfinished);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file: OwnedFd = rustix::fs::openat(&self.handle, &unfinished, flags, mode)?;
        let mut file = File::from(file);
        let written = head.iter().chain(parts).try_for_each(|part| file.write_all(part));
        let renamed = written.and_then(|()| {
            Ok(rustix::fs::renameat(&self.handle, &unfinished, &self.handle, name)?)
        });
        renamed.inspect_err(|_| drop(self.remove(&unfinished)))
    }

    /// Removes the entries that were not used for longest, until the others fit; and what was never finished, as if it were
    /// one.
    fn tidy(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.handle)? {
            let Ok(name) = entry?.file_name().to_str().map(str::to_owned) else { continue };
            if !name.ends_with(ENTRY) && !name.ends_with(UNFINISHED) {
                continue;
            }
            // Another process may have removed it.
            let found = rustix::fs::statat(&self.handle, &name, AtFlags::SYMLINK_NOFOLLOW);
            let Ok(found) = found else { continue };
            let bytes = u64::try_from(found.st_size).unwrap_or(0);
            entries.push(((found.st_mtime, found.st_mtime_nsec), bytes, name));
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, name) in entries {
            if total <= self.maximum_bytes {
                break;
            }
            self.remove(&name)?;
            total -= bytes;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }
}

fn is_ours(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

fn entry_name(key: &Key) -> String {
    format!("{}{ENTRY}", HEXLOWER.encode(key))
}

/// Over the key too, so that an entry is worth nothing under another name.
fn checksum(key: &Key, parts: &[&[u8]]) -> [u8; CHECKSUM_BYTES] {
    let mut digest = Digest::new();
    digest.update(key);
    parts.iter().for_each(|part| digest.update(part));
    digest.finish()
}

/// SHA-256 of bytes that come in parts.
pub(crate) struct Digest(digest::Context);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        let mut sum = [0; 32];
        sum.copy_from_slice(self.0.finish().as_ref());
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::*;

    const MAXIMUM: u64 = 1024 * 1024;
    const KEY: Key = [7; 32];

    fn cache(maximum: u64) -> (CompileCache, TempDir) {
        let home = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(&home.path().join("cache"), maximum).unwrap();
        (cache, home)
    }

    fn content(cache: &CompileCache, key: &Key) -> Option<Vec<u8>> {
        cache.read(key).map(|entry| entry.content().to_vec())
    }

    fn path(cache: &CompileCache, key: &Key) -> PathBuf {
        cache.path().join(entry_name(key))
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn number_of_files(cache: &CompileCache) -> usize {
        fs::read_dir(cache.path()).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_found_again_and_is_its_owner_s_alone() {
        let (cache, _home) = cache(MAXIMUM);
        assert_eq!(content(&cache, &KEY), None);
        cache.write(&KEY, &[b"machine ", b"code"]);
        assert_eq!(content(&cache, &KEY).unwrap(), b"machine code");
        assert_eq!(content(&cache, &[8; 32]), None);
        assert_eq!((mode(cache.path()), mode(&path(&cache, &KEY))), (0o700, 0o600));
        let again = CompileCache::open(cache.path(), MAXIMUM).unwrap();
        assert_eq!(content(&again, &KEY).unwrap(), b"machine code");
        assert_eq!(number_of_files(&cache), 1, "nothing is left beside it");
    }

    #[test]
    fn whatever_bit_is_flipped_and_wherever_it_is_cut_an_entry_is_thrown_away() {
        let (cache, _home) = cache(MAXIMUM);
        cache.write(&KEY, &[b"machine code"]);
        let path = path(&cache, &KEY);
        let whole = fs::read(&path).unwrap();
        let flipped = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        for bytes in flipped.chain(cut).chain([[whole.as_slice(), b"!"].concat()]) {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(content(&cache, &KEY), None, "{bytes:?}");
            assert!(!path.exists());
            cache.write(&KEY, &[b"machine code"]);
        }
        assert_eq!(content(&cache, &KEY).unwrap(), b"machine code");
    }

    #[test]
    fn an_entry_under_the_name_of_another_is_thrown_away() {
        let (cache, _home) = cache(MAXIMUM);
        cache.write(&KEY, &[b"machine code"]);
        fs::rename(path(&cache, &KEY), path(&cache, &[8; 32])).unwrap();
        assert_eq!(content(&cache, &[8; 32]), None);
        assert_eq!(number_of_files(&cache), 0);
    }

    #[test]
    fn a_link_is_not_followed_and_a_file_that_others_can_write_is_not_read() {
        let (cache, home) = cache(MAXIMUM);
        cache.write(&KEY, &[b"machine code"]);
        let (path, elsewhere) = (path(&cache, &KEY), home.path().join("elsewhere"));
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert_eq!(content(&cache, &KEY), None);
        assert!(
            !path.is_symlink() && elsewhere.exists(),
            "the link goes, and what it leads to stays"
        );

        // Writing replaces a link as well, and leaves what it leads to.
        symlink(&elsewhere, &path).unwrap();
        cache.write(&KEY, &[b"other code"]);
        assert!(!path.is_symlink());
        assert!(fs::read(&elsewhere).unwrap().ends_with(b"machine code"));

        chmod(&path, 0o620);
        assert_eq!(content(&cache, &KEY), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(content(&cache, &KEY), None, "a directory is no entry");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_and_one_that_they_can_read_is_not() {
        let home = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o707, 0o1777] {
            chmod(home.path(), mode);
            let refused = CompileCache::open(home.path(), MAXIMUM);
            assert!(matches!(refused, Err(CacheError::Mode { .. })), "{mode:o}: {refused:?}");
        }
        chmod(home.path(), 0o755);
        assert!(CompileCache::open(home.path(), MAXIMUM).is_ok());
        chmod(home.path(), 0o777);
        let other = tempfile::tempdir().unwrap();
        let link = other.path().join("link");
        symlink(home.path(), &link).unwrap();
        assert!(matches!(CompileCache::open(&link, MAXIMUM), Err(CacheError::Mode { .. })));
    }

    #[test]
    fn a_directory_of_another_user_is_refused_and_so_is_a_file() {
        let home = tempfile::tempdir().unwrap();
        // Only root can give a directory away; for everybody else the root directory is another's.
        let others = match std::os::unix::fs::chown(home.path(), Some(65534), None) {
            Ok(()) => home.path(),
            Err(_) => Path::new("/"),
        };
        let refused = CompileCache::open(others, MAXIMUM);
        assert!(matches!(refused, Err(CacheError::Owner { .. })), "{refused:?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(CompileCache::open(file.path(), MAXIMUM), Err(CacheError::Io { .. })));
    }

    #[test]
    fn beyond_the_maximum_what_was_not_used_for_longest_goes() {
        // Three entries of 248 bytes fit.
        let (cache, _home) = cache(1000 - 248);
        let key = |number| [number; 32];
        let used_at = |key: &Key, seconds| {
            let file = File::open(path(&cache, key)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        for number in 1..=3 {
            cache.write(&key(number), &[&[number; 200]]);
            used_at(&key(number), number.into());
        }
        let unfinished = cache.path().join("0.compiled.1-1.new");
        fs::write(&unfinished, [0; 200]).unwrap();
        File::open(&unfinished).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let notes = cache.path().join("notes.txt");
        fs::write(&notes, "not ours").unwrap();

        // The use of the first makes the second the oldest.
        assert!(content(&cache, &key(1)).is_some());
        cache.write(&key(4), &[&[4; 200]]);
        assert!(!unfinished.exists());
        cache.write(&key(5), &[&[5; 200]]);
        let left: Vec<u8> = (1..=5).filter(|&number| path(&cache, &key(number)).exists()).collect();
        assert_eq!(left, [1, 4, 5]);
        cache.write(&key(6), &[&[6; 2000]]);
        assert!(!path(&cache, &key(6)).exists(), "what is larger than the whole is not kept");
        assert!(notes.exists());
    }

    #[test]
    fn many_that_write_and_read_the_same_entry_find_it_whole_or_not_at_all() {
        let (cache, _home) = cache(MAXIMUM);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let own = CompileCache::open(cache.path(), MAXIMUM).unwrap();
                    for _ in 0..50 {
                        own.write(&KEY, &[&[1; 5000], &[2; 5000]]);
                        let found = content(&own, &KEY).unwrap();
                        assert!(found.len() == 10_000 && found[9_999] == 2);
                    }
                });
            }
        });
        assert_eq!(number_of_files(&cache), 1);
    }
}
