//! An OCSP responder (RFC 6960) of the authority's own: it signs with the key that signed the certificates.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use portcullis_core::Timestamp;
use x509_cert::der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString};
use x509_cert::der::{self, Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version,
};

use crate::ca::Ca;
use crate::error::Error;
use crate::index::Revocation;
use crate::reason::Reason;

/// The largest request that is answered, in bytes.
pub(crate) const MAXIMUM_REQUEST_BYTES: usize = 16 * 1024;
/// How many certificates one request may ask about.
const MAXIMUM_CERTIFICATES: usize = 32;
/// The longest nonce that is taken, in bytes (RFC 9654, 2.1).
const MAXIMUM_NONCE_BYTES: usize = 128;
/// How long an answer may be used, in seconds: a revocation takes effect after so long with those who keep answers.
const LIFETIME_SECONDS: i64 = 300;

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// What is answered when there is no answer: the DER of an OCSPResponse with the status internalError (RFC 6960, 4.2.1).
#[must_use]
pub fn internal_error() -> Vec<u8> {
    // SEQUENCE { ENUMERATED 2 }
    vec![0x30, 0x03, 0x0a, 0x01, 0x02]
}

impl Ca {
    /// Answers an OCSP request, with a signature unless the request is malformed. Both are DER.
    ///
    /// A certificate is good if it is in the index and was not revoked, and unknown if it is not there.
    ///
    /// # Errors
    /// What is wrong with the index: the answer is then [`internal_error`].
    pub fn answer_ocsp(&self, request: &[u8]) -> Result<Vec<u8>, Error> {
        let response = match parse(request) {
            Some((certificates, nonce)) => self.signed(&certificates, nonce)?,
            None => OcspResponse::malformed_request(),
        };
        response.to_der().map_err(encoding)
    }

    fn signed(
        &self,
        certificates: &[CertId],
        nonce: Option<Extension>,
    ) -> Result<OcspResponse, Error> {
        let now = self.valid_now()?;
        let issuer = x509_cert::Certificate::from_der(self.authority.certificate_der())
            .map_err(encoding)?
            .tbs_certificate;
        let name = issuer.subject.to_der().map_err(encoding)?;
        let key = issuer.subject_public_key_info.subject_public_key.raw_bytes();
        let responses = certificates.iter().map(|id| {
            Ok(SingleResponse {
                cert_id: id.clone(),
                cert_status: self.status(id, &name, key)?,
                this_update: time(now)?,
                next_update: Some(time(now.saturating_add(LIFETIME_SECONDS))?),
                single_extensions: None,
            })
        });
        let key_hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key);
        let data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(
                OctetString::new(key_hash.as_ref()).map_err(encoding)?,
            ),
            produced_at: time(now)?,
            responses: responses.collect::<Result<_, Error>>()?,
            response_extensions: nonce.map(|nonce| vec![nonce]),
        };
        let signature = self.authority.sign(&data.to_der().map_err(encoding)?)?;
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned::from_der(signature.algorithm_der)
                .map_err(encoding)?,
            signature: BitString::from_bytes(&signature.bytes).map_err(encoding)?,
            certs: None,
        };
        OcspResponse::successful(basic).map_err(encoding)
    }

    fn status(&self, id: &CertId, name: &[u8], key: &[u8]) -> Result<CertStatus, Error> {
        let algorithm = match id.hash_algorithm.oid {
            SHA_1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            SHA_256 => &digest::SHA256,
            SHA_384 => &digest::SHA384,
            SHA_512 => &digest::SHA512,
            _ => return Ok(CertStatus::unknown()),
        };
        let is_hash = |hash: &OctetString, of: &[u8]| {
            hash.as_bytes() == digest::digest(algorithm, of).as_ref()
        };
        if !is_hash(&id.issuer_name_hash, name) || !is_hash(&id.issuer_key_hash, key) {
            return Ok(CertStatus::unknown());
        }
        let serial = crate::ca::parse_serial(&HEXLOWER.encode(id.serial_number.as_bytes()));
        let record = match serial {
            Some(serial) => self.index.find(&serial)?,
            None => None,
        };
        Ok(match record.map(|record| record.revocation) {
            None => CertStatus::unknown(),
            Some(None) => CertStatus::good(),
            Some(Some(revocation)) => CertStatus::revoked(revoked(revocation)?),
        })
    }
}

/// What is asked about, and the nonce to give back. Nothing for a request that is malformed (RFC 6960, 2.3) or asks for
/// more than is answered.
fn parse(request: &[u8]) -> Option<(Vec<CertId>, Option<Extension>)> {
    if request.len() > MAXIMUM_REQUEST_BYTES {
        return None;
    }
    let request = OcspRequest::from_der(request).ok()?.tbs_request;
    if !(1..=MAXIMUM_CERTIFICATES).contains(&request.request_list.len()) {
        return None;
    }
    let mut nonce = None;
    for extension in request.request_extensions.unwrap_or_default() {
        if extension.extn_id == NONCE {
            let content = OctetString::from_der(extension.extn_value.as_bytes()).ok()?;
            let fits = (1..=MAXIMUM_NONCE_BYTES).contains(&content.as_bytes().len());
            if !fits || nonce.replace(extension).is_some() {
                return None;
            }
        } else if extension.critical {
            return None;
        }
    }
    let certificates = request.request_list.into_iter().map(|request| {
        let extensions = request.single_request_extensions.unwrap_or_default();
        (!extensions.iter().any(|extension| extension.critical)).then_some(request.req_cert)
    });
    Some((certificates.collect::<Option<_>>()?, nonce))
}

fn revoked(revocation: Revocation) -> Result<RevokedInfo, Error> {
    let reason = match revocation.reason {
        Reason::KeyCompromise => Some(CrlReason::KeyCompromise),
        Reason::CaCompromise => Some(CrlReason::CaCompromise),
        Reason::AffiliationChanged => Some(CrlReason::AffiliationChanged),
        Reason::Superseded => Some(CrlReason::Superseded),
        Reason::CessationOfOperation => Some(CrlReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
        _ => None,
    };
    Ok(RevokedInfo { revocation_time: time(revocation.at)?, revocation_reason: reason })
}

fn time(seconds: Timestamp) -> Result<OcspGeneralizedTime, Error> {
    let since = std::time::Duration::from_secs(seconds.try_into().unwrap_or(0));
    GeneralizedTime::from_unix_duration(since).map(OcspGeneralizedTime).map_err(encoding)
}

fn encoding(error: der::Error) -> Error {
    Error::Encoding(error.to_string())
}
