//! Guests that do harm: each is refused at load or cut within its budget, and no other handshake notices.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_engine::{Decision, Engine, EngineOptions, LoadError, Outcome, PolicyLimits};
use portcullis_tests::{guest, judge};

/// Far from what a guest that ends needs on a busy machine, near enough for those that do not end.
const LIMITS: PolicyLimits = PolicyLimits {
    deadline: Duration::from_millis(300),
    configure_deadline: Duration::from_millis(300),
    memory_bytes: 64 * 1024 * 1024,
};
/// For guests that end, so that only their own doing can stop them.
const PATIENT: PolicyLimits = PolicyLimits { deadline: Duration::from_secs(60), ..LIMITS };

fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

fn refused(component: Vec<u8>) -> LoadError {
    judge::load(&engine(), "hostile", component, LIMITS).unwrap_err()
}

fn decide(component: Vec<u8>, limits: PolicyLimits) -> Decision {
    let policy = judge::load(&engine(), "hostile", component, limits).unwrap();
    judge::alone(&policy).decide(&judge::handshake())
}

#[track_caller]
fn assert_rejected(guest: &str, limits: PolicyLimits, code: &str) {
    let decision = decide(guest::policy(guest), limits);
    assert_eq!(judge::code(&decision.verdict), Some(code), "{guest}: {decision:?}");
}

#[test]
fn a_guest_that_only_answers_is_accepted() {
    let decision = decide(guest::policy_from(""), PATIENT);
    assert!(decision.is_accepted(), "{decision:?}");
}

#[test]
fn a_guest_that_does_not_end_is_cut_at_its_deadline() {
    for guest in
        ["evaluate-loops", "evaluate-logs-forever", "evaluate-verifies-forever", "realloc-loops"]
    {
        assert_rejected(guest, LIMITS, "policy-timeout");
    }
}

#[test]
fn a_guest_that_traps_is_refused() {
    for guest in ["evaluate-traps", "evaluate-divides-by-zero", "evaluate-recurses"] {
        assert_rejected(guest, PATIENT, "policy-trapped");
    }
}

#[test]
fn a_guest_that_takes_more_memory_than_it_may_is_refused() {
    assert_rejected("evaluate-hogs-memory", PATIENT, "policy-memory");
}

#[test]
fn memory_is_counted_as_configured_and_reported() {
    let limits = PolicyLimits { memory_bytes: 1024 * 1024, ..PATIENT };
    let decision = decide(guest::policy("evaluate-hogs-memory"), limits);
    assert_eq!(judge::code(&decision.verdict), Some("policy-memory"));
    let used = decision.policies[0].memory_bytes;
    assert!((512 * 1024..=1024 * 1024).contains(&used), "{used}");
}

#[test]
fn a_guest_that_takes_all_that_tables_and_handles_give_is_refused() {
    for guest in ["evaluate-hogs-tables", "evaluate-hoards-handles"] {
        assert_rejected(guest, PATIENT, "policy-trapped");
    }
}

#[test]
fn a_guest_that_uses_handles_that_are_not_its_own_is_refused() {
    for guest in
        ["evaluate-invents-a-handle", "evaluate-drops-twice", "evaluate-uses-what-it-dropped"]
    {
        assert_rejected(guest, PATIENT, "policy-trapped");
    }
}

#[test]
fn a_guest_that_breaks_the_calling_convention_is_refused() {
    for guest in [
        "evaluate-answers-a-huge-list",
        "evaluate-answers-an-endless-list",
        "evaluate-answers-an-unknown-case",
        "evaluate-answers-no-utf-8",
        "evaluate-answers-outside-its-memory",
        "realloc-calls-back",
        "realloc-lies",
    ] {
        assert_rejected(guest, PATIENT, "policy-trapped");
    }
}

#[test]
fn a_guest_that_cannot_judge_is_refused_as_a_failure() {
    let decision = decide(guest::policy("evaluate-fails"), PATIENT);
    assert_eq!(judge::code(&decision.verdict), Some("policy-failed"));
    assert!(matches!(&decision.policies[0].outcome,
        Outcome::Failed { code: "policy-failed", detail } if detail == "no answer"));
}

/// A guest with page 1 full of `a`, which `answer` uses.
fn answering(answer: &str) -> Vec<u8> {
    guest::policy_from(&format!(
        r#"(func (export "evaluate") (param i32) (result i32)
             (memory.fill (i32.const 65536) (i32.const 97) (i32.const 65536)) {answer})"#
    ))
}

#[test]
fn an_answer_may_be_as_large_as_the_contract_says_and_no_larger() {
    // An attribute at 1024: its name, then its value, each an address and a length.
    let attribute = |name: u32, value: u32| {
        format!(
            "(i32.store (i32.const 1024) (i32.const 65536)) (i32.store (i32.const 1028) (i32.const {name}))
             (i32.store (i32.const 1032) (i32.const 65536)) (i32.store (i32.const 1036) (i32.const {value}))
             (call $accept_with (i32.const 1024) (i32.const 1))"
        )
    };
    let attributes = |count| format!("(call $accept_with (i32.const 2048) (i32.const {count}))");
    let principal = |length| format!("(call $accept_as (i32.const 65536) (i32.const {length}))");
    let until = |time| format!("(call $accept_until (i64.const {time}))");
    for (largest, too_large) in [
        (principal(2048), principal(2049)),
        (principal(1), principal(0)),
        (attributes(64), attributes(65)),
        (attribute(128, 1), attribute(129, 1)),
        (attribute(1, 4096), attribute(1, 4097)),
        (until(judge::NOW + 1), until(judge::NOW)),
    ] {
        let decision = decide(answering(&largest), PATIENT);
        assert!(decision.is_accepted(), "{largest}: {decision:?}");
        let decision = decide(answering(&too_large), PATIENT);
        assert_eq!(judge::code(&decision.verdict), Some("policy-failed"), "{too_large}");
    }
}

#[test]
fn a_code_that_nobody_listed_is_a_rejection_and_a_malformed_one_a_failure() {
    let code =
        |length| answering(&format!("(call $reject (i32.const 65536) (i32.const {length}))"));
    let longest = "a".repeat(64);
    let decision = decide(code(64), PATIENT);
    assert_eq!(judge::code(&decision.verdict), Some(longest.as_str()));
    for malformed in [code(0), code(65), garbage("Expired"), garbage("expired\\n"), garbage("\\00")]
    {
        let decision = decide(malformed, PATIENT);
        assert_eq!(judge::code(&decision.verdict), Some("policy-failed"));
    }
}

/// A guest that rejects with this code.
fn garbage(code: &str) -> Vec<u8> {
    let length =
        if code.contains('\\') { code.len() - code.matches('\\').count() } else { code.len() };
    guest::policy_from(&format!(
        r#"(data (i32.const 1024) "{code}")
           (func (export "evaluate") (param i32) (result i32)
             (call $reject (i32.const 1024) (i32.const {length})))"#
    ))
}

#[test]
fn what_a_guest_logs_is_cut_and_costs_it_nothing() {
    let decision = decide(guest::policy("evaluate-floods-the-log"), PATIENT);
    assert!(decision.is_accepted(), "{decision:?}");
    let log = &decision.policies[0].log;
    assert_eq!(log.len(), 32);
    // A cut line has a mark of 3 bytes behind the 1,024 that are kept.
    assert!(log.iter().all(|line| line.text.len() <= 1024 + 3));
}

#[test]
fn a_guest_that_does_harm_while_it_is_loaded_is_not_loaded() {
    for (guest, function) in [
        ("configure-loops", "configure"),
        ("configure-traps", "configure"),
        ("start-loops", "describe"),
        ("start-traps", "describe"),
        ("memory-too-large", "describe"),
    ] {
        let error = refused(guest::policy(guest));
        assert!(
            matches!(&error, LoadError::Failed { function: where_, .. } if *where_ == function),
            "{guest}: {error:?}"
        );
    }
}

#[test]
fn a_guest_that_does_not_take_its_settings_is_not_loaded() {
    let error = refused(guest::policy("configure-fails"));
    assert!(
        matches!(&error,
        LoadError::Configure { detail, .. } if detail == "no such setting"),
        "{error:?}"
    );
}

#[test]
fn a_component_of_another_world_is_not_loaded() {
    let adder = guest::component(
        r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#,
        "package test:adder; world adder { export add: func(a: u32, b: u32) -> u32; }",
    );
    let error = refused(adder);
    assert!(matches!(error, LoadError::MissingExport { .. }), "{error:?}");
}

#[test]
fn a_component_with_an_export_of_another_type_is_not_loaded() {
    let other = guest::component(
        r#"(module (func (export "describe")) (func (export "configure")) (func (export "evaluate")))"#,
        "package test:other; world other { export describe: func(); export configure: func(); export evaluate: func(); }",
    );
    let error = refused(other);
    assert!(matches!(error, LoadError::WrongType { .. }), "{error:?}");
}

#[test]
fn a_component_that_wants_sockets_is_not_loaded_and_the_error_names_them() {
    let error = refused(guest::importing(
        "package wasi:sockets@0.2.0 { interface tcp { connect: func(); } }",
        "wasi:sockets/tcp@0.2.0",
        "connect",
    ));
    assert!(
        matches!(&error,
        LoadError::UnknownImport { import, .. } if import == "wasi:sockets/tcp@0.2.0"),
        "{error:?}"
    );
}

#[test]
fn a_component_for_another_version_of_the_contract_is_not_loaded_and_the_error_names_it() {
    let error = refused(guest::importing(
        "package portcullis:policy@2.0.0 { interface log { shout: func(); } }",
        "portcullis:policy/log@2.0.0",
        "shout",
    ));
    assert!(
        matches!(&error,
        LoadError::OtherContract { import, .. } if import == "portcullis:policy/log@2.0.0"),
        "{error:?}"
    );
}

#[test]
fn a_component_for_async_functions_is_not_loaded_and_the_error_says_how_to_build_it() {
    let component = b"(component (core func (canon task.cancel)))";
    let error = refused(wat::parse_bytes(component).unwrap().into_owned());
    assert!(matches!(error, LoadError::Async { .. }), "{error:?}");
    assert!(error.to_string().contains("--sync"), "{error}");
}

#[test]
fn a_component_of_too_many_parts_is_not_loaded() {
    for (guest, function) in
        [("(memory 0)".repeat(8), "describe"), ("(table 1 funcref)".repeat(41), "describe")]
    {
        let error = refused(guest::policy_from(&guest));
        assert!(
            matches!(&error, LoadError::Failed { function: where_, .. } if *where_ == function),
            "{error:?}"
        );
    }
}

#[test]
fn what_is_no_component_is_not_loaded() {
    let module = guest::core_module(r#"(module (func (export "evaluate")))"#);
    for bytes in [module, b"(component)".to_vec(), b"\x7fELF\x02\x01\x01\x00\x00".to_vec(), vec![]]
    {
        let error = refused(bytes);
        assert!(matches!(error, LoadError::NotAComponent { .. }), "{error:?}");
    }
}

#[test]
fn a_file_that_was_cut_anywhere_is_not_loaded() {
    let whole = guest::policy_from("");
    let engine = engine();
    for length in 0..whole.len() {
        match judge::load(&engine, "cut", whole[..length].to_vec(), LIMITS) {
            Err(
                LoadError::NotAComponent { .. }
                | LoadError::Invalid { .. }
                | LoadError::MissingExport { .. },
            ) => {}
            Err(other) => panic!("{length} of {}: {other:?}", whole.len()),
            // Cut before the names and the tool's version, in custom sections (0) at the end: nothing is missing.
            Ok(_) => assert_eq!(whole[length], 0),
        }
    }
}

#[test]
fn handshakes_go_on_while_guests_loop_and_hog() {
    let engine = engine();
    let good =
        judge::alone(&judge::load(&engine, "good", guest::policy_from(""), PATIENT).unwrap());
    let hostile = ["evaluate-loops", "evaluate-hogs-memory", "evaluate-traps", "evaluate-recurses"]
        .map(|name| judge::load(&engine, name, guest::policy(name), LIMITS).unwrap());
    let handshake = judge::handshake();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for policy in &hostile {
            let chain = judge::alone(policy);
            let (handshake, done) = (&handshake, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert!(!chain.decide(handshake).is_accepted());
                }
            });
        }
        for _ in 0..500 {
            let decision = good.decide(&handshake);
            assert!(decision.is_accepted(), "{decision:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}
