//! The SPIFFE bundle format (SPIFFE Trust Domain and Bundle, section 4), and maps of bundles (section 5).
//!
//! Of a bundle's keys, only those for X509-SVIDs matter (X509-SVID, section 6.2). What else stands there is passed over:
//! the sequence number, the refresh hint, keys for JWT-SVIDs and parameters that are not known.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::{FormatError, Found, Section};

/// The key types that certificates are made for: EC, RSA, Ed25519 and ML-DSA.
const KEY_TYPES: &[&str] = &["AKP", "EC", "OKP", "RSA"];

/// A bundle, or a map of them: exactly one of the two is there.
#[derive(serde::Deserialize)]
struct Document {
    keys: Option<Vec<Value>>,
    trust_domains: Option<BundleMap>,
}

#[derive(serde::Deserialize)]
struct Bundle {
    keys: Vec<Value>,
}

/// Bundles by trust domain.
struct BundleMap(BTreeMap<String, Bundle>);

pub(super) fn read(text: &str) -> Result<Vec<Section>, FormatError> {
    let document: Document =
        serde_json::from_str(text).map_err(|error| FormatError::Json(error.to_string()))?;
    match (document.keys, document.trust_domains) {
        (Some(keys), None) => Ok(vec![section(None, &keys)]),
        (None, Some(BundleMap(bundles))) => Ok(bundles
            .into_iter()
            .map(|(name, bundle)| section(Some(name), &bundle.keys))
            .collect()),
        (None, None) => Err(FormatError::Json("it has no `keys`".to_owned())),
        (Some(_), Some(_)) => {
            Err(FormatError::Json("it has both `keys` and `trust_domains`".to_owned()))
        }
    }
}

fn section(trust_domain: Option<String>, keys: &[Value]) -> Section {
    let place = match &trust_domain {
        Some(name) => format!("the bundle of `{}`", name.escape_debug()),
        None => "the bundle".to_owned(),
    };
    let certificates = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| key["use"] == "x509-svid")
        .map(|(index, key)| Found {
            place: format!("key {} of {place}", index + 1),
            der: certificate(key),
        })
        .collect();
    Section { place, trust_domain, certificates }
}

/// The certificate of a key, which is the first of its `x5c`.
fn certificate(key: &Value) -> Result<Vec<u8>, String> {
    if !key["kty"].as_str().is_some_and(|kind| KEY_TYPES.contains(&kind)) {
        return Err(format!("its `kty` is none of {}", KEY_TYPES.join(", ")));
    }
    let encoded = key["x5c"][0].as_str().ok_or("it has no certificate in `x5c`")?;
    BASE64
        .decode(encoded.as_bytes())
        .map_err(|error| format!("the certificate in its `x5c` is not base64: {error}"))
}

impl<'de> Deserialize<'de> for BundleMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BundleMapVisitor)
    }
}

struct BundleMapVisitor;

impl<'de> Visitor<'de> for BundleMapVisitor {
    type Value = BundleMap;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a bundle for each trust domain")
    }

    /// A map that names a trust domain twice would leave open which bundle holds.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut bundles = BTreeMap::new();
        while let Some((name, bundle)) = map.next_entry::<String, Bundle>()? {
            let twice = format!("`{name}` stands twice");
            if bundles.insert(name, bundle).is_some() {
                return Err(A::Error::custom(twice));
            }
        }
        Ok(BundleMap(bundles))
    }
}
