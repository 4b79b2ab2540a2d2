//! WASI for the runtimes of other languages: there, and the same in every call.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Decision, Engine, EngineOptions, ImportStatus, LoadError, Outcome, Policy, PolicyLimits,
    Preparation, Verdict, inspect,
};
use portcullis_tests::{guest, judge};

/// Only a guest's own doing stops it.
const PATIENT: PolicyLimits = PolicyLimits {
    deadline: Duration::from_secs(60),
    configure_deadline: Duration::from_secs(60),
    memory_bytes: 64 * 1024 * 1024,
};
/// What keeps a guest from being snapshotted.
const NO_SNAPSHOT: &str = "(global $reference (mut funcref) (ref.null func))";

fn engine() -> Engine {
    Engine::new(EngineOptions::default()).unwrap()
}

fn load(engine: &Engine, guest: &str) -> Arc<Policy> {
    judge::load(engine, "guest", guest::wasi_policy_from(guest), PATIENT).unwrap()
}

fn decide(name: &str) -> Decision {
    judge::alone(&load(&engine(), &guest::text(name))).decide(&judge::handshake())
}

/// How the policy failed.
fn failure(decision: &Decision) -> (&'static str, &str) {
    match &decision.policies[0].outcome {
        Outcome::Failed { code, detail } => (code, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_finds_the_handshake_s_time_and_nothing_else() {
    let decision = decide("wasi-finds-nothing");
    assert!(decision.is_accepted(), "{decision:?}");
}

#[test]
fn a_policy_s_clock_says_0_as_it_is_configured_and_the_handshake_s_time_when_it_judges() {
    let text = guest::text("wasi-remembers-the-time");
    let engine = engine();
    for (guest, preparation) in [
        (text.clone(), Preparation::Snapshot),
        (format!("{text} {NO_SNAPSHOT}"), Preparation::ReadyAhead),
    ] {
        let policy = load(&engine, &guest);
        assert_eq!(policy.preparation(), preparation);
        for time in [judge::NOW, judge::NOW + 3600] {
            let handshake = portcullis_engine::Handshake { time, ..judge::handshake() };
            let decision = judge::alone(&policy).decide(&handshake);
            assert!(decision.is_accepted(), "{decision:?}");
        }
    }
}

#[test]
fn randomness_is_the_same_in_every_call_on_every_engine_and_either_way() {
    let text = guest::text("wasi-random");
    let mut principals = Vec::new();
    for guest in [text.clone(), format!("{text} {NO_SNAPSHOT}")] {
        let policy = load(&engine(), &guest);
        for _ in 0..3 {
            match judge::alone(&policy).decide(&judge::handshake()).verdict {
                Verdict::Accept(identity) => principals.extend(identity.principal),
                Verdict::Reject(rejection) => panic!("{rejection:?}"),
            }
        }
    }
    assert_eq!(principals.len(), 6);
    principals.dedup();
    assert_eq!(principals.len(), 1, "{principals:?}");
    // Of the sources one after the other: not the same number again and again.
    let (configure, evaluate) = principals[0].split_at(16);
    assert_eq!(configure, &evaluate[..16], "both begin anew");
    for later in 1..4 {
        assert_ne!(evaluate[..16], evaluate[later * 16..][..16]);
    }
}

#[test]
fn what_a_policy_prints_goes_line_by_line_to_its_log() {
    let decision = decide("wasi-writes");
    assert!(decision.is_accepted(), "{decision:?}");
    let lines: Vec<_> =
        decision.policies[0].log.iter().map(|line| (line.level, line.text.as_str())).collect();
    assert_eq!(
        lines,
        [("info", "one"), ("warn", "a warning"), ("info", "two, three"), ("info", "four")]
    );
}

#[test]
fn a_policy_that_sleeps_for_an_hour_has_slept_at_once() {
    let decision = decide("wasi-sleeps");
    assert!(decision.is_accepted(), "{decision:?}");
}

#[test]
fn a_policy_that_exits_has_failed_and_is_told_so() {
    let decision = decide("wasi-exits");
    let (code, detail) = failure(&decision);
    assert_eq!(code, "policy-trapped");
    assert!(detail.contains("exited (success) instead of answering"), "{detail}");
}

#[test]
fn what_has_no_meaning_for_a_policy_traps_and_is_named() {
    for (guest, named) in [
        ("wasi-calls-what-nobody-needs", "wasi:filesystem/types@0.2.3#free-bytes"),
        ("wasi-polls-nothing", "polled nothing"),
        ("wasi-hogs-random", "random bytes"),
    ] {
        let decision = decide(guest);
        let (code, detail) = failure(&decision);
        assert_eq!(code, "policy-trapped", "{guest}");
        assert!(detail.contains(named), "{guest}: {detail}");
    }
}

#[test]
fn a_policy_cannot_hoard_what_the_host_keeps_for_it() {
    assert_eq!(failure(&decide("wasi-hoards-timers")).0, "policy-trapped");
}

#[test]
fn what_has_a_network_behind_it_is_not_loaded_and_the_error_says_how_to_leave_it_out() {
    for (package, interface) in [
        (
            "package wasi:sockets@0.2.9 { interface tcp { call: func(); } }",
            "wasi:sockets/tcp@0.2.9",
        ),
        (
            "package wasi:http@0.2.10 { interface outgoing-handler { call: func(); } }",
            "wasi:http/outgoing-handler@0.2.10",
        ),
    ] {
        let component = guest::importing(package, interface, "call");
        match judge::load(&engine(), "guest", component.clone(), PATIENT).unwrap_err() {
            LoadError::UnknownImport { import, why, .. } => {
                assert_eq!(import, interface);
                assert!(why.contains("--stub-wasi"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        let found = inspect(&engine(), "guest", &component).unwrap();
        let refused = found.imports.iter().find(|import| import.name == interface).unwrap();
        assert!(matches!(refused.status, ImportStatus::Refused { .. }));
    }
}
