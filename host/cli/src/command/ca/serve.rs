//! `portcullis ca serve`, and `portcullis ca crl --serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use portcullis_ca::{Ca, Renewals, SharedCa, serve_status};
use portcullis_config::Mistake;
use portcullis_pki::AltName;
use serde::Serialize;
use tokio::net::TcpListener;

use super::diagnosis::mistake;
use crate::arguments::{Format, Serve};
use crate::exit::Exit;
use crate::{report, signals};

/// Printed once peers can ask.
#[derive(Default, Serialize)]
struct Listening {
    event: &'static str,
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewals: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ocsp: Option<String>,
}

/// Renews, and serves the CRL and OCSP answers if that is wanted, until SIGINT or SIGTERM.
pub(crate) fn serve(
    arguments: &Serve,
    open: &dyn Fn() -> Result<Ca, Mistake>,
    format: Format,
) -> anyhow::Result<Exit> {
    let ca = open()?;
    let directory = ca.directory().to_owned();
    let names = names(arguments, &directory)?;
    let renewals = Renewals::new(ca, names).map_err(|error| mistake(&error, &directory))?;
    let status = arguments.crl.map(|address| Ok::<_, Mistake>((address, open()?))).transpose()?;
    runtime()?.block_on(async {
        let shutdown = signals::shutdown()?;
        let listener = bind(arguments.listen, "--listen").await?;
        let mut listening = Listening { event: "listening", ..Listening::default() };
        let address = listener.local_addr()?;
        listening.address = Some(address);
        listening.renewals = Some(format!("https://{address}"));
        let renewed = renewals.serve(listener, shutdown.clone());
        match status {
            Some((address, ca)) => {
                let listener = bind(address, "--crl").await?;
                listening.serves_status(listener.local_addr()?);
                announce(&listening, format)?;
                tokio::join!(renewed, serve_status(SharedCa::new(ca), listener, shutdown));
            }
            None => {
                announce(&listening, format)?;
                renewed.await;
            }
        }
        Ok(Exit::Success)
    })
}

/// Serves the CRL and OCSP answers until SIGINT or SIGTERM.
pub(crate) fn status(ca: Ca, address: SocketAddr, format: Format) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        let shutdown = signals::shutdown()?;
        let listener = bind(address, "--serve").await?;
        let mut listening = Listening { event: "listening", ..Listening::default() };
        let address = listener.local_addr()?;
        listening.address = Some(address);
        listening.serves_status(address);
        announce(&listening, format)?;
        serve_status(SharedCa::new(ca), listener, shutdown).await;
        Ok(Exit::Success)
    })
}

/// What the server's own certificate says.
fn names(arguments: &Serve, directory: &Path) -> Result<Vec<AltName>, Mistake> {
    let addresses: Vec<IpAddr> = match arguments.ip.is_empty() && arguments.dns.is_empty() {
        true => vec![arguments.listen.ip()],
        false => arguments.ip.clone(),
    };
    if addresses.iter().any(IpAddr::is_unspecified) {
        let problem = format!("clients do not reach the server under `{}`", arguments.listen.ip());
        let hint = "name the host with `--dns` or an address with `--ip`";
        return Err(Mistake::file(directory, &problem).key("--listen").hint(hint));
    }
    Ok(arguments.dns.iter().cloned().chain(addresses.into_iter().map(AltName::Ip)).collect())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

async fn bind(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`, which `{option}` names"))
}

impl Listening {
    fn serves_status(&mut self, address: SocketAddr) {
        self.crl = Some(format!("http://{address}/ca.crl"));
        self.ocsp = Some(format!("http://{address}/ocsp"));
    }
}

fn announce(listening: &Listening, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return report::text(&format!("{}\n", serde_json::to_string(listening)?));
    }
    let Listening { renewals, crl, ocsp, .. } = listening;
    let parts = [("renewals", renewals), ("the CRL", crl), ("OCSP", ocsp)];
    let parts = parts.iter().filter_map(|(what, url)| Some((what, url.as_ref()?)));
    let lines: String = parts.map(|(what, url)| format!("{what} at {url}\n")).collect();
    report::text(&lines)
}
