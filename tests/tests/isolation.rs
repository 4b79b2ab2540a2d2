//! Nothing that an instance writes is seen by the next: not by the same policy's, not by another's, not on another
//! thread, whether it ended well, trapped or was cut.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{
    Engine, EngineOptions, Handshake, PagemapScan, Policy, PolicyLimits, Preparation,
};
use portcullis_tests::{guest, judge};

const THREADS: usize = 4;
const DECISIONS_PER_THREAD: usize = 60;
/// What the engine reserves for each decision that is made at the same time.
const MEMORIES_PER_PLACE: usize = 8;

/// How a guest ends after it left the secret, and the code that comes of it.
const ACCEPTS: Ending = ("(call $accept)", None);
const TRAPS: Ending = ("(unreachable)", Some("policy-trapped"));
const LOOPS: Ending = ("(loop $forever (br $forever)) (unreachable)", Some("policy-timeout"));

type Ending = (&'static str, Option<&'static str>);

/// How large a guest starts and how it ends. What is kept resident between instances is 1 MiB, so one starts and
/// stays within it, one grows beyond it and one starts beyond it. Few loop, since each of those costs its deadline.
const KINDS: [(u32, Ending); 6] =
    [(1, ACCEPTS), (8, TRAPS), (100, ACCEPTS), (1, TRAPS), (8, ACCEPTS), (100, LOOPS)];

fn engine(pagemap_scan: PagemapScan, places: u32) -> Engine {
    Engine::new(EngineOptions {
        pagemap_scan,
        maximum_decisions: places,
        ..EngineOptions::default()
    })
    .unwrap()
}

fn limits(code: Option<&str>) -> PolicyLimits {
    let cut = code == Some("policy-timeout");
    // The guest that is cut still needs the time to look and to write.
    let deadline = Duration::from_millis(if cut { 150 } else { 60_000 });
    PolicyLimits { deadline, ..PolicyLimits::default() }
}

/// Every way to leave a secret: the policies, each with the code that it always gives if it finds none.
fn policies(engine: &Engine) -> Vec<(Arc<Policy>, Option<&'static str>)> {
    let mut policies = Vec::new();
    for elsewhere in ["secret-nowhere-else", "secret-in-tables"] {
        for (pages, (ending, code)) in KINDS {
            let component = secret(elsewhere, pages, ending);
            let name = format!("{elsewhere}-{pages}-{}", code.unwrap_or("accepts"));
            policies.push((judge::load(engine, &name, component, limits(code)).unwrap(), code));
        }
    }
    policies
}

fn secret(elsewhere: &str, pages: u32, ending: &str) -> Vec<u8> {
    guest::policy_from(&format!(
        r#"{} {} (memory (export "memory") {pages}) (func $finish (result i32) {ending})"#,
        guest::text("secret"),
        guest::text(elsewhere),
    ))
}

fn assert_nothing_is_found(pagemap_scan: PagemapScan, places: u32) {
    let engine = engine(pagemap_scan, places);
    let policies = policies(&engine);
    if places == 1 {
        assert!(policies.len() > MEMORIES_PER_PLACE, "some memory must serve several policies");
    }
    let handshake = judge::handshake();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (policies, handshake) = (&policies, &handshake);
            scope.spawn(move || {
                // Each policy twice in a row, so that it takes its own place again as well as another's.
                for turn in 0..DECISIONS_PER_THREAD {
                    ask(&policies[(thread * 3 + turn / 2) % policies.len()], handshake);
                }
            });
        }
    });
}

fn ask((policy, code): &(Arc<Policy>, Option<&'static str>), handshake: &Handshake) {
    let decision = judge::alone(policy).decide(handshake);
    assert_eq!(judge::code(&decision.verdict), *code, "{}: {decision:?}", policy.name());
}

#[test]
fn no_instance_finds_a_secret_of_one_before_it_with_pagemap_scan() {
    assert_nothing_is_found(PagemapScan::Automatic, 1);
    assert_nothing_is_found(PagemapScan::Automatic, 4);
}

#[test]
fn no_instance_finds_a_secret_of_one_before_it_without_pagemap_scan() {
    assert_nothing_is_found(PagemapScan::Off, 1);
    assert_nothing_is_found(PagemapScan::Off, 4);
}

#[test]
fn policies_with_and_without_a_snapshot_are_among_those_that_look() {
    let engine = engine(PagemapScan::Automatic, 1);
    let preparation = |elsewhere| {
        let component = secret(elsewhere, 1, "(call $accept)");
        judge::load(&engine, "secret", component, limits(None)).unwrap().preparation()
    };
    assert_eq!(preparation("secret-nowhere-else"), Preparation::Snapshot);
    assert_eq!(preparation("secret-in-tables"), Preparation::ReadyAhead);
}

/// What `configure` leaves is kept by design, so it stands for a secret that leaked.
#[test]
fn a_secret_that_is_there_would_be_found() {
    let engine = engine(PagemapScan::Automatic, 1);
    for (elsewhere, place) in [
        ("secret-nowhere-else", "(call $leave_in_memory (i32.const 8192) (i32.const 8200))"),
        ("secret-nowhere-else", "(call $leave_in_memory (i32.const 131064) (i32.const 131072))"),
        ("secret-nowhere-else", "(global.set $narrow (i32.const 1))"),
        ("secret-nowhere-else", "(global.set $wide (i64.const 1))"),
        ("secret-in-tables", "(global.set $vector (v128.const i64x2 0 1))"),
        ("secret-in-tables", "(global.set $reference (ref.func $leave))"),
        ("secret-in-tables", "(table.set $table (i32.const 511) (ref.func $leave))"),
    ] {
        let component = guest::policy_from(&format!(
            r#"{} {} (func $finish (result i32) (call $accept))
               (func (export "configure") (param i32 i32 i32 i32) (result i32) {place} (call $configured))"#,
            guest::text("secret"),
            guest::text(elsewhere),
        ));
        let policy = judge::load(&engine, "secret", component, limits(None)).unwrap();
        let decision = judge::alone(&policy).decide(&judge::handshake());
        assert_eq!(judge::code(&decision.verdict), Some("secret-found"), "{place}");
    }
}
