//! Builds this repository's policies as WebAssembly components.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use portcullis_project::rust::{self, Package};
use portcullis_project::toolchain::{self, Choice};
use portcullis_project::{Project, ProjectError};

use crate::peers::Peers;

/// The policies that are part of Portcullis: package and name of the component.
const PLUGINS: &[(&str, &str)] = &[
    ("portcullis-ca-chain", "ca-chain"),
    ("portcullis-pin-list", "pin-list"),
    ("portcullis-revocation-policy", "revocation"),
    ("portcullis-spiffe-id", "spiffe-id"),
];

/// The policies of examples/ in Rust, by package, which is the component's name.
const EXAMPLES: &[&str] = &["combined", "issuer-ceiling"];
/// The policies of examples/ in other languages.
const PROJECTS: &[&str] = &["business-hours", "team-of-unit"];

/// `cargo xtask components`: the policies of plugins/ and of examples/, of the latter those that there are tools for.
pub fn run() -> Result<()> {
    let mut components = build_plugins()?;
    components.extend(build_rust_examples()?);
    let peers = Peers::of(&root());
    for name in PROJECTS {
        match build_project(name, &peers) {
            Ok(component) => components.push(component),
            Err(error @ ProjectError::MissingTool { .. }) => {
                println!("examples/{name} is left out: {error}; `cargo xtask test` fetches it");
            }
            Err(error) => return Err(error).with_context(|| format!("examples/{name}")),
        }
    }
    for component in components {
        let size = fs::metadata(&component)?.len();
        println!("{} ({} KiB)", component.display(), size.div_ceil(1024));
    }
    Ok(())
}

/// Builds the policies of plugins/ into [`folder`], a folder that `portcullis run --plugins` takes.
pub fn build_plugins() -> Result<Vec<PathBuf>> {
    build_packages(PLUGINS.iter().map(|(package, name)| Package {
        name: (*package).to_owned(),
        component: folder().join(name).with_extension("wasm"),
    }))
}

/// Builds the policies of examples/ into [`examples_folder`], with the tools that were fetched.
pub fn build_examples(peers: &Peers) -> Result<()> {
    build_rust_examples()?;
    for name in PROJECTS {
        build_project(name, peers).with_context(|| format!("examples/{name}"))?;
    }
    Ok(())
}

fn build_rust_examples() -> Result<Vec<PathBuf>> {
    build_packages(
        EXAMPLES.iter().map(|name| Package { name: (*name).to_owned(), component: example(name) }),
    )
}

fn build_project(name: &str, peers: &Peers) -> Result<PathBuf, ProjectError> {
    let (project, component) = (root().join("examples").join(name), example(name));
    if !is_newer(&component, &project) {
        eprintln!("building examples/{name}");
        let project = Project::open(&project)?;
        project.build(&component, &peers.componentizers(), Choice::default())?;
    }
    Ok(component)
}

fn build_packages(packages: impl Iterator<Item = Package>) -> Result<Vec<PathBuf>> {
    let packages: Vec<Package> = packages.collect();
    let way = env::var(toolchain::VARIABLE).ok();
    let choice = Choice { way: way.as_deref(), install_packages: true };
    rust::build(&root(), &packages, Some(&modules_folder()), choice)?;
    Ok(packages.into_iter().map(|package| package.component).collect())
}

/// Whether a component is newer than every file that it is made of: its project's and the contract's.
fn is_newer(component: &Path, project: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let Ok(made) = modified(component) else { return false };
    [project, &root().join("wit")].iter().all(|folder| {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| modified(&file.path())).all(|time| time.is_ok_and(|time| time <= made))
    })
}

/// Where the components of examples/ are written.
pub fn examples_folder() -> PathBuf {
    folder().join("examples")
}

fn example(name: &str) -> PathBuf {
    examples_folder().join(name).with_extension("wasm")
}

/// Where the components of this workspace are written.
pub fn folder() -> PathBuf {
    target_folder().join("components")
}

/// Core modules have a target folder of their own: cargo's lock on the usual one may be held by whoever runs this.
fn modules_folder() -> PathBuf {
    target_folder().join("wasm")
}

/// The folder of everything that is built.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
