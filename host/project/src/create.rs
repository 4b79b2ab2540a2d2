//! Makes a project.

use std::fs;
use std::path::Path;

use crate::project::Language;
use crate::template::{File, files};
use crate::{PolicyName, ProjectError, sdk, wit};

/// What the templates call the policy.
const PLACEHOLDER: &str = "my-policy";

const ALL: &[File] = files!("../templates/": "suite.toml");
const JAVASCRIPT: &[File] =
    files!("../templates/javascript/": "README.md", "gitignore", "main.js", "package.json");
const PYTHON: &[File] = files!(
    "../templates/python/": "README.md", "gitignore", "main.py", "pyproject.toml", "requirements.txt"
);
const RUST: &[File] = files!(
    "../templates/rust/": "Cargo.toml", "README.md", "gitignore", "src/lib.rs", "src/settings.schema.json"
);

/// Makes a project that builds and passes its own suite: the template's policy under this name, with the contract and, in
/// Rust, the SDK. The folder is made, or empty.
///
/// # Errors
/// The folder holds something already, or cannot be written.
pub fn create(folder: &Path, name: &PolicyName, language: Language) -> Result<(), ProjectError> {
    ensure_empty(folder)?;
    let render = |text: &str| render(text, name, language);
    let own = match language {
        Language::JavaScript(_) => JAVASCRIPT,
        Language::Python => PYTHON,
        Language::Rust => RUST,
    };
    for file in own.iter().chain(ALL) {
        file.write(folder, render)?;
    }
    for file in wit::FILES {
        file.write(&folder.join("wit"), str::to_owned)?;
    }
    if language == Language::Rust {
        sdk::write(folder)?;
    }
    Ok(())
}

fn ensure_empty(folder: &Path) -> Result<(), ProjectError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(ProjectError::NotEmpty(folder.to_owned())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(ProjectError::NotEmpty(folder.to_owned()))
        }
        Err(error) => Err(ProjectError::io(folder)(error)),
    }
}

fn render(text: &str, name: &PolicyName, language: Language) -> String {
    let text = text.replace(PLACEHOLDER, name.as_str());
    match language {
        Language::JavaScript(engine) => {
            let (package, version) = engine.package();
            text.replace("ENGINE-PACKAGE", package).replace("ENGINE-VERSION", version)
        }
        Language::Python | Language::Rust => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Project};

    const LANGUAGES: [Language; 4] = [
        Language::JavaScript(Engine::QuickJs),
        Language::JavaScript(Engine::StarlingMonkey),
        Language::Python,
        Language::Rust,
    ];

    fn name() -> PolicyName {
        "office-hours".parse().expect("a name")
    }

    #[test]
    fn a_new_project_is_recognized_under_its_name_and_nothing_of_the_template_is_left() {
        for language in LANGUAGES {
            let folder = tempfile::tempdir().expect("a folder");
            create(folder.path(), &name(), language).expect("made");
            let project = Project::open(folder.path()).expect("a project");
            assert_eq!((project.name().as_str(), project.language()), ("office-hours", language));
            for entry in fs::read_dir(folder.path()).expect("a folder").flatten() {
                let Ok(text) = fs::read_to_string(entry.path()) else { continue };
                assert!(!text.contains(PLACEHOLDER) && !text.contains("ENGINE-"), "{text}");
            }
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join("notes.txt");
        fs::write(&kept, "mine").expect("written");
        for place in [folder.path(), &kept] {
            let error = create(place, &name(), Language::Python).expect_err("refused");
            assert!(matches!(error, ProjectError::NotEmpty(_)), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        assert_eq!(fs::read_to_string(&kept).expect("a file"), "mine");
    }
}
