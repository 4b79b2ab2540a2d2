//! `[alerts]`: when operators are told that something ends, and how; and the metrics of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_alerts::{
    AlertOptions, Alerts, CommandHook, Expiring, Hook, Retries, Status, Webhook,
};
use portcullis_connect::Roots;
use portcullis_engine::{Clock, WarnBefore};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::config::ConfigFile;
use crate::expiry::{self, CRL};
use portcullis_config::Mistake;

/// Of one call of a hook.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many certificates have a metric of their own: those that end first.
const MAXIMUM_SERIES: usize = 1000;
/// The same of clients, whose certificates are others every day.
const MAXIMUM_CLIENT_SERIES: usize = 20;

/// Alerts as the configuration wants them, with what its files have at hand. Needs a Tokio runtime.
pub(crate) fn start(file: &ConfigFile, expiring: Vec<Expiring>) -> Result<Alerts, Mistake> {
    let alerts = Alerts::start(options(file)?, Clock::system());
    alerts.replace(expiry::FILES, expiring);
    Ok(alerts)
}

/// `[alerts]`, checked.
pub(crate) fn options(file: &ConfigFile) -> Result<AlertOptions, Mistake> {
    let (section, defaults) = (&file.config.alerts, AlertOptions::default());
    let warn_before = WarnBefore {
        seconds: section.warn_before.map_or(defaults.warn_before.seconds, |given| given.0),
        fraction: fraction(file, defaults.warn_before.fraction)?,
    };
    let hooks = [
        command(file)?.map(Hook::Command),
        webhook(file)?.map(|webhook| Hook::Webhook(Box::new(webhook))),
    ];
    Ok(AlertOptions {
        warn_before,
        repeat_seconds: section.repeat.map_or(defaults.repeat_seconds, |given| given.0),
        clients: section.clients.unwrap_or(defaults.clients),
        hooks: hooks.into_iter().flatten().collect(),
    })
}

fn fraction(file: &ConfigFile, default: f64) -> Result<f64, Mistake> {
    let Some(given) = &file.config.alerts.warn_fraction else { return Ok(default) };
    let fraction = *given.get_ref();
    if fraction > 0.0 && fraction <= 1.0 {
        return Ok(fraction);
    }
    let problem = format!("`{fraction}` is no fraction of a lifetime");
    Err(file
        .mistake(given, "alerts.warn-fraction", &problem)
        .hint("write a number above 0, up to 1, as in 0.25"))
}

fn command(file: &ConfigFile) -> Result<Option<CommandHook>, Mistake> {
    let Some(given) = &file.config.alerts.command else { return Ok(None) };
    let Some((program, arguments)) = given.get_ref().split_first() else {
        return Err(file
            .mistake(given, "alerts.command", "it has no program")
            .hint("write a program and its arguments, as in [\"/usr/local/bin/notify\"]"));
    };
    let timeout = timeout(file);
    Ok(Some(CommandHook { program: program.clone(), arguments: arguments.to_vec(), timeout }))
}

fn webhook(file: &ConfigFile) -> Result<Option<Webhook>, Mistake> {
    let section = &file.config.alerts;
    // Without an excerpt of the line: there may be a secret in it.
    let mistake = |problem: &str| file.mistake_in("[alerts]", "alerts.webhook", problem);
    let Some(url) = &section.webhook else {
        return match &section.webhook_roots {
            None => Ok(None),
            Some(roots) => {
                Err(file.mistake(roots, "alerts.webhook-roots", "there is no `webhook` to it"))
            }
        };
    };
    let roots =
        match &section.webhook_roots {
            Some(path) => {
                let roots = Roots::from_file(&file.resolve(path.get_ref()));
                Some(roots.map_err(|error| {
                    file.mistake(path, "alerts.webhook-roots", &error.to_string())
                })?)
            }
            None if url.starts_with("https:") => Some(Roots::system().map_err(|error| {
                mistake(&error.to_string()).hint("name a PEM file of them with `webhook-roots`")
            })?),
            // A system may have no roots, and without TLS nobody has to be trusted.
            None => None,
        };
    let roots = roots.map(|roots| Arc::clone(roots.store()));
    let webhook = Webhook::new(url, roots, timeout(file), Retries::default()).map_err(|error| {
        mistake(&error.to_string()).hint("a webhook is `https://HOST/PATH` or `http://HOST/PATH`")
    })?;
    Ok(Some(webhook))
}

fn timeout(file: &ConfigFile) -> Duration {
    file.config.alerts.timeout_ms.map_or(TIMEOUT, Duration::from_millis)
}

/// What remains of each certificate, and what became of alerts, read at each scrape.
#[derive(Debug)]
pub(crate) struct AlertMetrics(pub(crate) Alerts);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Certificate {
    kind: &'static str,
    subject: String,
    serial_number: String,
    /// Empty for clients.
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Alerted {
    kind: String,
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    hook: &'static str,
    delivery: &'static str,
}

impl Collector for AlertMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.0.status();
        let mut gauge = encoder.encode_descriptor(
            "certificate_remaining",
            "Until the certificate expires",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (labels, seconds) in remaining(&status) {
            ConstGauge::new(seconds).encode(gauge.encode_family(&labels)?)?;
        }
        let gauge = encoder.encode_descriptor(
            "client_certificates_expiring",
            "Certificates of clients that came in shortly before their end, which has not come yet",
            None,
            MetricType::Gauge,
        )?;
        let clients = i64::try_from(status.clients.len()).unwrap_or(i64::MAX);
        ConstGauge::new(clients).encode(gauge)?;
        let mut counter = encoder.encode_descriptor(
            "alerts",
            "Alerts, by what they were about",
            None,
            MetricType::Counter,
        )?;
        for ((kind, level), count) in &status.alerts {
            let labels = Alerted { kind: kind.clone(), level: level.as_str() };
            ConstCounter::new(*count).encode(counter.encode_family(&labels)?)?;
        }
        let mut counter = encoder.encode_descriptor(
            "alert_deliveries",
            "Alerts, by what became of them at a hook",
            None,
            MetricType::Counter,
        )?;
        for one in &status.deliveries {
            let labels = Delivered { hook: one.hook, delivery: one.delivery.as_str() };
            ConstCounter::new(one.count).encode(counter.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The series of certificates. CRLs have one of their own, of all sources.
fn remaining(status: &Status) -> BTreeMap<Certificate, i64> {
    let own: Vec<_> = status.watched.iter().filter(|item| item.kind != CRL).collect();
    let clients: Vec<_> = status.clients.iter().collect();
    let mut series = BTreeMap::new();
    for (mut items, maximum) in [(own, MAXIMUM_SERIES), (clients, MAXIMUM_CLIENT_SERIES)] {
        items.sort_by_key(|item| item.last);
        for item in items.into_iter().take(maximum) {
            let seconds = item.last.saturating_sub(status.now);
            // Two with the same labels would spoil the page: the one that ends first counts.
            series.entry(labels(item)).or_insert(seconds);
        }
    }
    series
}

fn labels(item: &Expiring) -> Certificate {
    let is_client = item.kind == expiry::CLIENT;
    Certificate {
        kind: item.kind,
        subject: item.subject.clone(),
        serial_number: item.serial_number.clone(),
        source: if is_client { String::new() } else { item.source.clone() },
    }
}
