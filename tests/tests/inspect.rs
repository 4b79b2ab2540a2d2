//! What a component says and needs, told before it is trusted.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use portcullis_engine::{
    Engine, EngineOptions, ImportStatus, Inspection, LoadError, Preparation, inspect,
};
use portcullis_tests::guest;

fn inspected(component: &[u8]) -> Inspection {
    inspect(&Engine::new(EngineOptions::default()).unwrap(), "new", component).unwrap()
}

#[test]
fn a_policy_is_told_with_what_it_gets_and_which_way_it_goes() {
    let component = guest::policy_from("");
    let found = inspected(&component);
    assert_eq!(found.bytes, component.len());
    assert_eq!(found.contract.as_deref(), Some("1.0.0"));
    assert_eq!(found.imports.len(), 4);
    assert!(found.imports.iter().all(|import| import.status == ImportStatus::Contract));
    for export in ["configure", "describe", "evaluate"] {
        assert!(found.exports.iter().any(|found| found == export), "{export}");
    }
    assert_eq!(found.description.unwrap().name, "guest");
    assert_eq!(found.preparation, Some(Preparation::Snapshot));
    assert_eq!(found.refusal, None);

    let tables = format!("{} {}", guest::text("secret"), guest::text("secret-in-tables"));
    let tables = format!("{tables} (func $finish (result i32) (call $accept))");
    let found = inspected(&guest::policy_from(&tables));
    assert_eq!(found.preparation, Some(Preparation::ReadyAhead));
}

#[test]
fn a_component_that_would_not_load_is_told_too_with_what_keeps_it() {
    let component = guest::component(
        r#"(module (import "test:fax/line@1.0.0" "dial" (func (result i32)))
             (import "test:fax/desk@1.0.0" "hang-up" (func (param i32)))
             (memory (export "memory") 1)
             (data (i32.const 16) "\00\01\00\00\05\00\00\00")
             (data (i32.const 256) "guest")
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
             (func (export "describe") (result i32) (i32.const 16))
             (func (export "configure") (param i32 i32 i32 i32) (result i32) unreachable)
             (func (export "evaluate") (param i32) (result i32) unreachable))"#,
        "package test:guest;
         package test:fax@1.0.0 {
             interface line { resource call; dial: func() -> call; }
             interface desk { use line.{call}; hang-up: func(call: call); }
         }
         world guest {
             include portcullis:policy/policy@1.0.0;
             import test:fax/line@1.0.0;
             import test:fax/desk@1.0.0;
         }",
    );
    let found = inspected(&component);
    let refused: Vec<_> = found
        .imports
        .iter()
        .filter(|import| matches!(import.status, ImportStatus::Refused { .. }))
        .map(|import| import.name.as_str())
        .collect();
    assert_eq!(refused, ["test:fax/line@1.0.0", "test:fax/desk@1.0.0"]);
    assert_eq!(found.description.unwrap().name, "guest");
    assert_eq!(found.preparation, None);
    assert!(found.refusal.unwrap().contains("test:fax/line@1.0.0"));
}

#[test]
fn a_component_that_cannot_describe_itself_is_told_without_a_description() {
    let found = inspected(&guest::policy("start-traps"));
    assert_eq!(found.description, None);
    assert!(found.refusal.unwrap().contains("describe"));
}

#[test]
fn what_is_no_component_is_an_error() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    for bytes in [guest::core_module("(module)"), b"text".to_vec(), Vec::new()] {
        let error = inspect(&engine, "new", &bytes).unwrap_err();
        assert!(matches!(error, LoadError::NotAComponent { .. }), "{error:?}");
    }
}
