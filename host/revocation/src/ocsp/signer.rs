//! Who may sign an answer: the issuer, or whom it has delegated (RFC 6960, 4.2.2.2).

use std::time::Duration;

use portcullis_core::{Certificate, RevocationStatus, Timestamp};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};
use x509_cert::der::Encode as _;
use x509_ocsp::ResponderId;

use super::error::OcspError;
use super::request::sha1;
use super::response::OcspResponse;
use crate::certificate::{Pair, Parts};
use crate::name::NameKey;

const NO_CHECK: &str = "1.3.6.1.5.5.7.48.1.5";
/// id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// What CRLs say of a responder's certificate, given with its issuer.
pub(crate) type AskCrls<'a> = &'a dyn Fn(&Certificate, &Certificate) -> RevocationStatus;

/// Refuses a response that neither the issuer nor a responder of the issuer's has signed.
pub(crate) fn check(
    response: &OcspResponse,
    pair: &Pair<'_>,
    now: Timestamp,
    ask_crls: AskCrls<'_>,
    accept_unchecked: bool,
) -> Result<(), OcspError> {
    let id = &response.basic.tbs_response_data.responder_id;
    let signed = response.signed()?;
    if names(id, &pair.issuer_parts) && signed.verifies_with(pair.issuer_parts.key) {
        return Ok(());
    }
    let mut why = "neither the issuer nor a certificate in the answer matches its responder ID";
    for der in response.certificates()? {
        let Ok(responder) = Certificate::from_der(der.to_vec()) else { continue };
        let parts = Parts::of(&responder)?;
        if !names(id, &parts) {
            continue;
        }
        if !signed.verifies_with(parts.key) {
            why = "the signature does not verify";
            continue;
        }
        return delegated(&responder, pair.issuer, now, ask_crls, accept_unchecked);
    }
    Err(OcspError::Signer(why.to_owned()))
}

fn names(id: &ResponderId, parts: &Parts<'_>) -> bool {
    match id {
        ResponderId::ByKey(hash) => hash.as_bytes() == sha1(parts.key.bits),
        ResponderId::ByName(name) => {
            let named = name.to_der().ok().and_then(|name| NameKey::of(&name).ok());
            named.is_some() && named == NameKey::of(parts.subject).ok()
        }
    }
}

/// The responder's certificate comes from the issuer itself, is valid, is for signing answers, and is not revoked as
/// far as that can be known without asking the responder about itself.
fn delegated(
    responder: &Certificate,
    issuer: &Certificate,
    now: Timestamp,
    ask_crls: AskCrls<'_>,
    accept_unchecked: bool,
) -> Result<(), OcspError> {
    let refuse = |why: String| OcspError::Signer(why);
    let (responder_der, issuer_der) =
        (CertificateDer::from(responder.der()), CertificateDer::from(issuer.der()));
    let anchor = webpki::anchor_from_trusted_cert(&issuer_der)
        .map_err(|error| refuse(format!("the issuer's certificate: {error}")))?;
    let end_entity = EndEntityCert::try_from(&responder_der)
        .map_err(|error| refuse(format!("the responder's certificate: {error}")))?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    end_entity
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            time,
            KeyUsage::required(OCSP_SIGNING),
            None,
            None,
        )
        .map_err(|error| refuse(format!("the responder's certificate: {error}")))?;
    let signs = |usages: &[&str]| {
        usages.iter().any(|usage| matches!(*usage, "digitalSignature" | "nonRepudiation"))
    };
    if !responder.key_usages().is_none_or(signs) {
        return Err(refuse("the responder's key usage does not include signing".to_owned()));
    }
    if responder.extension(NO_CHECK).is_some() {
        return Ok(());
    }
    match ask_crls(responder, issuer) {
        RevocationStatus::Good => Ok(()),
        RevocationStatus::Revoked => Err(refuse("the responder's certificate is revoked".to_owned())),
        RevocationStatus::Unknown if accept_unchecked => Ok(()),
        RevocationStatus::Unknown => Err(refuse(
            "the responder's certificate has no id-pkix-ocsp-nocheck, and no CRL says that it is good"
                .to_owned(),
        )),
    }
}
