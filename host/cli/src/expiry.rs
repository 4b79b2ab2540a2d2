//! What the gate has at hand that ends: certificates in files, its own, CRLs, and its clients.

mod certificates;

use std::path::Path;
use std::time::Duration;

use portcullis_alerts::{Alerts, Expiring};
use portcullis_config::{AssetSource, read_bounded};
use portcullis_engine::{Clock, WarnBefore};
use portcullis_gate::{AuditRecord, AuditVerdict, IdentitySwap, ServerIdentity};
use portcullis_revocation::CrlStatus;

use self::certificates::certificates;
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
/// The most that is looked through: as large as an asset may be.
const MAXIMUM_BYTES: u64 = 16 * 1024 * 1024;

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

/// The certificates in what the configuration names. What cannot be read is a mistake where it is used.
pub(crate) fn of_files(file: &ConfigFile) -> Vec<Expiring> {
    let mut items = Vec::new();
    for (kind, key, content) in named(file) {
        let certificates = certificates(&content).into_iter();
        items.extend(certificates.map(|one| Expiring::certificate(kind, &one, key.as_str())));
    }
    items
}

/// What may have certificates in it: their kind, the key that names it, and its bytes.
fn named(file: &ConfigFile) -> Vec<(&'static str, String, Vec<u8>)> {
    let config = &file.config;
    let read = |path: &Path| read_bounded(&file.resolve(path), MAXIMUM_BYTES).ok();
    let asset = |source: &AssetSource| match source {
        AssetSource::File(path) => read(path),
        AssetSource::Made(_) => None,
        AssetSource::WorkloadApi(asked) => {
            let agent = file.workload_api.as_ref()?;
            Some(agent.read(asked.workload_api.as_str().as_ref(), MAXIMUM_BYTES).ok()?.bytes)
        }
    };
    let mut named = Vec::new();
    let mut add = |kind, key, content: Option<Vec<u8>>| {
        named.extend(content.map(|content| (kind, key, content)));
    };
    for (policy, section) in &config.policies {
        for (name, source) in &section.assets {
            add(TRUSTED, format!("policies.{policy}.assets.{name}"), asset(source.get_ref()));
        }
    }
    for (name, server) in &config.servers {
        if let Some(path) = &server.roots {
            add(TRUSTED, format!("servers.{name}.roots"), read(path.get_ref()));
        }
        if let Some(path) = &server.certificate {
            add(UPSTREAM, format!("servers.{name}.certificate"), read(path.get_ref()));
        }
    }
    if let Some(revocation) = &config.revocation {
        for path in &revocation.issuers {
            add(TRUSTED, "revocation.issuers".to_owned(), read(path));
        }
        if let Some(path) = &revocation.tls_roots {
            add(TRUSTED, "revocation.tls-roots".to_owned(), read(path));
        }
    }
    if let Some(path) = &config.alerts.webhook_roots {
        add(TRUSTED, "alerts.webhook-roots".to_owned(), read(path.get_ref()));
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
