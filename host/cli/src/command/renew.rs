//! `portcullis renew`: a certificate in files, renewed by its authority.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use portcullis_connect::{ClientIdentity, Renewal, UpstreamOptions};
use portcullis_engine::Clock;
use serde::Serialize;
use tokio::process::Command;

use super::connect::{pem_files, roots};
use crate::arguments::{Format, RenewFiles};
use crate::exit::Exit;
use crate::{report, signals, time};

#[derive(Serialize)]
struct Renewed {
    event: &'static str,
    subject: String,
    serial_number: String,
    not_after: String,
    certificate: String,
    key: String,
}

#[derive(Serialize)]
struct NotRenewed {
    event: &'static str,
    problem: String,
    /// Of the certificate that there is.
    not_after: String,
}

/// Renews once, or over and over until SIGINT or SIGTERM.
pub(crate) fn renew(arguments: &RenewFiles, format: Format) -> anyhow::Result<Exit> {
    let files = pem_files(&arguments.cert, arguments.key.as_deref())?;
    let mut options = UpstreamOptions::new(&arguments.url, roots(arguments.ca.as_deref(), "--ca")?);
    options.server_name.clone_from(&arguments.server_name);
    let renewal = Renewal::new(options, files.clone(), Clock::system())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        if arguments.watch {
            return watch(arguments, &renewal, format).await;
        }
        match renewal.renew().await {
            Ok(identity) => {
                announce(arguments, &identity, format)?;
                run(arguments).await?;
                Ok(Exit::Success)
            }
            Err(error) => {
                let not_after = time::format(files.identity().certificate().not_after());
                let problem = error.to_string();
                match format {
                    Format::Json => line(&NotRenewed { event: "not-renewed", problem, not_after })?,
                    Format::Text => eprintln!(
                        "not renewed: {problem}\nthe certificate that there is lasts until {not_after}"
                    ),
                }
                Ok(Exit::Rejected)
            }
        }
    })
}

async fn watch(arguments: &RenewFiles, renewal: &Renewal, format: Format) -> anyhow::Result<Exit> {
    let shutdown = signals::shutdown()?;
    loop {
        let Some(step) = shutdown.run_until_cancelled(renewal.step()).await else { break };
        if let Some(identity) = &step.renewed {
            announce(arguments, identity, format)?;
            // The next renewal runs it again.
            if let Err(error) = run(arguments).await {
                tracing::warn!("{error:#}");
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(step.wait)).await.is_none() {
            break;
        }
    }
    Ok(Exit::Success)
}

fn announce(
    arguments: &RenewFiles,
    identity: &ClientIdentity,
    format: Format,
) -> anyhow::Result<()> {
    let certificate = identity.certificate();
    let path = |path: &Path| path.display().to_string();
    let renewed = Renewed {
        event: "renewed",
        subject: certificate.subject(),
        serial_number: certificate.serial_number().to_owned(),
        not_after: time::format(certificate.not_after()),
        certificate: path(&arguments.cert),
        key: path(arguments.key.as_ref().unwrap_or(&arguments.cert)),
    };
    match format {
        Format::Json => line(&renewed),
        Format::Text => report::text(&format!(
            "{} in {}, its key in {}\nserial {}, valid until {}\n",
            report::printable(&renewed.subject),
            renewed.certificate,
            renewed.key,
            renewed.serial_number,
            renewed.not_after
        )),
    }
}

/// One object a line, since there may be more to come.
fn line(value: &impl Serialize) -> anyhow::Result<()> {
    report::text(&format!("{}\n", serde_json::to_string(value)?))
}

async fn run(arguments: &RenewFiles) -> anyhow::Result<()> {
    let Some(command) = &arguments.exec else { return Ok(()) };
    let status = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        // Standard output is for what was renewed.
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("`{command}`, which `--exec` names, cannot be run"))?;
    anyhow::ensure!(status.success(), "`{command}`, which `--exec` names, failed: {status}");
    Ok(())
}
