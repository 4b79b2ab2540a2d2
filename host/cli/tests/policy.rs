//! `portcullis policy` as its users call it, where no other tool is needed: what it refuses, and what it shows.
#![allow(clippy::expect_used, reason = "this is how a test fails")]

use std::path::Path;
use std::process::{Command, Output};

use portcullis_tests::guest;
use serde_json::Value;

fn policy(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(folder)
        // No tool on it: a test must not depend on what this machine has.
        .env("PATH", folder)
        .arg("policy")
        .args(arguments)
        .args(["--format", "json"])
        .output()
        .expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn new_makes_a_project_and_writes_over_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = ["new", "office-hours", "--language", "python"];
    assert_eq!(policy(folder.path(), &new).status.code(), Some(0));
    let source = folder.path().join("office-hours/main.py");
    std::fs::write(&source, "mine").expect("written");

    let again = policy(folder.path(), &new);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(json(&again)["error"]["file"], "office-hours");
    assert_eq!(std::fs::read_to_string(&source).expect("a file"), "mine");
}

#[test]
fn a_name_that_is_none_and_an_engine_for_another_language_make_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["new", "../up", "--language=rust"][..],
        &["new", "Upper", "--language=rust"],
        &["new", "fine", "--language=cobol"],
        &["new", "fine", "--language=rust", "--engine=quickjs"],
    ] {
        assert_eq!(policy(folder.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn build_says_how_to_get_the_tool_that_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    for (language, way_out) in [
        ("javascript", "npm install"),
        ("python", "pip install --requirement requirements.txt"),
        ("rust", "rustup target add"),
    ] {
        let name = format!("in-{language}");
        policy(folder.path(), &["new", &name, "--language", language]);
        let output = policy(folder.path(), &["build", &name]);
        assert_eq!(output.status.code(), Some(2), "{language}");
        let hint = json(&output)["error"]["hint"].as_str().unwrap_or_default().to_owned();
        assert!(hint.contains(way_out), "{language}: {hint}");
    }
}

#[test]
fn build_refuses_a_folder_that_is_no_project() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = policy(folder.path(), &["build"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        json(&output)["error"]["hint"].as_str().is_some_and(|hint| hint.contains("policy new"))
    );
}

#[test]
fn inspect_shows_what_a_policy_imports_and_says_of_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("p.wasm"), guest::policy_from("")).expect("written");
    let output = policy(folder.path(), &["inspect", "p.wasm"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let inspection = json(&output);
    assert_eq!(inspection["contract"], "1.0.0");
    assert_eq!(inspection["refusal"], Value::Null);
    let imports = inspection["imports"].as_array().expect("imports");
    assert!(!imports.is_empty());
    assert!(imports.iter().all(|import| import["gets"] == "contract"), "{inspection}");
    assert!(inspection["description"]["settings_schema"].is_object(), "{inspection}");
}

#[test]
fn inspect_exits_with_1_for_a_component_that_is_no_policy_and_2_for_what_is_no_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    let wit = "package test:guest; interface wires { tap: func(); } world guest { import wires; }";
    let module = r#"(module (import "test:guest/wires" "tap" (func)))"#;
    write("taps.wasm", &guest::component(module, wit));
    let output = policy(folder.path(), &["inspect", "taps.wasm"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let inspection = json(&output);
    assert_eq!(inspection["imports"][0]["name"], "test:guest/wires");
    assert_eq!(inspection["imports"][0]["gets"], "refused");
    assert!(inspection["refusal"].is_string(), "{inspection}");

    write("module.wasm", &guest::core_module("(module)"));
    write("garbage.wasm", b"garbage");
    write("empty.wasm", b"");
    for file in ["module.wasm", "garbage.wasm", "empty.wasm", "absent.wasm"] {
        let output = policy(folder.path(), &["inspect", file]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert_eq!(json(&output)["error"]["file"], file);
    }
}
