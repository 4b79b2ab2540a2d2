//! The WIT package in `wit`, as every guest and the host read it.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]

use std::path::Path;

use wit_parser::{Resolve, WorldItem};

fn contract() -> (Resolve, wit_parser::WorldId) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut resolve = Resolve::new();
    let (package, _) = resolve.push_dir(&folder).expect("the WIT package parses");
    let world = resolve.select_world(&[package], Some("policy")).expect("the world `policy`");
    (resolve, world)
}

#[test]
fn the_package_is_version_1_and_the_world_imports_five_interfaces_and_exports_three_functions() {
    let (resolve, world) = contract();
    let world = &resolve.worlds[world];
    let package = &resolve.packages[world.package.expect("a package")].name;
    assert_eq!(package.to_string(), "portcullis:policy@1.0.0");

    let mut imports: Vec<String> = world
        .imports
        .values()
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone(),
            _ => None,
        })
        .collect();
    imports.sort();
    assert_eq!(imports, ["certificates", "crypto", "handshakes", "log", "revocation"]);

    let mut exports: Vec<String> =
        world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    exports.sort();
    assert_eq!(exports, ["configure", "describe", "evaluate"]);
}

#[test]
fn every_item_of_the_contract_is_documented_and_says_since_when_it_is_there() {
    let (resolve, _) = contract();
    for (_, interface) in &resolve.interfaces {
        let place = interface.name.clone().unwrap_or_default();
        assert!(interface.docs.contents.is_some(), "interface {place} has no doc comment");
        for (name, function) in &interface.functions {
            assert!(function.docs.contents.is_some(), "{place}.{name} has no doc comment");
            assert_ne!(function.stability, Default::default(), "{place}.{name} has no @since");
        }
        for (name, id) in &interface.types {
            let documented = resolve.types[*id].docs.contents.is_some();
            let used = matches!(
                resolve.types[*id].kind,
                wit_parser::TypeDefKind::Type(wit_parser::Type::Id(_))
            );
            assert!(documented || used, "{place}.{name} has no doc comment");
        }
    }
}
