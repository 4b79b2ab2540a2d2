//! `portcullis run`: the gate, until it is interrupted.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context as _;
use portcullis_engine::Clock;
use portcullis_gate::{Ended, Gate, Workers};
use portcullis_mcp::McpService;
use portcullis_source::Readings;
use serde::Serialize;

use crate::arguments::{Format, Setup};
use crate::config::ConfigFile;
use crate::exit::Exit;
use crate::load::{Loaded, Loader};
use crate::metrics::{self, Clients, Requests, Told};
use crate::recording::{self, Keepers, KeptJudge, LastHandshake};
use crate::reload::{InitiallyLoaded, Outcomes, Reloader, Swaps};
use crate::revocation::{self, Current};
use crate::workload::{self, Agent, BackedJudge};
use crate::{alerts, expiry, report, signals, systemd, wiring};

/// Printed once clients can connect, for whoever started the gate.
#[derive(Serialize)]
struct Listening {
    event: &'static str,
    address: String,
    paths: Vec<String>,
    /// Where `/metrics` is served, if anywhere.
    metrics: Option<SocketAddr>,
}

/// Loads, listens, and serves until SIGINT or SIGTERM.
pub(crate) fn run(setup: &Setup, format: Format) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let requests = Requests::default();
    let agent = Agent::new(runtime.handle().clone());
    let mut loader = Loader::new(setup.clone(), Arc::new(requests.clone()), agent);
    let readings = Arc::default();
    let loaded = loader.load(&readings, None)?;
    runtime.block_on(serve(loader, loaded, readings, &requests, format))
}

async fn serve(
    loader: Loader,
    loaded: Loaded,
    readings: Arc<Readings>,
    requests: &Requests,
    format: Format,
) -> anyhow::Result<Exit> {
    let Loaded {
        file,
        workload_api,
        sources,
        chain,
        identity,
        options,
        servers,
        expiring,
        warnings,
    } = loaded;
    let hangups = signals::hangups()?;
    let outcomes = Outcomes::new(Clock::system(), warnings);
    let mcp =
        McpService::new(options, servers).map_err(|error| wiring::server_mistake(&file, &error))?;
    let keepers = keepers(&file)?;
    let judge = KeptJudge::new(chain.clone(), sources.clone(), keepers.clone());
    let judge = BackedJudge::new(judge, workload_api.clone());
    let shutdown = signals::shutdown()?;
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // They have the processes of sessions, too, and so are there until these have ended.
    let workers = Workers::start(threads).context("cannot start the threads that serve clients")?;
    let alerts = alerts::start(&file, expiring)?;
    let clients = Clients::new(alerts.clone());
    let gate = Gate::bind(
        wiring::gate_options(&file),
        identity,
        Arc::new(judge),
        Clock::system(),
        Arc::new(clients.clone()),
    )
    .await?;
    revocation::follow(&sources, gate.live());
    let revocation = Current::new(sources);
    workload::follow(workload_api.as_ref(), gate.live());
    let workload_api = workload::Current::new(workload_api);
    tokio::spawn(expiry::watch(alerts.clone(), gate.identity_swap(), revocation.clone()));
    let metrics = match &file.config.metrics {
        Some(section) => {
            let told = Told {
                live: gate.live(),
                revocation: revocation.clone(),
                outcomes: outcomes.clone(),
                workload_api: workload_api.clone(),
            };
            Some(metrics::serve(section.address, &clients, requests, told, &keepers).await?)
        }
        None => None,
    };
    let swaps = Swaps {
        judge: gate.judge_swap(),
        live: gate.live(),
        identity: gate.identity_swap(),
        mcp: mcp.clone(),
        revocation,
        alerts,
        workload_api,
        keepers,
    };
    let loaded = InitiallyLoaded { file, chain, readings };
    let reloader = Reloader::new(swaps, loader, loaded, outcomes, hangups);

    announce(&gate, mcp.paths(), metrics, format)?;
    systemd::ready();
    let reloading = tokio::spawn(reloader.run(shutdown.clone()));
    let ended = gate.run(workers.serving(mcp.clone()), shutdown).await;
    mcp.close().await;
    drop(workers);
    // Nothing is put in force any more.
    let _ = reloading.await;
    match ended {
        Ended::Drained => tracing::info!("every connection has ended"),
        Ended::Aborted { connections } => {
            tracing::warn!(connections, "connections were cut at the shutdown timeout");
        }
    }
    Ok(Exit::Success)
}

/// Who keeps what is judged.
fn keepers(file: &ConfigFile) -> anyhow::Result<Keepers> {
    let shown = file.config.metrics.as_ref().is_some_and(|section| section.last_handshake);
    Ok(Keepers {
        recorder: recording::start(file)?,
        last: shown.then(LastHandshake::default),
        log_lines: file.config.recording.as_ref().is_some_and(|section| section.log_lines),
    })
}

fn announce(
    gate: &Gate,
    paths: Vec<String>,
    metrics: Option<SocketAddr>,
    format: Format,
) -> anyhow::Result<()> {
    let address = gate.local_address().to_string();
    match format {
        Format::Json => {
            let listening = Listening { event: "listening", address, paths, metrics };
            report::text(&format!("{}\n", serde_json::to_string(&listening)?))
        }
        Format::Text => {
            let urls: String =
                paths.iter().map(|path| format!("  https://{address}{path}\n")).collect();
            let metrics =
                metrics.map_or_else(String::new, |at| format!("metrics on http://{at}/metrics\n"));
            report::text(&format!("listening on {address}\n{urls}{metrics}"))
        }
    }
}
