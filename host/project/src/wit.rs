//! The contract, as it is handed to bindings generators.

use std::fs;
use std::path::Path;

use crate::ProjectError;
use crate::template::{File, files};

/// The world that a policy implements.
pub(crate) const WORLD: &str = "policy";

/// The package `portcullis:policy`, by paths inside its folder.
pub(crate) const FILES: &[File] = files!(
    "../../../wit/":
    "README.md", "certificates.wit", "crypto.wit", "handshakes.wit", "log.wit", "policy.wit", "revocation.wit"
);

/// Hands over the folder of the contract: the project's own `wit`, or where it has none the one that this program brings,
/// written beside the component for as long as the work takes.
pub(crate) fn with_folder<T>(
    project: &Path,
    component: &Path,
    work: impl FnOnce(&Path) -> Result<T, ProjectError>,
) -> Result<T, ProjectError> {
    let own = project.join("wit");
    if own.is_dir() {
        return work(&own);
    }
    let folder = component.with_extension("wit");
    for file in FILES {
        file.write(&folder, str::to_owned)?;
    }
    let result = work(&folder);
    fs::remove_dir_all(&folder).map_err(ProjectError::io(&folder))?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_contract_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        crate::template::assert_complete(FILES, &folder);
    }
}
