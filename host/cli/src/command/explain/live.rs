//! The last handshake of a gate that runs, from where it serves its metrics.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_recording::MAXIMUM_RECORD_BYTES;
use tokio::net::TcpStream;

use super::recorded::Recorded;
use crate::metrics::LAST_HANDSHAKE;
use portcullis_config::Mistake;

/// From connecting to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer: the head of a file, and a record.
const MAXIMUM_BYTES: usize = 2 * MAXIMUM_RECORD_BYTES;

/// `HOST:PORT`, if that is what it is, and no file has this name.
pub(super) fn address(argument: &Path) -> Option<&str> {
    let text = argument.to_str()?;
    let (host, port) = text.rsplit_once(':')?;
    let is_address = !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok();
    (is_address && !argument.exists()).then_some(text)
}

pub(super) fn last_handshake(address: &str) -> Result<Recorded, Mistake> {
    let failed = |problem: &str| Mistake::file(Path::new(address), problem);
    let (status, body) = get(address).map_err(|error| {
        failed(&format!("{error:#}")).hint("name the `metrics.address` of a gate that runs")
    })?;
    match status {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Err(failed("the gate has judged no handshake yet")),
        _ => {
            return Err(failed(&format!("it does not tell of its last handshake (HTTP {status})"))
                .hint("set `last-handshake = true` in the section [metrics] of the gate"));
        }
    }
    let (found, damaged) =
        Recorded::last_of(&body[..], address, |_| true).map_err(|problem| failed(&problem))?;
    match found {
        Some(found) if damaged == 0 => Ok(found),
        _ => Err(failed("its answer is damaged")),
    }
}

fn get(address: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        tokio::time::timeout(TIMEOUT, ask(address)).await.context("no answer within 10 s")?
    })
}

async fn ask(address: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await.context("cannot connect")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(LAST_HANDSHAKE).header(HOST, address).body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAXIMUM_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven for as long as the answer takes; how it ends after that is nobody's concern.
    tokio::select! {
        answer = answer => answer,
        ended = connection => {
            ended?;
            Err(anyhow::anyhow!("the connection ended before the answer"))
        }
    }
}
