//! What the gate has at hand that ends: certificates in files, its own, CRLs, and its clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use portcullis_alerts::{Alerts, Expiring};
use portcullis_config::{AssetSource, read_bounded};
use portcullis_engine::{Certificate, Clock, WarnBefore};
use portcullis_gate::{AuditRecord, AuditVerdict, IdentitySwap, ServerIdentity};
use portcullis_revocation::CrlStatus;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::config::ConfigFile;
use crate::revocation::{Current, Sources};

/// The group of what is in the files that the configuration names.
pub(crate) const FILES: &str = "files";
/// The group of the server's own certificate.
const SERVER: &str = "server";
/// The group of CRLs.
const CRLS: &str = "crls";

/// The kind of CRLs.
pub(crate) const CRL: &str = "crl";
/// The kind of clients' certificates.
pub(crate) const CLIENT: &str = "client-certificate";
/// The kind of the server's own certificate and its intermediates.
const OWN: &str = "server-certificate";
/// The kind of what others' certificates are checked against.
const TRUSTED: &str = "trusted-certificate";
/// The kind of what the gate presents to the servers behind it.
const UPSTREAM: &str = "upstream-certificate";

/// How often the clock is looked at. A machine that slept is noticed as soon.
const INTERVAL: Duration = Duration::from_secs(60);
/// The largest file that is looked through: as large as an asset may be.
const MAXIMUM_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Says what there is to say about what the gate has at hand, until it is dropped.
pub(crate) async fn watch(alerts: Alerts, identity: IdentitySwap, revocation: Current) {
    loop {
        alerts.replace(SERVER, of_server(&identity.current()));
        alerts.replace(CRLS, of_crls(&revocation.get()));
        alerts.check();
        alerts.due(INTERVAL).await;
    }
}

/// What there is to say of a gate that does not run.
pub(crate) fn warnings(
    file: &ConfigFile,
    identity: &ServerIdentity,
    revocation: &Sources,
    warn_before: WarnBefore,
) -> Vec<String> {
    let items = [of_server(identity), of_files(file), of_crls(revocation)].concat();
    let alerts = portcullis_alerts::warnings(items, warn_before, Clock::system().now());
    alerts.into_iter().map(|alert| alert.message).collect()
}

/// A client came in, or not. Whoever did not is in the audit log; and a stranger must not make alerts.
pub(crate) fn client(alerts: &Alerts, record: &AuditRecord) {
    let Some(certificate) = &record.certificate else { return };
    if record.verdict != AuditVerdict::Accepted {
        return;
    }
    alerts.client(certificate.not_before, certificate.not_after, || {
        let name = match (&*certificate.subject, &certificate.claimed_spiffe_id) {
            ("", Some(id)) => id.clone(),
            (subject, _) => subject.to_owned(),
        };
        Expiring {
            kind: CLIENT,
            id: certificate.sha256.clone(),
            subject: name,
            serial_number: certificate.serial_number.clone(),
            first: certificate.not_before,
            last: certificate.not_after,
            source: record.peer_address.ip().to_string(),
        }
    });
}

/// The certificates in the files that the configuration names. A file that cannot be read is a mistake where it is used.
pub(crate) fn of_files(file: &ConfigFile) -> Vec<Expiring> {
    let mut items = Vec::new();
    for (kind, key, path) in named(file) {
        let Ok(content) = read_bounded(&file.resolve(&path), MAXIMUM_FILE_BYTES) else { continue };
        let certificates = certificates(&content).into_iter();
        items.extend(certificates.map(|one| Expiring::certificate(kind, &one, key.as_str())));
    }
    items
}

/// Each file that may have certificates in it: their kind, the key that names it, and its path.
fn named(file: &ConfigFile) -> Vec<(&'static str, String, PathBuf)> {
    let config = &file.config;
    let mut named = Vec::new();
    let mut add = |kind, key: String, path: &Path| named.push((kind, key, path.to_owned()));
    for (policy, section) in &config.policies {
        for (asset, source) in &section.assets {
            if let AssetSource::File(path) = source.get_ref() {
                add(TRUSTED, format!("policies.{policy}.assets.{asset}"), path);
            }
        }
    }
    for (name, server) in &config.servers {
        if let Some(path) = &server.roots {
            add(TRUSTED, format!("servers.{name}.roots"), path.get_ref());
        }
        if let Some(path) = &server.certificate {
            add(UPSTREAM, format!("servers.{name}.certificate"), path.get_ref());
        }
    }
    if let Some(revocation) = &config.revocation {
        for path in &revocation.issuers {
            add(TRUSTED, "revocation.issuers".to_owned(), path);
        }
        if let Some(path) = &revocation.tls_roots {
            add(TRUSTED, "revocation.tls-roots".to_owned(), path);
        }
    }
    if let Some(path) = &config.alerts.webhook_roots {
        add(TRUSTED, "alerts.webhook-roots".to_owned(), path.get_ref());
    }
    named
}

fn of_server(identity: &ServerIdentity) -> Vec<Expiring> {
    std::iter::once(&**identity.certificate())
        .chain(identity.intermediates())
        .map(|certificate| Expiring::certificate(OWN, certificate, "listen.certificate"))
        .collect()
}

fn of_crls(revocation: &Sources) -> Vec<Expiring> {
    let Sources::Checker(checker) = revocation else { return Vec::new() };
    checker.status().crls.iter().filter_map(of_crl).collect()
}

/// Of one in force that says when it ends.
fn of_crl(crl: &CrlStatus) -> Option<Expiring> {
    let (first, last) = (crl.this_update?, crl.next_update?);
    Some(Expiring {
        kind: CRL,
        id: format!("{} {first} {last}", crl.source),
        // As long as its signature is not checked, its issuer is not known.
        subject: crl.issuer.clone().unwrap_or_default(),
        serial_number: String::new(),
        first,
        last,
        source: crl.source.clone(),
    })
}

/// The certificates of a PEM file or of a SPIFFE bundle. What cannot be read has been refused where it is used.
fn certificates(content: &[u8]) -> Vec<Certificate> {
    let encodings = match serde_json::from_slice::<SpiffeBundle>(content) {
        Ok(bundle) => bundle.certificates(),
        Err(_) => CertificateDer::pem_slice_iter(content)
            .filter_map(|der| Some(der.ok()?.to_vec()))
            .collect(),
    };
    encodings.into_iter().filter_map(|der| Certificate::from_der(der).ok()).collect()
}

/// A trust domain's bundle (SPIFFE Trust Domain and Bundle, 4.2): a JWK set whose certificates are in `x5c` (RFC 7517,
/// 4.7).
#[derive(Deserialize)]
struct SpiffeBundle {
    keys: Vec<SpiffeKey>,
}

#[derive(Deserialize)]
struct SpiffeKey {
    #[serde(default)]
    x5c: Vec<String>,
}

impl SpiffeBundle {
    fn certificates(&self) -> Vec<Vec<u8>> {
        let encoded = self.keys.iter().flat_map(|key| &key.x5c);
        encoded.filter_map(|text| BASE64.decode(text.as_bytes()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};

    use super::*;

    #[test]
    fn certificates_are_found_in_pem_files_and_in_spiffe_bundles() {
        let validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };
        let root = Authority::root(&Profile::authority("Test", validity)).expect("a root");
        let pem = format!("text\n{}text\n{}", root.certificate_pem(), root.certificate_pem());
        let bundle = serde_json::json!({ "keys": [
            { "use": "jwt-svid", "kty": "EC" },
            { "use": "x509-svid", "x5c": [BASE64.encode(root.certificate_der())] },
        ] });
        let subjects = |content: &[u8]| {
            certificates(content).iter().map(Certificate::subject).collect::<Vec<_>>()
        };
        assert_eq!(subjects(pem.as_bytes()), ["CN=Test", "CN=Test"]);
        assert_eq!(subjects(bundle.to_string().as_bytes()), ["CN=Test"]);
        for nothing in [&b"spki-sha256 00\n"[..], b"", b"{}", b"\xff\xfe"] {
            assert!(certificates(nothing).is_empty());
        }
    }
}
