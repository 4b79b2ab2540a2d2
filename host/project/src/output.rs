//! Writing what was built.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ProjectError;

/// Writes in one step, so that whoever watches the file never reads a half. A file that came out as before is not written
/// again, so its modification time says when it changed.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), ProjectError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let draft = draft(path)?;
    fs::write(&draft, bytes).map_err(ProjectError::io(&draft))?;
    fs::rename(&draft, path).map_err(ProjectError::io(path))
}

/// Has a tool write a file, which takes its place in one step.
pub(crate) fn write_by(
    path: &Path,
    tool: impl FnOnce(&Path) -> Result<(), ProjectError>,
) -> Result<(), ProjectError> {
    let draft = draft(path)?;
    let written = tool(&draft)
        .and_then(|()| fs::read(&draft).map_err(ProjectError::io(&draft)))
        .and_then(|bytes| write_if_changed(path, &bytes));
    // A tool that failed may have left none.
    let _ = fs::remove_file(&draft);
    written
}

/// A name beside the path, which exists nowhere else; its folder is made.
fn draft(path: &Path) -> Result<PathBuf, ProjectError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).map_err(ProjectError::io(folder))?;
    let mut name = OsString::from(format!(".{}-", std::process::id()));
    name.push(path.file_name().unwrap_or_default());
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_came_out_as_before_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new").join("a.wasm");
        write_if_changed(&path, b"one").expect("written");
        let before = fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
        write_if_changed(&path, b"one").expect("left alone");
        assert_eq!(fs::metadata(&path).and_then(|data| data.modified()).expect("a time"), before);
        write_if_changed(&path, b"two").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"two");
    }

    #[test]
    fn a_tool_that_fails_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        write_by(&path, |draft| fs::write(draft, "one").map_err(ProjectError::io(draft)))
            .expect("written");
        let failed = write_by(&path, |draft| {
            fs::write(draft, "hal").map_err(ProjectError::io(draft))?;
            Err(ProjectError::NotAProject(draft.to_owned()))
        });
        failed.expect_err("the tool's error");
        assert_eq!(fs::read(&path).expect("read"), b"one");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
