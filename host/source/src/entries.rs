//! The entries of directories that a path depends on.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many as Linux follows.
const MAXIMUM_LINKS: usize = 40;

/// Every entry on the way to a file: its directories, itself, and the same of each symbolic link. When one of them is
/// replaced, the path may lead to another file. Directories in it have no links in their own path. The way ends early
/// where something is missing.
///
/// # Errors
/// When the working directory is not known.
pub(crate) fn on_the_way(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut ahead: VecDeque<OsString> = names(&std::path::absolute(path)?);
    let (mut here, mut entries, mut links) = (PathBuf::from("/"), Vec::new(), 0);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let entry = here.join(name);
        entries.push(entry.clone());
        match std::fs::read_link(&entry) {
            Ok(target) => {
                links += 1;
                if links > MAXIMUM_LINKS {
                    break;
                }
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                let mut target = names(&target);
                target.append(&mut ahead);
                ahead = target;
            }
            Err(_) if entry.is_dir() => here = entry,
            Err(_) => break,
        }
    }
    Ok(entries)
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_way_through_the_links_of_a_mounted_secret_has_each_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("..2026_11_24")).unwrap();
        std::fs::write(root.join("..2026_11_24/tls.crt"), "x").unwrap();
        symlink("..2026_11_24", root.join("..data")).unwrap();
        symlink("..data/tls.crt", root.join("tls.crt")).unwrap();
        let entries = on_the_way(&root.join("tls.crt")).unwrap();
        let own: Vec<_> =
            entries.iter().filter_map(|entry| entry.strip_prefix(&root).ok()).collect();
        let expected = ["", "tls.crt", "..data", "..2026_11_24", "..2026_11_24/tls.crt"];
        assert_eq!(own, expected.map(Path::new));
    }

    #[test]
    fn the_way_to_what_is_missing_ends_where_it_would_appear() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let entries = on_the_way(&root.join("a/b/c")).unwrap();
        assert_eq!(entries.last(), Some(&root.join("a")));
    }

    #[test]
    fn links_that_go_round_in_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        assert!(on_the_way(&folder.path().join("a/c")).unwrap().len() < 2 * MAXIMUM_LINKS);
    }

    #[test]
    fn a_link_to_elsewhere_and_up_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("one/two")).unwrap();
        std::fs::write(root.join("file"), "x").unwrap();
        symlink(root.join("one/two"), root.join("link")).unwrap();
        let entries = on_the_way(&root.join("link/../../file")).unwrap();
        assert_eq!(entries.last(), Some(&root.join("file")));
        assert!(entries.contains(&root.join("one/two")));
    }
}
