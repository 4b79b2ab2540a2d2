//! A project that exists: what its manifest says, and building it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::toolchain::Choice;
use crate::{Engine, PolicyName, ProjectError, javascript, python, rust};

/// The largest manifest that is read, in bytes.
const MAXIMUM_MANIFEST_BYTES: u64 = 1024 * 1024;

/// What a policy is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// JavaScript, run by this engine.
    JavaScript(Engine),
    /// Python.
    Python,
    /// Rust.
    Rust,
}

/// The folder of a policy, its name and its language, by its manifest.
#[derive(Clone, Debug)]
pub struct Project {
    folder: PathBuf,
    name: PolicyName,
    language: Language,
}

impl Project {
    /// Reads what the manifest says: `Cargo.toml`, `pyproject.toml` or `package.json`.
    ///
    /// # Errors
    /// There is none, or it names no policy.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let (path, (name, language)) = if let Some(manifest) = Manifest::read(folder, "Cargo.toml")?
        {
            let name = manifest.toml()?.get("package").and_then(|it| it.get("name")).cloned();
            (manifest.path, (name.and_then(text), Language::Rust))
        } else if let Some(manifest) = Manifest::read(folder, "pyproject.toml")? {
            let name = manifest.toml()?.get("project").and_then(|it| it.get("name")).cloned();
            (manifest.path, (name.and_then(text), Language::Python))
        } else if let Some(manifest) = Manifest::read(folder, "package.json")? {
            let json = manifest.json()?;
            let Some(engine) = Engine::of_manifest(&json) else {
                let packages = [Engine::QuickJs, Engine::StarlingMonkey].map(|one| one.package().0);
                let problem =
                    format!("it depends on neither `{}` nor `{}`", packages[0], packages[1]);
                return Err(ProjectError::manifest(&manifest.path, problem));
            };
            let name = json["name"].as_str().map(str::to_owned);
            (manifest.path, (name, Language::JavaScript(engine)))
        } else {
            return Err(ProjectError::NotAProject(folder.to_owned()));
        };
        let name = name.ok_or_else(|| ProjectError::manifest(&path, "it gives no name"))?;
        let name = name.parse().map_err(|problem| {
            ProjectError::manifest(&path, format!("the name `{name}`: {problem}"))
        })?;
        Ok(Self { folder: folder.to_owned(), name, language })
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &PolicyName {
        &self.name
    }

    /// What it is written in.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// Where its component goes when nobody says otherwise: `dist/NAME.wasm`.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        let folder = self.folder.strip_prefix(".").unwrap_or(&self.folder);
        folder.join("dist").join(self.name.as_str()).with_added_extension("wasm")
    }

    /// Builds the component. Tools are looked for in the project, in `folders`, and on the `PATH`; `toolchain` says
    /// how to compile Rust.
    ///
    /// # Errors
    /// A tool is missing or fails.
    pub fn build(
        &self,
        component: &Path,
        folders: &[PathBuf],
        toolchain: Choice<'_>,
    ) -> Result<(), ProjectError> {
        match self.language {
            Language::JavaScript(engine) => {
                javascript::build(&self.folder, engine, component, folders)
            }
            Language::Python => python::build(&self.folder, component, folders),
            Language::Rust => {
                let package =
                    rust::Package { name: self.name.to_string(), component: component.to_owned() };
                rust::build(&self.folder, &[package], None, toolchain)
            }
        }
    }

    /// Writes types of the contract for editors, where the language's tool makes them and they are not there yet.
    ///
    /// # Errors
    /// The tool is missing or fails.
    pub fn write_types(&self, folders: &[PathBuf]) -> Result<(), ProjectError> {
        match self.language {
            Language::Python => python::write_types(&self.folder, &self.component(), folders),
            Language::JavaScript(_) | Language::Rust => Ok(()),
        }
    }
}

fn text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        _ => None,
    }
}

struct Manifest {
    path: PathBuf,
    text: String,
}

impl Manifest {
    fn read(folder: &Path, name: &str) -> Result<Option<Self>, ProjectError> {
        use std::io::Read as _;

        let path = folder.join(name);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ProjectError::io(&path)(error)),
        };
        let mut text = String::new();
        file.take(MAXIMUM_MANIFEST_BYTES)
            .read_to_string(&mut text)
            .map_err(ProjectError::io(&path))?;
        Ok(Some(Self { path, text }))
    }

    fn toml(&self) -> Result<toml::Table, ProjectError> {
        self.text.parse().map_err(|error: toml::de::Error| {
            ProjectError::manifest(&self.path, error.to_string().trim_end())
        })
    }

    fn json(&self) -> Result<Value, ProjectError> {
        serde_json::from_str(&self.text)
            .map_err(|error| ProjectError::manifest(&self.path, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(file: &str, text: &str) -> Result<Project, ProjectError> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(file), text).expect("written");
        Project::open(folder.path())
    }

    #[test]
    fn a_manifest_that_names_no_policy_is_refused_with_its_file() {
        for (file, text) in [
            ("Cargo.toml", "[package]\nname = 7"),
            ("Cargo.toml", "[package"),
            ("Cargo.toml", "[workspace]"),
            ("pyproject.toml", "[project]\nname = \"../../x\""),
            ("package.json", "{ \"name\": \"x\" }"),
            (
                "package.json",
                "{ \"name\": \"X\", \"dependencies\": { \"componentize-qjs\": \"1\" } }",
            ),
            ("package.json", "[]"),
            ("package.json", ""),
        ] {
            let error = opened(file, text).expect_err(text);
            assert!(matches!(error, ProjectError::Manifest { .. }), "{text}: {error}");
            assert!(error.path().is_some_and(|path| path.ends_with(file)), "{error}");
        }
    }

    #[test]
    fn a_folder_without_a_manifest_is_no_project() {
        let error = opened("notes.txt", "").expect_err("no project");
        assert!(matches!(error, ProjectError::NotAProject(_)), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("policy new")));
    }

    #[test]
    fn the_engine_is_the_one_that_the_manifest_depends_on() {
        let manifest = |package: &str| {
            format!("{{ \"name\": \"x\", \"devDependencies\": {{ \"{package}\": \"1\" }} }}")
        };
        for engine in [Engine::QuickJs, Engine::StarlingMonkey] {
            let project = opened("package.json", &manifest(engine.package().0)).expect("a project");
            assert_eq!(project.language(), Language::JavaScript(engine));
        }
    }

    #[test]
    fn a_missing_tool_is_named_with_the_command_that_installs_it() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("pyproject.toml"), "[project]\nname = \"x\"")
            .expect("written");
        let project = Project::open(folder.path()).expect("a project");
        let tool =
            crate::tool::Tool { name: "no-such-tool", local: "bin/x", hint: "get it".into() };
        let error = tool.find(&project.folder, &[]).expect_err("missing");
        assert!(error.to_string().contains("no-such-tool"), "{error}");
        assert_eq!(error.hint(), Some("get it"));
    }
}
