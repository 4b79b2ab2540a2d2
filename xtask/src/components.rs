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
    let (built, lacking) = build_what_can_be_built(&Peers::of(&root()))?;
    components.extend(built);
    for component in components {
        let size = fs::metadata(&component)?.len();
        println!("{} ({} KiB)", component.display(), size.div_ceil(1024));
    }
    for (name, error) in lacking {
        println!("examples/{name} is left out: {error}; `cargo xtask test` fetches it");
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
pub fn build_examples(peers: &Peers) -> Result<Vec<PathBuf>> {
    let (built, lacking) = build_what_can_be_built(peers)?;
    match lacking.into_iter().next() {
        Some((name, error)) => Err(error).with_context(|| format!("examples/{name}")),
        None => Ok(built),
    }
}

/// Gives the components, and the examples whose tool is missing.
fn build_what_can_be_built(
    peers: &Peers,
) -> Result<(Vec<PathBuf>, Vec<(&'static str, ProjectError)>)> {
    let mut built = build_packages(
        EXAMPLES.iter().map(|name| Package { name: (*name).to_owned(), component: example(name) }),
    )?;
    let mut lacking = Vec::new();
    for name in PROJECTS {
        let project = root().join("examples").join(name);
        let component = example(name);
        if is_newer(&component, &project)? {
            built.push(component);
            continue;
        }
        eprintln!("building examples/{name}");
        match Project::open(&project)?.build(&component, &peers.componentizers(), Choice::default())
        {
            Ok(()) => built.push(component),
            Err(error @ ProjectError::MissingTool { .. }) => lacking.push((*name, error)),
            Err(error) => return Err(error).with_context(|| project.display().to_string()),
        }
    }
    Ok((built, lacking))
}

fn build_packages(packages: impl Iterator<Item = Package>) -> Result<Vec<PathBuf>> {
    let packages: Vec<Package> = packages.collect();
    let way = env::var(toolchain::VARIABLE).ok();
    let choice = Choice { way: way.as_deref(), install_packages: true };
    rust::build(&root(), &packages, Some(&modules_folder()), choice)?;
    Ok(packages.into_iter().map(|package| package.component).collect())
}

/// Whether a component is newer than every file that it is made of: its project's and the contract's.
fn is_newer(component: &Path, project: &Path) -> Result<bool> {
    let Ok(made) = fs::metadata(component).and_then(|data| data.modified()) else {
        return Ok(false);
    };
    for folder in [project, &root().join("wit")] {
        for entry in fs::read_dir(folder)? {
            if entry?.metadata()?.modified()? > made {
                return Ok(false);
            }
        }
    }
    Ok(true)
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
