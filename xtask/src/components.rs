//! Builds policies written in Rust as WebAssembly components.
//!
//! Cargo compiles each package to a core module for `wasm32-unknown-unknown`, with whatever toolchain the module `toolchain`
//! finds; `encode` makes the component of it. Cargo's own freshness check is the cache.

mod encode;
mod toolchain;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use toolchain::{TARGET, Toolchain};

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
    let packages: Vec<Package> =
        PLUGINS.iter().map(|(name, component)| Package::of_workspace(name, component)).collect();
    build(&packages)
}

/// One package to build.
#[derive(Clone, Debug)]
pub struct Package {
    /// The package's name in its Cargo.toml. Its library must be a `cdylib`.
    pub name: String,
    /// Its Cargo.toml, or that of its workspace.
    pub manifest: PathBuf,
    /// The component to write, a path of which `.wasm` is not yet part.
    pub component: PathBuf,
}

impl Package {
    /// A package of this workspace, its component to be written into [`folder`] under this name.
    pub fn of_workspace(name: &str, component: &str) -> Self {
        Self {
            name: name.to_owned(),
            manifest: root().join("Cargo.toml"),
            component: folder().join(component),
        }
    }
}

/// Builds packages, and returns the paths of their components in the same order.
///
/// A component that came out as before is not written again, so its modification time says when it changed. May be
/// called from several processes at once: cargo makes them wait for each other.
pub fn build(packages: &[Package]) -> Result<Vec<PathBuf>> {
    let toolchain = toolchain::find()?;

    let mut by_manifest: BTreeMap<&Path, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        by_manifest.entry(&package.manifest).or_default().push(package);
    }
    for (manifest, packages) in by_manifest {
        compile(&toolchain, manifest, &packages)?;
    }
    packages.iter().map(componentize).collect()
}

/// Where the components of this workspace are written.
pub fn folder() -> PathBuf {
    target_folder().join("components")
}

fn compile(toolchain: &Toolchain, manifest: &Path, packages: &[&Package]) -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["build", "--release", "--target", TARGET]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(modules_folder());
    for package in packages {
        cargo.args(["--package", &package.name]);
    }

    // Flags that are meant for the machine at hand (a CPU, a linker, coverage) have no place in a component.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    for (key, value) in PROFILE {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    toolchain.apply(&mut cargo);

    let status = cargo.status().context("cannot run cargo")?;
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    ensure!(status.success(), "cargo could not build {} for {TARGET}", names.join(", "));
    Ok(())
}

/// The release profile of guests, whatever the workspace has for its own binaries.
const PROFILE: &[(&str, &str)] = &[
    ("CODEGEN_UNITS", "1"),
    ("DEBUG", "false"),
    ("LTO", "true"),
    ("OPT_LEVEL", "3"),
    ("PANIC", "abort"),
    ("STRIP", "true"),
];

fn componentize(package: &Package) -> Result<PathBuf> {
    let module = modules_folder()
        .join(TARGET)
        .join("release")
        .join(format!("{}.wasm", package.name.replace('-', "_")));
    let bytes = fs::read(&module).with_context(|| {
        format!(
            "`{}` made no {}: give its library the crate-type `cdylib`",
            package.name,
            module.display()
        )
    })?;
    let component = encode::component(&bytes)
        .with_context(|| format!("{} does not make a component", module.display()))?;

    let path = package.component.with_added_extension("wasm");
    write_if_changed(&path, &component)?;
    Ok(path)
}

/// Writes in one step, so that whoever watches the file never reads a half.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let folder = path.parent().context("a component needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let draft = path.with_added_extension(std::process::id().to_string());
    fs::write(&draft, bytes).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
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
}
