//! What a response says of the one certificate that was asked about.

use portcullis_core::Timestamp;
use x509_ocsp::{CertId, CertStatus, OcspGeneralizedTime, SingleResponse};

use super::error::OcspError;
use super::request::{self, SHA_1};
use super::response::OcspResponse;
use super::signer::{self, AskCrls};
use crate::certificate::Pair;
use crate::options::Nonce;

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// When it was revoked; none when it is good.
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Option<Timestamp>,
    /// The last second at which it is used.
    pub(crate) expires: Timestamp,
}

/// What a response is judged by.
pub(crate) struct Terms<'a> {
    pub(crate) now: Timestamp,
    /// In seconds.
    pub(crate) skew: Timestamp,
    /// In seconds, of an answer that names no next update.
    pub(crate) maximum_age: u32,
    pub(crate) nonce: Nonce,
    /// The nonce that was sent; none when the response was kept on disk.
    pub(crate) sent: Option<&'a [u8]>,
    pub(crate) ask_crls: AskCrls<'a>,
    pub(crate) accept_unchecked: bool,
}

impl Statement {
    /// Takes a response's word, if everything about it is right.
    pub(crate) fn new(
        response: &OcspResponse,
        pair: &Pair<'_>,
        terms: &Terms<'_>,
    ) -> Result<Self, OcspError> {
        let single = about(response, pair)?;
        signer::check(response, pair, terms.now, terms.ask_crls, terms.accept_unchecked)?;
        check_nonce(response, terms)?;
        let produced_at = timestamp(response.basic.tbs_response_data.produced_at);
        let this_update = timestamp(single.this_update);
        for time in [produced_at, this_update] {
            if time > terms.now.saturating_add(terms.skew) {
                return Err(OcspError::Future(time));
            }
        }
        let next_update = single.next_update.map(timestamp);
        let expires = match next_update {
            Some(next) if next < terms.now => return Err(OcspError::Expired(next)),
            Some(next) => next,
            None => this_update.saturating_add(terms.maximum_age.into()),
        };
        if expires < terms.now {
            return Err(OcspError::TooOld(terms.maximum_age));
        }
        let revoked_at = match single.cert_status {
            CertStatus::Good(_) => None,
            CertStatus::Revoked(info) => Some(timestamp(info.revocation_time)),
            CertStatus::Unknown(_) => return Err(OcspError::Unknown),
        };
        Ok(Self { revoked_at, this_update, next_update, expires })
    }

    pub(crate) fn is_usable(&self, time: Timestamp, skew: Timestamp) -> bool {
        self.this_update <= time.saturating_add(skew) && time <= self.expires
    }
}

/// The one single response about the certificate.
fn about<'a>(response: &'a OcspResponse, pair: &Pair<'_>) -> Result<&'a SingleResponse, OcspError> {
    let wanted = request::cert_id(pair).map_err(|error| OcspError::Malformed(error.to_string()))?;
    let same = |id: &CertId| {
        id.hash_algorithm.oid == SHA_1
            && id.issuer_name_hash == wanted.issuer_name_hash
            && id.issuer_key_hash == wanted.issuer_key_hash
            && id.serial_number == wanted.serial_number
    };
    let mut matching =
        response.basic.tbs_response_data.responses.iter().filter(|single| same(&single.cert_id));
    match (matching.next(), matching.next()) {
        (Some(single), None) => Ok(single),
        (None, _) => Err(OcspError::Certificate),
        (Some(_), Some(_)) => {
            Err(OcspError::Malformed("it answers twice about one certificate".to_owned()))
        }
    }
}

fn check_nonce(response: &OcspResponse, terms: &Terms<'_>) -> Result<(), OcspError> {
    let Some(sent) = terms.sent else { return Ok(()) };
    match response.nonce() {
        Some(nonce) if nonce == sent => Ok(()),
        Some(_) => Err(OcspError::Nonce("not the one that was sent")),
        None if terms.nonce == Nonce::Require => Err(OcspError::Nonce("missing")),
        None => Ok(()),
    }
}

fn timestamp(time: OcspGeneralizedTime) -> Timestamp {
    Timestamp::try_from(time.0.to_unix_duration().as_secs()).unwrap_or(Timestamp::MAX)
}
