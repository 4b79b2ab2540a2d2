//! What can be said of renewing certificates over the network.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct RenewFiles {
    /// The authority that renews: https://HOST:PORT, as `portcullis ca serve` says it
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The certificate and the intermediates, PEM; replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: PathBuf,
    /// Its key, PEM; in the certificate's file by default; replaced as well
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The CAs, PEM, that the authority's own certificate is believed from; those of the system by default
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The name that the authority's own certificate must have; the host in the URL by default
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// Renew at two thirds of the lifetime, over and over, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// Run this after each renewal, by `sh -c`
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,
}

/// Of `connect`.
#[derive(Args, Debug)]
pub(crate) struct Renewing {
    /// Have the certificate renewed here, in its files, at two thirds of its lifetime: https://HOST:PORT, as `portcullis ca
    /// serve` says it
    #[arg(long, value_name = "URL", requires = "cert")]
    pub(crate) renew: Option<String>,
    /// The CAs, PEM, that the certificate of --renew's server is believed from; those of --ca by default
    #[arg(long, value_name = "FILE", requires = "renew")]
    pub(crate) renew_ca: Option<PathBuf>,
}
