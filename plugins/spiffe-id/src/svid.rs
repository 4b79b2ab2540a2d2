//! What makes a certificate an X509-SVID, apart from its path (X509-SVID, sections 2 to 4 and 5.2).

use portcullis_guest::Rejection;
use portcullis_guest::paths::codes::{CA_AS_LEAF, UNKNOWN_ISSUER, WRONG_USAGE};
use portcullis_guest::paths::{Facts, has};

use crate::codes::NOT_AN_SVID;
use crate::id::{SpiffeId, TrustDomain};

const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// The ID of a leaf, which must be an SVID that a client may use.
///
/// # Errors
/// It is none.
pub fn leaf<C: Facts>(leaf: &C) -> Result<SpiffeId, Rejection> {
    check_leaf_usage(leaf)?;
    let id = id(leaf, || "the client's certificate".to_owned())?.ok_or_else(|| {
        Rejection::new(NOT_AN_SVID, "the client's certificate has no URI, and so no SPIFFE ID")
    })?;
    if id.path().is_empty() {
        let detail = format!("`{id}` has no path: it is the ID of a trust domain, not of a client");
        return Err(Rejection::new(NOT_AN_SVID, detail));
    }
    Ok(id)
}

fn check_leaf_usage<C: Facts>(leaf: &C) -> Result<(), Rejection> {
    if leaf.is_ca() {
        return Err(Rejection::new(CA_AS_LEAF, "the client's own certificate is that of a CA"));
    }
    let Some(usages) = leaf.key_usages() else {
        let detail = "the client's certificate has no key usage, which every SVID has";
        return Err(Rejection::new(WRONG_USAGE, detail));
    };
    if let Some(usage) = ["keyCertSign", "cRLSign"].iter().find(|usage| has(&usages, usage)) {
        let detail = format!("the key usage of the client's own certificate has {usage}");
        return Err(Rejection::new(CA_AS_LEAF, detail));
    }
    if !has(&usages, "digitalSignature") {
        let detail = "the key usage of the client's certificate lacks digitalSignature";
        return Err(Rejection::new(WRONG_USAGE, detail));
    }
    let purposes = leaf.extended_key_usages();
    if !purposes.is_empty() && !has(&purposes, CLIENT_AUTH) {
        let detail = "the extended key usage of the client's certificate lacks clientAuth";
        return Err(Rejection::new(WRONG_USAGE, detail));
    }
    Ok(())
}

/// Whether a CA certificate that a client sent may stand on a path of the trust domain.
///
/// # Errors
/// It may not.
pub fn check_authority<C: Facts>(ca: &C, trust_domain: &TrustDomain) -> Result<(), Rejection> {
    if !ca.is_ca() || !ca.key_usages().is_some_and(|usages| has(&usages, "keyCertSign")) {
        let detail = format!("`{}` may not issue certificates", ca.subject());
        return Err(Rejection::new(WRONG_USAGE, detail));
    }
    check_authority_id(ca, trust_domain)
}

/// Whether the ID of a CA is that of the trust domain. It may have none.
///
/// # Errors
/// It has another, or one that is no CA's.
pub fn check_authority_id<C: Facts>(ca: &C, trust_domain: &TrustDomain) -> Result<(), Rejection> {
    let whose = || format!("the CA `{}`", ca.subject());
    let Some(id) = id(ca, whose)? else { return Ok(()) };
    if !id.path().is_empty() {
        let detail = format!("{} has the ID `{id}`: a CA's has no path", whose());
        return Err(Rejection::new(NOT_AN_SVID, detail));
    }
    if id.trust_domain() != trust_domain {
        let detail = format!("{} is of `{id}`, not of `{trust_domain}`", whose());
        return Err(Rejection::new(UNKNOWN_ISSUER, detail));
    }
    Ok(())
}

/// The ID of a certificate, which is its only URI; none when it has no URI. Other kinds of names may be there.
fn id<C: Facts>(
    certificate: &C,
    whose: impl Fn() -> String,
) -> Result<Option<SpiffeId>, Rejection> {
    let reject = |problem| Err(Rejection::new(NOT_AN_SVID, format!("{} {problem}", whose())));
    let names = certificate.subject_alt_names().into_iter();
    let uris: Vec<String> = names.filter(|name| name.kind == "uri").map(|name| name.text).collect();
    match uris.as_slice() {
        [] => Ok(None),
        [uri] => match SpiffeId::parse(uri) {
            Ok(id) => Ok(Some(id)),
            Err(error) => reject(format!("has the URI `{uri}`, which is no SPIFFE ID: {error}")),
        },
        several => reject(format!("has {} URIs: an SVID has one", several.len())),
    }
}
