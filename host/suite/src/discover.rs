//! Finding suites.

use std::path::{Path, PathBuf};

use portcullis_config::Mistake;

/// Folders in which nobody writes suites.
const SKIPPED: [&str; 3] = ["node_modules", "target", "venv"];
/// How many folders may stand below one another.
const MAXIMUM_DEPTH: usize = 32;

/// The suites that are named, and those in the folders that are named: `suite.toml` and `*.suite.toml`. In each folder in
/// the order of their names; hidden folders and links to folders are passed over.
///
/// # Errors
/// When a path cannot be read, or no suite is found below it.
pub fn find_suites(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Mistake> {
    let mut found = Vec::new();
    for path in paths {
        let metadata =
            std::fs::metadata(path).map_err(|error| Mistake::file(path, &error.to_string()))?;
        if !metadata.is_dir() {
            found.push(path.clone());
            continue;
        }
        let before = found.len();
        search(path, 0, &mut found)?;
        if found.len() == before {
            return Err(Mistake::file(path, "no suite is in this folder")
                .hint("a suite is a file `suite.toml` or `NAME.suite.toml`"));
        }
    }
    let mut unique: Vec<PathBuf> = Vec::new();
    for path in found {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    Ok(unique)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Mistake> {
    let failed = |error: std::io::Error| Mistake::file(folder, &error.to_string());
    let mut entries = std::fs::read_dir(folder)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(failed)?;
        let skipped = name.starts_with('.') || SKIPPED.contains(&name.as_ref());
        if kind.is_dir() && !skipped && depth < MAXIMUM_DEPTH {
            search(&entry.path(), depth + 1, found)?;
        } else if !kind.is_dir() && is_suite(&name) {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn is_suite(name: &str) -> bool {
    name == "suite.toml" || name.ends_with(".suite.toml")
}
