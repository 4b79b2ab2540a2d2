//! Files that are part of this program and become files of a project.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ProjectError;

/// A file by its path in a project, with `/`.
pub(crate) struct File {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
}

/// The files of these paths below one folder.
macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$($crate::template::File { path: $path, text: include_str!(concat!($folder, $path)) }),*]
    };
}
pub(crate) use files;

impl File {
    /// Writes it below a folder, its text changed by `render`.
    pub(crate) fn write(
        &self,
        folder: &Path,
        render: impl Fn(&str) -> String,
    ) -> Result<PathBuf, ProjectError> {
        // A `.gitignore` among the templates would hide them from git.
        let path = folder.join(self.path.replace("gitignore", ".gitignore"));
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(ProjectError::io(parent))?;
        fs::write(&path, render(self.text)).map_err(ProjectError::io(&path))?;
        Ok(path)
    }
}

/// Fails where a file of the folder is not among these.
#[cfg(test)]
pub(crate) fn assert_complete(files: &[File], folder: &Path) {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => walk(&entry.path(), &format!("{name}/"), found),
                false => found.push(name),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found);
    found.sort();
    let mut embedded: Vec<&str> = files.iter().map(|file| file.path).collect();
    embedded.sort_unstable();
    assert_eq!(embedded, found);
}
