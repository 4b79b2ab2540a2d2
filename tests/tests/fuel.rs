//! Deadlines by work: what is cut is cut at the same instruction on every run.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::time::Duration;

use portcullis_engine::{
    Decision, Engine, EngineOptions, LoadError, Metering, PolicyLimits, Preparation, Verdict,
};
use portcullis_tests::{guest, judge};

fn engine(metering: Metering) -> Engine {
    Engine::new(EngineOptions { metering, ..EngineOptions::default() }).unwrap()
}

fn limits(deadline_ms: u64) -> PolicyLimits {
    let deadline = Duration::from_millis(deadline_ms);
    PolicyLimits { deadline, ..PolicyLimits::default() }
}

fn decide(metering: Metering, component: Vec<u8>, limits: PolicyLimits) -> Decision {
    let policy = judge::load(&engine(metering), "guest", component, limits).unwrap();
    judge::alone(&policy).decide(&judge::handshake())
}

/// All of a decision but how long it took.
fn repeatable(decision: &Decision) -> String {
    let reports: Vec<_> = decision
        .policies
        .iter()
        .map(|report| (&report.outcome, &report.log, report.memory_bytes))
        .collect();
    format!("{:?} {reports:?}", decision.verdict)
}

#[test]
fn an_endless_loop_is_cut_at_the_same_instruction_on_every_run() {
    for guest in [
        "evaluate-loops",
        "evaluate-grows-as-it-loops",
        "evaluate-logs-forever",
        "evaluate-verifies-forever",
    ] {
        let run = || decide(Metering::Fuel, guest::policy(guest), limits(30));
        let first = run();
        assert_eq!(judge::code(&first.verdict), Some("policy-timeout"), "{guest}: {first:?}");
        for _ in 0..3 {
            assert_eq!(repeatable(&run()), repeatable(&first), "{guest}");
        }
    }
}

#[test]
fn how_far_a_guest_gets_follows_from_its_deadline() {
    let pages = |deadline| {
        let guest = guest::policy("evaluate-grows-as-it-loops");
        decide(Metering::Fuel, guest, limits(deadline)).policies[0].memory_bytes / 65536
    };
    let (short, long) = (pages(20), pages(200));
    // A round is a handful of instructions, so 200 million are some tens of millions of rounds.
    assert!(short < long && (10..200).contains(&long), "{short}, {long}");
}

#[test]
fn what_fits_into_a_deadline_fits_on_every_run() {
    let component = guest::policy("evaluate-takes-a-million-rounds");
    for _ in 0..3 {
        let enough = decide(Metering::Fuel, component.clone(), limits(20));
        assert!(enough.is_accepted(), "{enough:?}");
        let short = decide(Metering::Fuel, component.clone(), limits(1));
        assert_eq!(judge::code(&short.verdict), Some("policy-timeout"));
    }
}

#[test]
fn describe_and_configure_are_cut_by_work_too() {
    for (guest, expected) in [("start-loops", "describe"), ("configure-loops", "configure")] {
        let limits = PolicyLimits { configure_deadline: Duration::from_millis(50), ..limits(50) };
        let error = judge::load(&engine(Metering::Fuel), "guest", guest::policy(guest), limits)
            .unwrap_err();
        match error {
            LoadError::Failed { function, .. } => assert_eq!(function, expected),
            other => panic!("{guest}: {other:?}"),
        }
    }
}

/// A guest that rejects with a code whose first letter comes from `configure`, so that a verdict shows what was kept.
const CONFIGURED: &str = r#"(data (i32.const 1024) "?onfigured")
    (func (export "configure") (param i32 i32 i32 i32) (result i32)
      (i32.store8 (i32.const 1024) (i32.const 99)) (call $configured))
    (func (export "evaluate") (param i32) (result i32) (call $reject (i32.const 1024) (i32.const 10)))"#;

#[test]
fn a_snapshot_is_taken_under_fuel_as_it_is_by_time() {
    let policy =
        judge::load(&engine(Metering::Fuel), "guest", guest::policy_from(CONFIGURED), limits(100))
            .unwrap();
    assert_eq!(policy.preparation(), Preparation::Snapshot);
    let decision = judge::alone(&policy).decide(&judge::handshake());
    assert_eq!(judge::code(&decision.verdict), Some("configured"));
}

#[test]
fn a_verdict_is_the_same_by_time_and_by_work() {
    let no_snapshot = guest::text("no-snapshot");
    let patient = limits(60_000);
    for component in [
        guest::policy_from(""),
        guest::policy_from(CONFIGURED),
        guest::policy_from(&format!("{no_snapshot} {CONFIGURED}")),
        guest::policy("rejects-with-the-common-name"),
        guest::policy("evaluate-traps"),
        guest::policy("evaluate-fails"),
        guest::policy("evaluate-hogs-memory"),
        guest::policy("evaluate-floods-the-log"),
        guest::wasi_policy_from(&guest::text("wasi-random")),
    ] {
        let by_time = decide(Metering::Time, component.clone(), patient);
        let by_work = decide(Metering::Fuel, component, patient);
        assert_eq!(repeatable(&by_time), repeatable(&by_work));
    }
}

#[test]
fn a_verdict_by_work_says_so_when_it_cuts() {
    let decision = decide(Metering::Fuel, guest::policy("evaluate-loops"), limits(1));
    match decision.verdict {
        Verdict::Reject(rejection) => assert!(rejection.detail.contains("work"), "{rejection:?}"),
        Verdict::Accept(_) => panic!("accepted"),
    }
}
