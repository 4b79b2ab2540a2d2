//! The certificates in a file, as far as their end matters.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use portcullis_engine::Certificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

/// Those of a PEM file. Of the CAs of a SPIFFE trust domain only the last to end: others come and go beside it, and an old
/// one may stay until it has ended. What cannot be read has been refused where it is used.
pub(super) fn certificates(content: &[u8]) -> Vec<Certificate> {
    match serde_json::from_slice(content) {
        Ok(SpiffeBundles::Map { trust_domains }) => {
            trust_domains.values().filter_map(SpiffeBundle::last).collect()
        }
        Ok(SpiffeBundles::One(bundle)) => bundle.last().into_iter().collect(),
        Err(_) => by_trust_domain(content),
    }
}

/// PEM, in which a line with the ID of a trust domain may stand above the certificates of its CAs.
fn by_trust_domain(content: &[u8]) -> Vec<Certificate> {
    let mut named: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    let mut name: &[u8] = b"";
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"spiffe://") {
            name = line.trim_ascii_end();
        } else {
            named.entry(name).or_default().extend(line);
        }
    }
    let mut found = Vec::new();
    for (name, pem) in named {
        let encodings = CertificateDer::pem_slice_iter(&pem);
        let encodings = encodings.filter_map(|der| Some(der.ok()?.to_vec()));
        if name.is_empty() {
            found.extend(parsed(encodings));
        } else {
            found.extend(last(encodings));
        }
    }
    found
}

fn parsed(encodings: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = Certificate> {
    encodings.filter_map(|der| Certificate::from_der(der).ok())
}

fn last(encodings: impl Iterator<Item = Vec<u8>>) -> Option<Certificate> {
    parsed(encodings).max_by_key(Certificate::not_after)
}

/// The bundles of trust domains in one file, or one (SPIFFE Trust Domain and Bundle, 4).
#[derive(Deserialize)]
#[serde(untagged)]
enum SpiffeBundles {
    Map { trust_domains: BTreeMap<String, SpiffeBundle> },
    One(SpiffeBundle),
}

/// A JWK set whose certificates are in `x5c` (RFC 7517, 4.7).
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
    fn last(&self) -> Option<Certificate> {
        let encoded = self.keys.iter().flat_map(|key| &key.x5c);
        last(encoded.filter_map(|text| BASE64.decode(text.as_bytes()).ok()))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{Authority, Profile, Validity};
    use serde_json::json;

    use super::*;

    fn root(name: &str, not_after: i64) -> Authority {
        let validity = Validity { not_before: 1_790_000_000, not_after };
        Authority::root(&Profile::authority(name, validity)).expect("a root")
    }

    fn subjects(content: impl AsRef<[u8]>) -> Vec<String> {
        certificates(content.as_ref()).iter().map(Certificate::subject).collect()
    }

    #[test]
    fn each_certificate_of_a_pem_file_counts() {
        let [a, b] = [root("A", 1_800_000_000), root("B", 1_900_000_000)];
        let pem = format!("text\n{}text\n{}", a.certificate_pem(), b.certificate_pem());
        assert_eq!(subjects(pem), ["CN=A", "CN=B"]);
    }

    #[test]
    fn of_a_trust_domain_the_ca_that_ends_last_counts() {
        let [old, new, other] =
            [root("Old", 1_800_000_000), root("New", 1_900_000_000), root("Other", 1_800_000_000)];
        let pem = format!(
            "# Ours\nspiffe://a.test\n{}{}\nspiffe://b.test\n{}spiffe://a.test\r\n{}",
            old.certificate_pem(),
            new.certificate_pem(),
            other.certificate_pem(),
            old.certificate_pem(),
        );
        assert_eq!(subjects(pem), ["CN=New", "CN=Other"]);

        let key = |ca: &Authority| {
            let x5c = BASE64.encode(ca.certificate_der());
            json!({ "use": "x509-svid", "kty": "EC", "x5c": [x5c] })
        };
        let jwt = json!({ "use": "jwt-svid", "kty": "EC" });
        let ours = json!({ "keys": [jwt, key(&new), key(&old)], "spiffe_sequence": 1 });
        assert_eq!(subjects(ours.to_string()), ["CN=New"]);
        let all =
            json!({ "trust_domains": { "a.test": ours, "b.test": { "keys": [key(&other)] } } });
        assert_eq!(subjects(all.to_string()), ["CN=New", "CN=Other"]);
    }

    #[test]
    fn what_has_no_certificates_gives_none() {
        for nothing in ["spki-sha256 00\n", "", "{}", "[]", "spiffe://a.test", "{\"keys\":[{}]}"] {
            assert!(subjects(nothing).is_empty(), "{nothing}");
        }
        assert!(subjects(b"\xff\xfe\n-----BEGIN CERTIFICATE-----\n").is_empty());
    }
}
