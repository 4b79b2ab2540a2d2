//! What came of loading: in the log, each problem once, and in the metrics.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_config::Mistake;
use portcullis_engine::Clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// What the lines in the log begin with, for filters.
const TARGET: &str = "portcullis::reload";
/// How many problems are remembered: beyond, one may be reported again.
const MAXIMUM_REPORTED: usize = 256;

/// The outcomes of loading since the start. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Outcomes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    last_success: AtomicI64,
    /// 0 before the first.
    last_failure: AtomicI64,
    applied: AtomicU64,
    unchanged: AtomicU64,
    failed: AtomicU64,
    reported: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    /// Since the last success.
    problems: HashSet<String>,
    /// Of what is in force.
    warnings: Vec<String>,
    /// Keys that take effect with a restart.
    waiting: Vec<String>,
}

impl Outcomes {
    /// Something was loaded just now, with these warnings.
    pub(crate) fn new(clock: Clock, warnings: Vec<String>) -> Self {
        let outcomes = Self(Arc::new(Inner {
            last_success: AtomicI64::new(clock.now()),
            clock,
            last_failure: AtomicI64::new(0),
            applied: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reported: Mutex::default(),
        }));
        outcomes.warn(warnings);
        outcomes
    }

    /// Everything was loaded, and this is in force from now on that was not before. `waiting` are keys that take effect with
    /// a restart.
    pub(crate) fn succeeded(
        &self,
        changed: &[String],
        waiting: Vec<String>,
        warnings: Vec<String>,
        asked: bool,
    ) {
        let count = if changed.is_empty() { &self.0.unchanged } else { &self.0.applied };
        count.fetch_add(1, Ordering::Relaxed);
        self.0.last_success.store(self.0.clock.now(), Ordering::Relaxed);
        self.warn(warnings);
        let mut reported = self.reported();
        let problems = std::mem::take(&mut reported.problems);
        if !waiting.is_empty() && waiting != reported.waiting {
            let keys = waiting.join(", ");
            tracing::warn!(target: TARGET, keys, "these take effect with a restart only");
        }
        reported.waiting = waiting;
        if !changed.is_empty() {
            tracing::info!(target: TARGET, changed = changed.join(", "), "reloaded");
        } else if asked || !problems.is_empty() {
            tracing::info!(target: TARGET, "reloaded, and everything is as it was");
        }
    }

    /// It could not be loaded.
    pub(crate) fn failed(&self, mistake: &Mistake) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
        self.0.last_failure.store(self.0.clock.now(), Ordering::Relaxed);
        let problem = mistake.in_one_line();
        let mut reported = self.reported();
        if reported.problems.len() >= MAXIMUM_REPORTED {
            reported.problems.clear();
        }
        if reported.problems.insert(problem.clone()) {
            tracing::warn!(target: TARGET, problem, "cannot reload: what was loaded before stays in force");
        } else {
            tracing::debug!(target: TARGET, problem, "cannot reload, as before");
        }
    }

    /// Those that are new.
    fn warn(&self, warnings: Vec<String>) {
        let mut reported = self.reported();
        for warning in warnings.iter().filter(|warning| !reported.warnings.contains(warning)) {
            tracing::warn!("{warning}");
        }
        reported.warnings = warnings;
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.0.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Collector for Outcomes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Inner { last_success, last_failure, applied, unchanged, failed, .. } = &*self.0;
        for (name, help, time) in [
            ("reload_last_success_timestamp", "When everything could last be loaded", last_success),
            (
                "reload_last_failure_timestamp",
                "When something could last not be loaded; 0 before the first time",
                last_failure,
            ),
        ] {
            let time = ConstGauge::new(time.load(Ordering::Relaxed));
            let unit = Some(&Unit::Seconds);
            time.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)?;
        }
        let help = "Attempts to load everything again, by what came of them";
        let mut family = encoder.encode_descriptor("reloads", help, None, MetricType::Counter)?;
        for (outcome, count) in [("applied", applied), ("unchanged", unchanged), ("failed", failed)]
        {
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(family.encode_family(&Outcome { outcome })?)?;
        }
        Ok(())
    }
}
