//! `portcullis connect`: the gate, for an MCP client that cannot present a certificate.

mod svid;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use portcullis_connect::local::{self, Listener};
use portcullis_connect::{
    Failure, FileError, FileProblem, IdentityError, IdentitySource, PemFiles, Renewal, Roots,
    Trust, Upstream, UpstreamOptions, stdio, watch_expiry,
};
use portcullis_engine::Clock;
use portcullis_workload::{Address, Choice, ENDPOINT_SOCKET, SvidVerifier, WorkloadApi, parse_id};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::BufReader;
use tokio_util::sync::CancellationToken;

use crate::arguments::{Connect, Format};
use crate::exit::Exit;
use crate::{report, signals, time, workload};
use portcullis_config::Mistake;

use self::svid::SvidSource;

/// Printed once local clients can connect, for whoever started it.
#[derive(Serialize)]
struct Listening<'a> {
    event: &'static str,
    address: String,
    url: &'a str,
}

/// Serves until the client is done, or SIGINT or SIGTERM.
pub(crate) fn connect(arguments: &Connect, format: Format) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let Sides { source, trust, renewal } = {
        let _within = runtime.enter();
        both_sides(arguments)?
    };
    let mut options = UpstreamOptions::new(&arguments.url, trust);
    options.server_name.clone_from(&arguments.server_name);
    options.patience = Duration::from_millis(arguments.connect_timeout_ms);
    let upstream = Arc::new(Upstream::new(options, Arc::clone(&source), Clock::system())?);
    let served = runtime.block_on(async {
        let shutdown = signals::shutdown()?;
        match renewal {
            Some(renewal) => tokio::spawn(async move { renewal.watch().await }),
            None => tokio::spawn(watch_expiry(source, Clock::system())),
        };
        match arguments.listen {
            Some(address) => {
                let mut options = local::Options::new(address);
                options.beyond_loopback = arguments.listen_beyond_loopback;
                options.allowed_origins.clone_from(&arguments.allow_origin);
                serve_http(&arguments.url, options, Arc::clone(&upstream), shutdown, format).await
            }
            None => serve_stdio(Arc::clone(&upstream), shutdown).await,
        }
    });
    // A read of standard input that is under way cannot be called off.
    runtime.shutdown_background();
    served?;
    Ok(match upstream.last_failure() {
        Some(Failure::Refused(_) | Failure::Untrusted(_)) => Exit::Rejected,
        _ => Exit::Success,
    })
}

async fn serve_stdio(upstream: Arc<Upstream>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let input = BufReader::new(file(io::stdin()).context("no standard input")?);
    let output = file(io::stdout()).context("no standard output")?;
    stdio::serve(upstream, input, output, stdio::Options::default(), shutdown)
        .await
        .context("cannot read standard input")
}

/// Without a buffer of the standard library's in between.
fn file(stream: impl AsFd) -> io::Result<File> {
    let descriptor = stream.as_fd().try_clone_to_owned()?;
    Ok(File::from_std(std::fs::File::from(descriptor)))
}

async fn serve_http(
    gate: &str,
    options: local::Options,
    upstream: Arc<Upstream>,
    shutdown: CancellationToken,
    format: Format,
) -> anyhow::Result<()> {
    let listener = Listener::bind(options).await?;
    let address = listener.address();
    let path = gate.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let url = format!("http://{address}/{}", path.map_or("", |(_, path)| path));
    match format {
        Format::Json => {
            let listening =
                Listening { event: "listening", address: address.to_string(), url: &url };
            report::text(&format!("{}\n", serde_json::to_string(&listening)?))?;
        }
        Format::Text => report::text(&format!("listening on {url}\n"))?,
    }
    listener.serve(upstream, shutdown).await;
    Ok(())
}

/// What is presented and who renews it, if anybody does here, and whom the gate's certificate is believed from.
struct Sides {
    source: Arc<dyn IdentitySource>,
    trust: Trust,
    renewal: Option<Renewal>,
}

fn both_sides(arguments: &Connect) -> anyhow::Result<Sides> {
    let of_ca = || roots(arguments.ca.as_deref(), "--ca").map(Trust::Roots);
    if let Some(certificate) = &arguments.cert {
        let files = pem_files(certificate, arguments.key.as_deref())?;
        let renewal = renewal(arguments, &files)?;
        return Ok(Sides { source: files, trust: of_ca()?, renewal });
    }
    let api = agent(arguments)?;
    let trust = match &arguments.gate_id {
        Some(id) => {
            let id = parse_id(id).map_err(anyhow::Error::msg).context("--gate-id")?;
            let origin = format!("the CAs of `{}` that the SPIFFE agent gives", id.trust_domain());
            Trust::Verifier { verifier: Arc::new(SvidVerifier::new(api.clone(), id)), origin }
        }
        None => of_ca()?,
    };
    Ok(Sides { source: Arc::new(SvidSource::new(api)), trust, renewal: None })
}

/// What it gives may come later: messages wait for it as they wait for the gate.
fn agent(arguments: &Connect) -> anyhow::Result<WorkloadApi> {
    let address = match &arguments.workload_api {
        Some(text) => Address::parse(text).context("--workload-api")?,
        None => Address::of_environment()
            .context("give the client's certificate with --cert, or an agent with --workload-api")?
            .context(ENDPOINT_SOCKET)?,
    };
    if !(address.is_local() || arguments.allow_key_over_network) {
        let problem = workload::over_network(&address);
        anyhow::bail!("{problem}; `--allow-key-over-network` allows it");
    }
    let choice = match (&arguments.spiffe_id, &arguments.hint) {
        (Some(id), _) => {
            Choice::Id(parse_id(id).map_err(anyhow::Error::msg).context("--spiffe-id")?)
        }
        (None, Some(hint)) => Choice::Hint(hint.clone()),
        (None, None) => Choice::First,
    };
    Ok(WorkloadApi::start(address, choice, Clock::system()))
}

/// Who renews the files, if anybody does.
fn renewal(arguments: &Connect, files: &Arc<PemFiles>) -> anyhow::Result<Option<Renewal>> {
    let Some(url) = &arguments.renewing.renew else { return Ok(None) };
    let ca = arguments.renewing.renew_ca.as_deref();
    let roots = match ca {
        Some(_) => roots(ca, "--renew-ca")?,
        None => roots(arguments.ca.as_deref(), "--ca")?,
    };
    let options = UpstreamOptions::new(url, roots);
    Ok(Some(Renewal::new(options, Arc::clone(files), Clock::system())?))
}

/// A certificate and its key in files.
pub(super) fn pem_files(certificate: &Path, key: Option<&Path>) -> Result<Arc<PemFiles>, Mistake> {
    let files = PemFiles::open(certificate, key).map_err(|error| {
        let is_key = key == Some(error.path.as_path());
        let hint = match &error.problem {
            FileProblem::Identity(IdentityError::NoKey) if !is_key => {
                Some("give the file of the key with --key")
            }
            FileProblem::Identity(IdentityError::Mismatch { .. }) => {
                Some("put the client's own certificate first, or give its key")
            }
            _ => None,
        };
        mistake(&error, if is_key { "--key" } else { "--cert" }, hint)
    })?;
    let identity = files.identity();
    let certificate = identity.certificate();
    tracing::info!(
        subject = certificate.subject(),
        serial = certificate.serial_number(),
        until = time::format(certificate.not_after()),
        "connecting with this certificate"
    );
    Ok(Arc::new(files))
}

/// Whom the server's certificate is believed from.
pub(super) fn roots(ca: Option<&Path>, key: &str) -> anyhow::Result<Roots> {
    match ca {
        Some(path) => Ok(Roots::from_file(path).map_err(|error| mistake(&error, key, None))?),
        None => Roots::system().context("give the CA of the server's certificate with --ca"),
    }
}

fn mistake(error: &FileError, key: &str, hint: Option<&str>) -> Mistake {
    let mistake = Mistake::file(&error.path, &error.problem.to_string()).key(key);
    match hint {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    }
}
