//! Policies whose memory no snapshot can hold: their instances are configured ahead of need.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::time::Duration;

use portcullis_engine::{Engine, EngineOptions, Metering, PolicyLimits, Preparation};
use portcullis_tests::{guest, judge};

/// More than an evaluation needs, less than such a `configure`.
const SHORT: Duration = Duration::from_millis(20);

fn slow_to_configure(snapshot: bool) -> Vec<u8> {
    let without = if snapshot { String::new() } else { guest::text("no-snapshot") };
    guest::policy_from(&format!("{without} {}", guest::text("configure-takes-its-time")))
}

#[test]
fn what_is_configured_ahead_serves_in_time_and_what_is_not_is_cut_at_the_deadline() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let limits = PolicyLimits {
        deadline: SHORT,
        configure_deadline: Duration::from_secs(60),
        ..PolicyLimits::default()
    };
    let policy = judge::load(&engine, "slow", slow_to_configure(false), limits).unwrap();
    assert_eq!(policy.preparation(), Preparation::ReadyAhead);
    let chain = judge::alone(&policy);
    let handshake = judge::handshake();
    // Asked without a pause, the instances that are ready run out, and in the time that the cut ones take more get ready.
    let (mut served, mut cut) = (false, false);
    for _ in 0..10_000 {
        match judge::code(&chain.decide(&handshake).verdict) {
            None => served = true,
            Some("policy-timeout") => cut = true,
            Some(other) => panic!("{other}"),
        }
        if served && cut {
            return;
        }
    }
    panic!("served: {served}, cut: {cut}");
}

#[test]
fn a_decision_is_the_same_whichever_way_and_has_nothing_of_configure_in_it() {
    for metering in [Metering::Time, Metering::Fuel] {
        let engine = Engine::new(EngineOptions { metering, ..EngineOptions::default() }).unwrap();
        for snapshot in [true, false] {
            let limits = PolicyLimits {
                deadline: Duration::from_secs(60),
                configure_deadline: Duration::from_secs(60),
                ..PolicyLimits::default()
            };
            let policy = judge::load(&engine, "slow", slow_to_configure(snapshot), limits).unwrap();
            let chain = judge::alone(&policy);
            for _ in 0..6 {
                let decision = chain.decide(&judge::handshake());
                assert!(decision.is_accepted(), "{decision:?}");
                let lines: Vec<_> =
                    decision.policies[0].log.iter().map(|line| line.text.as_str()).collect();
                assert_eq!(lines, ["evaluate"]);
            }
        }
    }
}

#[test]
fn by_work_configure_has_its_own_deadline_so_that_a_verdict_does_not_depend_on_what_is_ready() {
    let engine =
        Engine::new(EngineOptions { metering: Metering::Fuel, ..EngineOptions::default() })
            .unwrap();
    let limits = PolicyLimits {
        deadline: Duration::from_millis(1),
        configure_deadline: Duration::from_secs(1),
        ..PolicyLimits::default()
    };
    let policy = judge::load(&engine, "slow", slow_to_configure(false), limits).unwrap();
    let decision = judge::alone(&policy).decide(&judge::handshake());
    assert!(decision.is_accepted(), "{decision:?}");
}
