//! Builds this repository's policies as WebAssembly components.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use portcullis_project::rust::{self, Package};
use portcullis_project::toolchain::{self, Choice};

/// The policies that are part of Portcullis: package and name of the component.
const PLUGINS: &[(&str, &str)] = &[
    ("portcullis-ca-chain", "ca-chain"),
    ("portcullis-pin-list", "pin-list"),
    ("portcullis-revocation-policy", "revocation"),
    ("portcullis-spiffe-id", "spiffe-id"),
];

/// `cargo xtask components`.
pub fn run() -> Result<()> {
    for component in build_plugins()? {
        let size = fs::metadata(&component)?.len();
        println!("{} ({} KiB)", component.display(), size.div_ceil(1024));
    }
    Ok(())
}

/// Builds the policies of plugins/ into [`folder`], a folder that `portcullis run --plugins` takes.
pub fn build_plugins() -> Result<Vec<PathBuf>> {
    let packages: Vec<Package> = PLUGINS
        .iter()
        .map(|(package, name)| Package {
            name: (*package).to_owned(),
            component: folder().join(name).with_extension("wasm"),
        })
        .collect();
    let way = env::var(toolchain::VARIABLE).ok();
    let choice = Choice { way: way.as_deref(), install_packages: true };
    rust::build(&root(), &packages, Some(&modules_folder()), choice)?;
    Ok(packages.into_iter().map(|package| package.component).collect())
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
