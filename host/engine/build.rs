//! Names this build of the engine: what another one compiled is not taken from the compile cache.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for folder in ["src", "../../wit"] {
        println!("cargo::rerun-if-changed={folder}");
        for file in files(Path::new(folder))? {
            file.hash(&mut hasher);
            std::fs::read(file)?.hash(&mut hasher);
        }
    }
    println!("cargo::rustc-env=PORTCULLIS_ENGINE_BUILD={:016x}", hasher.finish());
    Ok(())
}

/// All files below, in the same order everywhere.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(self::files(&path)?) } else { files.push(path) }
    }
    files.sort();
    Ok(files)
}
