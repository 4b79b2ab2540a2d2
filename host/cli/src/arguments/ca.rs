//! What can be said of `portcullis ca`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use portcullis_ca::{REASONS, Reason, parse_dns, parse_email, parse_spiffe_id, parse_trust_domain};
use portcullis_pki::{AltName, KeyType, NameConstraint};

use crate::time::parse_duration;

#[derive(Args, Debug)]
pub(crate) struct CaArguments {
    /// Where the authority is
    #[arg(long, global = true, default_value = "ca", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(subcommand)]
    pub(crate) command: CaCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make an authority
    Init(Init),
    /// Issue a certificate
    Issue(Issue),
    /// Issue a certificate anew, with the same names
    Renew(Renew),
    /// Revoke a certificate, and write a CRL that lists it
    Revoke(Revoke),
    /// Write a new CRL, or serve the CRL and OCSP answers
    Crl(Crl),
    /// Renew certificates over the network for who has them, and serve the CRL and OCSP answers if that is wanted
    Serve(Serve),
    /// List what was issued
    List,
}

#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The authority's name
    #[arg(long, default_value = "Portcullis CA", value_name = "NAME")]
    pub(crate) name: String,
    /// Below the authority in this directory, whose path length leaves room for it; a root by default
    #[arg(long, value_name = "DIR")]
    pub(crate) intermediate_of: Option<PathBuf>,
    /// How many authorities may stand below one another under it
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub(crate) path_length: u8,
    /// The kind of its key
    #[arg(long, value_enum, default_value_t)]
    pub(crate) key_type: Key,
    /// How long its certificate is valid; 3650d by default, or as long as that of the authority above
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) ttl: Option<i64>,
    /// The longest time that a certificate of its is valid
    #[arg(long, default_value = "30d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) maximum_ttl: i64,
    /// How long a CRL is in force
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) crl_ttl: i64,
    /// Keep to host names of this domain (a name constraint); may be repeated
    #[arg(long, value_name = "DOMAIN", value_parser = parse_domain)]
    pub(crate) permit_dns: Vec<String>,
    /// Keep to addresses of this network (a name constraint); may be repeated
    #[arg(long, value_name = "ADDRESS/BITS", value_parser = parse_network)]
    pub(crate) permit_ip: Vec<NameConstraint>,
    /// Keep to SPIFFE IDs of this trust domain; held to at issuing, as rustls takes no name constraints on URIs
    #[arg(long, value_name = "TRUST-DOMAIN", value_parser = parse_trust_domain)]
    pub(crate) permit_spiffe: Option<String>,
    /// Where peers find the CRL; written into every certificate
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) crl_url: Option<String>,
    /// Where peers find the OCSP responder; written into every certificate
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) ocsp_url: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Issue {
    /// Whose it is: the common name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A SPIFFE ID
    #[arg(long, value_name = "ID", value_parser = parse_spiffe_id)]
    pub(crate) spiffe: Option<AltName>,
    /// A host name; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_dns)]
    pub(crate) dns: Vec<AltName>,
    /// A mail address; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = parse_email)]
    pub(crate) email: Vec<AltName>,
    /// An IP address; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Vec<IpAddr>,
    /// For a TLS server instead of a client
    #[arg(long)]
    pub(crate) server: bool,
    /// How long it is valid
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) ttl: i64,
    /// The kind of its key
    #[arg(long, value_enum, default_value_t)]
    pub(crate) key_type: Key,
    /// Certify the key of this request (PKCS #10); names and extensions that it asks for are not taken
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_type", "single_file", "pkcs12"])]
    pub(crate) csr: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Renew {
    /// The certificate's file, whose place the new one takes, or its serial number
    #[arg(value_name = "CERT|SERIAL")]
    pub(crate) certificate: String,
    /// How long it is valid; as long as the one before by default
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) ttl: Option<i64>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Where a certificate goes.
#[derive(Args, Debug)]
pub(crate) struct Output {
    /// The certificate's file, NAME.pem by default; the key goes beside it, with the ending .key
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The key in the certificate's file
    #[arg(long, conflicts_with = "pkcs12")]
    pub(crate) single_file: bool,
    /// Certificate and key as PKCS #12, in NAME.p12 by default
    #[arg(long)]
    pub(crate) pkcs12: bool,
    /// A file with the PKCS #12 password; by default PORTCULLIS_PKCS12_PASSWORD
    #[arg(long, value_name = "FILE", requires = "pkcs12")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// The certificate's serial number or file
    #[arg(value_name = "SERIAL|CERT")]
    pub(crate) certificate: String,
    /// Why (RFC 5280, 5.3.1)
    #[arg(long, default_value = "unspecified", value_name = "REASON", value_parser = parse_reason)]
    pub(crate) reason: Reason,
}

#[derive(Args, Debug)]
pub(crate) struct Crl {
    /// Write a copy here
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Serve /ca.crl and /ocsp over plain HTTP until interrupted, and keep the CRL fresh
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8889", conflicts_with = "out")]
    pub(crate) serve: Option<SocketAddr>,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Renew here, over mutual TLS (EST, RFC 7030)
    #[arg(long, default_value = "127.0.0.1:8890", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// A host name under which clients reach it; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_dns)]
    pub(crate) dns: Vec<AltName>,
    /// An address under which clients reach it, by default that of --listen; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Vec<IpAddr>,
    /// Serve /ca.crl and /ocsp here as well, over plain HTTP, and keep the CRL fresh
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8889")]
    pub(crate) crl: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Key {
    #[default]
    P256,
    P384,
    Ed25519,
    Rsa2048,
    Rsa3072,
    Rsa4096,
}

impl From<Key> for KeyType {
    fn from(key: Key) -> Self {
        match key {
            Key::P256 => Self::P256,
            Key::P384 => Self::P384,
            Key::Ed25519 => Self::Ed25519,
            Key::Rsa2048 => Self::Rsa2048,
            Key::Rsa3072 => Self::Rsa3072,
            Key::Rsa4096 => Self::Rsa4096,
        }
    }
}

fn parse_domain(text: &str) -> Result<String, String> {
    match parse_dns(text) {
        Ok(AltName::Dns(domain)) if !domain.starts_with("*.") => Ok(domain),
        Ok(_) => Err("a domain covers the hosts below it; leave `*.` out".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_network(text: &str) -> Result<NameConstraint, String> {
    let wrong = || format!("`{text}` is no network; write it as 10.0.0.0/8 or fd00::/8");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    match prefix <= if address.is_ipv4() { 32 } else { 128 } {
        true => Ok(NameConstraint::Ip { address, prefix }),
        false => Err(wrong()),
    }
}

fn parse_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("`{text}` is no URL; it begins with http:// or https:// and is ASCII")),
    }
}

fn parse_reason(text: &str) -> Result<Reason, String> {
    let known = REASONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known.map(|&(_, reason)| reason).ok_or_else(|| {
        let names: Vec<_> = REASONS.iter().map(|&(name, _)| name).collect();
        format!("`{text}` is no reason; there are {}", names.join(", "))
    })
}
