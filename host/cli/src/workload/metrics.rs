//! How it stands with the agent, read at each scrape.

use std::fmt;

use portcullis_engine::Clock;
use portcullis_workload::Connection;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::Current;

/// Of the agent that is in force.
#[derive(Debug)]
pub(crate) struct AgentMetrics(pub(crate) Current, pub(crate) Clock);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Collector for AgentMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(api) = self.0.get() else { return Ok(()) };
        let (state, now) = (api.state(), self.1.now());
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: i64| {
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        let is_connected = state.connection == Connection::Connected;
        gauge(
            "workload_api_connected",
            "Whether the agent gives something",
            None,
            i64::from(is_connected),
        )?;
        gauge(
            "workload_api_since_timestamp",
            "Since when it does, or does not",
            Some(&Unit::Seconds),
            state.since,
        )?;
        // 0 when nothing may be used.
        let end = state.material.map(|material| material.svid().certificate().not_after());
        gauge(
            "workload_api_svid_remaining",
            "Until what it gave last is not used any longer",
            Some(&Unit::Seconds),
            end.map_or(0, |end| end - now),
        )?;
        let (heard, unusable) = state.messages;
        let help = "Messages of the agent";
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor("workload_api_messages", help, None, kind)?;
        for (outcome, count) in [("used", heard - unusable), ("unusable", unusable)] {
            ConstCounter::new(count).encode(family.encode_family(&Outcome { outcome })?)?;
        }
        Ok(())
    }
}
