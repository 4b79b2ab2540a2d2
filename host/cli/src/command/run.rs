//! `portcullis run`: the gate, until it is interrupted.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use portcullis_engine::{Chain, Clock, Metering};
use portcullis_gate::{Ended, Gate};
use serde::Serialize;

use crate::arguments::{Format, Setup};
use crate::config::ConfigFile;
use crate::exit::Exit;
use crate::metrics::{self, Clients, Requests};
use crate::policies::load_chain;
use crate::recording::{self, Keepers, KeptJudge, LastHandshake};
use crate::revocation::{self, Sources};
use crate::{alerts, expiry, report, signals, wiring};

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
    let file = ConfigFile::read(&setup.config)?;
    let revocation = revocation::online(&file)?;
    let (chain, warnings) =
        load_chain(&file, &setup.plugins, Arc::new(revocation.clone()), Metering::Time)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(&file, chain, revocation, format))
}

async fn serve(
    file: &ConfigFile,
    chain: Chain,
    revocation: Sources,
    format: Format,
) -> anyhow::Result<Exit> {
    let identity = wiring::server_identity(file)?;
    let requests = Requests::default();
    let mcp = wiring::mcp(file, &identity, Arc::new(requests.clone()))?;
    let keepers = keepers(file)?;
    let judge = KeptJudge::new(chain, revocation.clone(), keepers.clone());
    let shutdown = signals::shutdown()?;
    let alerts = alerts::start(file)?;
    let clients = Clients::new(alerts.clone());
    let gate = Gate::bind(
        wiring::gate_options(file),
        identity,
        Arc::new(judge),
        Clock::system(),
        Arc::new(clients.clone()),
    )
    .await?;
    tokio::spawn(expiry::watch(alerts, gate.identity_swap(), revocation.clone()));
    revocation::follow(&revocation, gate.live());
    let metrics = match &file.config.metrics {
        Some(section) => {
            let address = section.address;
            let (live, sources) = (gate.live(), revocation);
            Some(metrics::serve(address, &clients, &requests, live, sources, &keepers).await?)
        }
        None => None,
    };

    announce(&gate, mcp.paths(), metrics, format)?;
    let ended = gate.run(mcp.clone(), shutdown).await;
    mcp.close().await;
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
