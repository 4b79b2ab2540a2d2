//! What an operator sets, under `[revocation]`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where revocation is asked, and within which bounds. Without a source nothing is known of any certificate.
///
/// Every key is optional; the defaults are those of [`Default`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevocationOptions {
    /// Where the last good answers are kept over a restart: a directory of this user's with mode 0700, made if
    /// there is none. Default: none, and a restart begins with nothing.
    pub state_directory: Option<PathBuf>,
    /// The hosts that a certificate's own URLs may point to, each as `host` or `host:port`; without a port, the one
    /// of the scheme. Default: none, and certificates' URLs are not fetched.
    pub allowed_hosts: Vec<String>,
    /// PEM files with the certificates of the CAs that issue CRLs. With them a CRL is checked as it is loaded;
    /// without, when the first certificate of its issuer is asked about. Default: none.
    pub issuers: Vec<PathBuf>,
    /// A PEM file with the roots that https servers are checked against. Default: none, and https is refused.
    /// Signed as they are, CRLs and OCSP answers are mostly served over plain http.
    pub tls_roots: Option<PathBuf>,
    /// How far, in seconds, an issuer's clock may be ahead of ours. Default: 60. What has expired has expired.
    pub clock_skew_seconds: u32,
    /// How many handshakes wait for a first answer at the same time at most; one beyond gets "unknown". Default: 32.
    pub maximum_waiting: usize,
    /// Certificate revocation lists.
    pub crl: CrlOptions,
    /// The Online Certificate Status Protocol.
    pub ocsp: OcspOptions,
}

/// Certificate revocation lists (RFC 5280).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CrlOptions {
    /// Files with one CRL each, in DER or PEM. Default: none.
    pub files: Vec<PathBuf>,
    /// URLs with one CRL each. Default: none.
    pub urls: Vec<String>,
    /// How often, in seconds, a file is looked at for a change. Default: 5.
    pub file_poll_seconds: u32,
    /// How often, in seconds, a URL is fetched at the least; half-way to the CRL's next update if that is sooner.
    /// Default: 3,600.
    pub refresh_seconds: u32,
    /// After how many seconds a failed fetch is tried again; doubled with each failure up to `refresh-seconds`.
    /// Default: 30.
    pub retry_seconds: u32,
    /// How long, in seconds, fetching one CRL may take altogether. Default: 60.
    pub timeout_seconds: u32,
    /// The size of a CRL at most, in bytes. Default: 134,217,728 (128 MiB).
    pub maximum_bytes: u64,
    /// How old, in seconds, a CRL that names no next update may be. Default: 0, and such a CRL is not used.
    pub maximum_age_without_next_update_seconds: u32,
    /// How many CRLs that only certificates name are kept at most. Default: 64.
    pub maximum_discovered: usize,
    /// How long, in milliseconds, a handshake waits for a CRL that only its certificate names and that was never
    /// fetched. Default: 0: the client comes again.
    pub wait_milliseconds: u32,
}

/// The Online Certificate Status Protocol (RFC 6960).
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct OcspOptions {
    /// The URL of the responder to ask about every certificate. Default: none; those that certificates name are
    /// asked, if `allowed-hosts` has them.
    pub responder: Option<String>,
    /// Whether a request has a nonce (RFC 9654). Default: `off`, so that responders can sign ahead.
    pub nonce: Nonce,
    /// How long, in milliseconds, a handshake waits for an answer about a certificate of which none is at hand.
    /// Default: 1,000. The asking goes on after that.
    pub wait_milliseconds: u32,
    /// How long, in milliseconds, asking may take altogether. Default: 5,000.
    pub timeout_milliseconds: u32,
    /// The size of an answer at most, in bytes. Default: 65,536.
    pub maximum_bytes: u64,
    /// How many requests are made of one host at the same time at most. Default: 16.
    pub maximum_in_flight: usize,
    /// How many certificates' answers are kept at most. Default: 10,000.
    pub maximum_answers: usize,
    /// How long, in seconds, an answer that names no next update is used. Default: 300.
    pub maximum_age_without_next_update_seconds: u32,
    /// After how many seconds a failed request is tried again; doubled with each failure. Default: 10.
    pub retry_seconds: u32,
    /// The most that `retry-seconds` is doubled to. Default: 300.
    pub maximum_retry_seconds: u32,
    /// Whether to believe a delegated responder whose certificate could be revoked without us knowing: it has no
    /// id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1), and no CRL says that it is good. Default: false.
    pub accept_unchecked_responders: bool,
}

/// Whether an OCSP request has a nonce, 32 random bytes, and what is made of its absence in the answer. A nonce that
/// differs is refused always.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Nonce {
    /// None is sent.
    #[default]
    Off,
    /// Sent; an answer without one is taken.
    Prefer,
    /// Sent; an answer without one is refused.
    Require,
}

impl RevocationOptions {
    /// Makes relative paths relative to `directory`, the configuration file's.
    pub fn resolve(&mut self, directory: &Path) {
        let paths = self
            .state_directory
            .iter_mut()
            .chain(&mut self.issuers)
            .chain(&mut self.tls_roots)
            .chain(&mut self.crl.files);
        for path in paths {
            *path = directory.join(&*path);
        }
    }
}

impl Default for RevocationOptions {
    fn default() -> Self {
        Self {
            state_directory: None,
            allowed_hosts: Vec::new(),
            issuers: Vec::new(),
            tls_roots: None,
            clock_skew_seconds: 60,
            maximum_waiting: 32,
            crl: CrlOptions::default(),
            ocsp: OcspOptions::default(),
        }
    }
}

impl Default for CrlOptions {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            urls: Vec::new(),
            file_poll_seconds: 5,
            refresh_seconds: 3_600,
            retry_seconds: 30,
            timeout_seconds: 60,
            maximum_bytes: 128 * 1024 * 1024,
            maximum_age_without_next_update_seconds: 0,
            maximum_discovered: 64,
            wait_milliseconds: 0,
        }
    }
}

impl Default for OcspOptions {
    fn default() -> Self {
        Self {
            responder: None,
            nonce: Nonce::Off,
            wait_milliseconds: 1_000,
            timeout_milliseconds: 5_000,
            maximum_bytes: 64 * 1024,
            maximum_in_flight: 16,
            maximum_answers: 10_000,
            maximum_age_without_next_update_seconds: 300,
            retry_seconds: 10,
            maximum_retry_seconds: 300,
            accept_unchecked_responders: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_kebab_case_and_no_others_are_known() {
        let options: RevocationOptions = toml::from_str(
            r#"
            state-directory = "state"
            allowed-hosts = ["ca.example"]
            [crl]
            files = ["a.crl", "/b.crl"]
            maximum-age-without-next-update-seconds = 60
            [ocsp]
            nonce = "require"
            "#,
        )
        .unwrap();
        assert_eq!(options.ocsp.nonce, Nonce::Require);
        assert_eq!(options.crl.refresh_seconds, 3_600);
        let mut resolved = options;
        resolved.resolve(Path::new("/etc/portcullis"));
        assert_eq!(resolved.state_directory.unwrap(), Path::new("/etc/portcullis/state"));
        assert_eq!(resolved.crl.files[1], Path::new("/b.crl"));
        assert!(toml::from_str::<RevocationOptions>("crls = []").is_err());
        assert_eq!(toml::from_str::<RevocationOptions>("").unwrap(), RevocationOptions::default());
    }
}
