//! Guests written in WAT, one a file under `guests/`, made into components in the test that uses them.
//!
//! A guest in Rust or Python would come with a runtime that tidies up. These do nothing but what they say, so that
//! what stops them is the host.

use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const COMMON: &str = include_str!("../guests/common.wat");

/// What a guest has unless its file brings its own.
const DEFAULTS: [(&str, &str); 4] = [
    (r#"(export "memory")"#, r#"(memory (export "memory") 2)"#),
    (r#"(export "cabi_realloc")"#, include_str!("../guests/allocator.wat")),
    (
        r#"(export "configure")"#,
        r#"(func (export "configure") (param i32 i32 i32 i32) (result i32) (call $configured))"#,
    ),
    (
        r#"(export "evaluate")"#,
        r#"(func (export "evaluate") (param i32) (result i32) (call $accept))"#,
    ),
];

/// The component of `guests/NAME.wat`, of the policy world.
#[must_use]
pub fn policy(name: &str) -> Vec<u8> {
    policy_from(&text(name))
}

/// The component of a guest's text, which is put together with `guests/common.wat` and the defaults.
#[must_use]
pub fn policy_from(guest: &str) -> Vec<u8> {
    component(
        &module(guest),
        "package test:guest; world guest { include portcullis:policy/policy@1.0.0; }",
    )
}

/// As [`policy_from`], for a guest that imports of `guests/wasi.wit` what it likes.
#[must_use]
pub fn wasi_policy_from(guest: &str) -> Vec<u8> {
    component(&module(guest), include_str!("../guests/wasi.wit"))
}

fn module(guest: &str) -> String {
    let defaults: String = DEFAULTS
        .iter()
        .filter(|(export, _)| !guest.contains(export))
        .map(|(_, default)| *default)
        .collect();
    // A module has its imports first, so those of a guest stand on lines of their own.
    let (imports, guest): (Vec<_>, Vec<_>) =
        guest.lines().partition(|line| line.starts_with("(import "));
    format!("(module {}\n{COMMON}\n{}\n{defaults})", imports.join("\n"), guest.join("\n"))
}

/// The component of a whole module in WAT for a world that `wit` describes, in words of the contract if it likes.
#[must_use]
pub fn component(module: &str, wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::new();
    resolve.push_dir(repository().join("wit")).expect("the contract parses");
    let package = resolve.push_str("guest.wit", wit).expect("the guest's world parses");
    let world = resolve.select_world(&[package], None).expect("the guest's package has one world");

    let mut bytes = core_module(module);
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8, false)
        .expect("a module takes a custom section");
    let mut encoder = ComponentEncoder::default();
    encoder.module(&bytes).expect("the module fits its world");
    encoder.encode().expect("the module fits its world")
}

/// The exports of the contract without anything behind them, and one more import, of a package in WIT.
#[must_use]
pub fn importing(package: &str, interface: &str, field: &str) -> Vec<u8> {
    component(
        &format!(
            r#"(module (import "{interface}" "{field}" (func))
                 (memory (export "memory") 1)
                 (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
                 (func (export "describe") (result i32) unreachable)
                 (func (export "configure") (param i32 i32 i32 i32) (result i32) unreachable)
                 (func (export "evaluate") (param i32) (result i32) unreachable))"#
        ),
        &format!(
            "package test:guest; {package}
             world guest {{ include portcullis:policy/policy@1.0.0; import {interface}; }}"
        ),
    )
}

/// A core module from WAT.
#[must_use]
pub fn core_module(module: &str) -> Vec<u8> {
    wat::parse_str(module).unwrap_or_else(|error| panic!("{error}"))
}

/// The text of `guests/NAME.wat`, to be put together with others.
#[must_use]
pub fn text(name: &str) -> String {
    let path = repository().join("tests/guests").join(name).with_extension("wat");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}
