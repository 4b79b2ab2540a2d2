//! Metrics for Prometheus: who came, what they asked for, and how old what is known of revocation is.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_alerts::Alerts;
use portcullis_engine::Clock;
use portcullis_gate::{AuditRecord, Auditor, ClosedRecord, LiveConnections, TracingAuditor};
use portcullis_mcp::{RequestAuditor, RequestOutcome, RequestRecord, TracingRequestAuditor};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;

use crate::alerts::AlertMetrics;
use crate::expiry;
use crate::recording::{Keepers, LastHandshake, RecordingMetrics};
use crate::reload::Outcomes;
use crate::revocation::{Current, Sources};
use crate::workload::{self, AgentMetrics};

/// From a scraper's arrival to the end of its request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Where the handshake that was judged last is to be had, as a recording.
pub(crate) const LAST_HANDSHAKE: &str = "/handshakes/last";
const OCTETS: &str = "application/octet-stream";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts clients, writes each to the log, and warns of those whose certificates end soon.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    ended: Family<Outcome, Counter>,
    alerts: Alerts,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    verdict: &'static str,
    /// Empty for those that came in. Codes come from the gate and from policies, not from clients.
    code: String,
    /// The policy that rejected; empty when none did.
    policy: String,
}

impl Clients {
    pub(crate) fn new(alerts: Alerts) -> Self {
        Self { ended: Family::default(), alerts }
    }
}

impl Auditor for Clients {
    fn record(&self, record: &AuditRecord) {
        let outcome = Outcome {
            verdict: record.verdict.as_str(),
            code: record.code.clone().unwrap_or_default(),
            policy: record.policy.clone().unwrap_or_default(),
        };
        self.ended.get_or_create(&outcome).inc();
        TracingAuditor.record(record);
        expiry::client(&self.alerts, record);
    }

    fn closed(&self, record: &ClosedRecord) {
        TracingAuditor.closed(record);
    }
}

/// Counts requests, and writes each to the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Family<RequestLabels, Counter>);

/// What a request was. All of it is bounded: servers are configured, methods and outcomes are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// Empty for a path without a server.
    server: String,
    method: &'static str,
    /// 0 if the client left before there was an answer.
    status: u32,
    outcome: &'static str,
}

impl RequestAuditor for Requests {
    fn record(&self, record: &RequestRecord) {
        TracingRequestAuditor.record(record);
        if record.outcome == RequestOutcome::Opened {
            return;
        }
        let labels = RequestLabels {
            server: record.server.clone().unwrap_or_default(),
            method: record.method_class(),
            status: record.status.map_or(0, u32::from),
            outcome: record.outcome.as_str(),
        };
        self.0.get_or_create(&labels).inc();
    }
}

/// What is served, and where.
#[derive(Debug)]
struct Pages {
    registry: Registry,
    last: Option<LastHandshake>,
}

/// What is asked for its state at each scrape.
pub(crate) struct Told {
    pub(crate) live: LiveConnections,
    pub(crate) revocation: Current,
    pub(crate) outcomes: Outcomes,
    pub(crate) workload_api: workload::Current,
}

/// Serves `/metrics` at this address until the runtime ends, and says where; and `/handshakes/last`, where that is kept.
pub(crate) async fn serve(
    address: SocketAddr,
    clients: &Clients,
    requests: &Requests,
    told: Told,
    keepers: &Keepers,
) -> anyhow::Result<SocketAddr> {
    let mut registry = Registry::with_prefix("portcullis");
    registry.register("clients", "Clients that arrived, by how that ended", clients.ended.clone());
    registry.register_collector(Box::new(AlertMetrics(clients.alerts.clone())));
    registry.register("requests", "Requests of clients, by how they ended", requests.0.clone());
    registry.register_collector(Box::new(Live(told.live)));
    let (sources, clock) = (told.revocation, Clock::system());
    registry.register_collector(Box::new(Revocation { sources, clock }));
    registry.register_collector(Box::new(told.outcomes));
    registry.register_collector(Box::new(AgentMetrics(told.workload_api, Clock::system())));
    if let Some(recorder) = &keepers.recorder {
        registry.register_collector(Box::new(RecordingMetrics(Arc::clone(recorder))));
    }
    let pages = Arc::new(Pages { registry, last: keepers.last.clone() });
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`, which `metrics.address` names"))?;
    let local = listener.local_addr().context("the metrics' address is not known")?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: whoever scrapes comes again.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let pages = Arc::clone(&pages);
            let service = service_fn(move |request| {
                let response = answer(&request, &pages);
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok(local)
}

fn answer(request: &Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    let page = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => metrics_page(&pages.registry),
        (&Method::GET, LAST_HANDSHAKE) => match &pages.last {
            Some(last) => {
                last.file().map(|file| (OCTETS, file.into())).ok_or(StatusCode::NO_CONTENT)
            }
            None => Err(StatusCode::NOT_FOUND),
        },
        _ => Err(StatusCode::NOT_FOUND),
    };
    let mut response = Response::new(Full::default());
    match page {
        Ok((kind, body)) => {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            *response.body_mut() = Full::new(body);
        }
        Err(status) => *response.status_mut() = status,
    }
    response
}

fn metrics_page(registry: &Registry) -> Result<(&'static str, Bytes), StatusCode> {
    let mut page = String::new();
    match text::encode(&mut page, registry) {
        Ok(()) => Ok((OPEN_METRICS, Bytes::from(page))),
        Err(fmt::Error) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The clients that are inside, read at each scrape.
struct Live(LiveConnections);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejudged {
    cause: &'static str,
    result: &'static str,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let count = ConstGauge::new(i64::try_from(self.0.count()).unwrap_or(i64::MAX));
        let help = "Connections whose clients came in and are still there";
        let metric = encoder.encode_descriptor("connections", help, None, MetricType::Gauge)?;
        count.encode(metric)?;
        let help = "Clients judged again while they were inside, by why and what came of it";
        let mut family = encoder.encode_descriptor("rejudged", help, None, MetricType::Counter)?;
        for (cause, result, count) in self.0.rejudged() {
            let labels = Rejudged { cause: cause.as_str(), result: result.as_str() };
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// What is known of revocation, read at each scrape.
#[derive(Debug)]
struct Revocation {
    sources: Current,
    clock: Clock,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: String,
}

impl Collector for Revocation {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Sources::Checker(checker) = self.sources.get() else { return Ok(()) };
        let (status, now) = (checker.status(), self.clock.now());
        let seconds = Some(&Unit::Seconds);
        let mut gauge = |name: &str, help: &str, unit, values: Vec<(String, i64)>| {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for (source, value) in values {
                ConstGauge::new(value).encode(family.encode_family(&Source { source })?)?;
            }
            Ok(())
        };
        let of_crls = |value: &dyn Fn(&portcullis_revocation::CrlStatus) -> Option<i64>| {
            let values = status.crls.iter();
            values.filter_map(|crl| Some((crl.source.clone(), value(crl)?))).collect()
        };
        gauge(
            "crl_age",
            "Since the CRL in force was made",
            seconds,
            of_crls(&|crl| Some(now - crl.this_update?)),
        )?;
        gauge(
            "crl_remaining",
            "Until the CRL in force is no longer",
            seconds,
            of_crls(&|crl| Some(crl.next_update? - now)),
        )?;
        gauge(
            "crl_entries",
            "Certificates that the CRL in force lists",
            None,
            of_crls(&|crl| i64::try_from(crl.entries).ok()),
        )?;
        gauge(
            "crl_failures",
            "Attempts to load the CRL that failed since the last one that did not",
            None,
            of_crls(&|crl| Some(i64::from(crl.failures))),
        )?;
        let failing = status.ocsp.failing.iter();
        gauge(
            "ocsp_failures",
            "Requests to the OCSP responder that failed since the last one that did not",
            None,
            failing.map(|one| (one.url.clone(), i64::from(one.failures))).collect(),
        )
    }
}
