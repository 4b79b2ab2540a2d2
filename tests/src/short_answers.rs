//! OCSP answers (RFC 6960) that hold for some seconds, so that who keeps them asks again soon.

use std::time::Duration;

use aws_lc_rs::digest;
use portcullis_pki::Authority;
use x509_cert::der::asn1::{BitString, GeneralizedTime, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse, ResponderId,
    ResponseData, RevokedInfo, SingleResponse, Version,
};

use crate::pki::now;

const LIFETIME_SECONDS: i64 = 6;

/// Answers a request, for the authority: good, but for certificates with the serial numbers that are `revoked`.
pub fn answer(authority: &Authority, request: &[u8], revoked: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let request = OcspRequest::from_der(request).expect("a request").tbs_request;
    let responses = request.request_list.into_iter().map(|request| {
        let is_revoked = revoked(request.req_cert.serial_number.as_bytes());
        let information = RevokedInfo { revocation_time: time(now() - 1), revocation_reason: None };
        SingleResponse {
            cert_status: if is_revoked {
                CertStatus::revoked(information)
            } else {
                CertStatus::good()
            },
            cert_id: request.req_cert,
            this_update: time(now()),
            next_update: Some(time(now() + LIFETIME_SECONDS)),
            single_extensions: None,
        }
    });
    let issuer = x509_cert::Certificate::from_der(authority.certificate_der()).expect("its own");
    let key = issuer.tbs_certificate.subject_public_key_info.subject_public_key;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.raw_bytes());
    let data = ResponseData {
        version: Version::V1,
        responder_id: ResponderId::ByKey(OctetString::new(hash.as_ref()).expect("a hash")),
        produced_at: time(now()),
        responses: responses.collect(),
        response_extensions: None,
    };
    let signature = authority.sign(&data.to_der().expect("DER")).expect("a signature");
    let basic = BasicOcspResponse {
        tbs_response_data: data,
        signature_algorithm: AlgorithmIdentifierOwned::from_der(signature.algorithm_der)
            .expect("its own"),
        signature: BitString::from_bytes(&signature.bytes).expect("bits"),
        certs: None,
    };
    OcspResponse::successful(basic).and_then(|answer| answer.to_der()).expect("DER")
}

fn time(seconds: i64) -> OcspGeneralizedTime {
    let since = Duration::from_secs(seconds.try_into().expect("after 1970"));
    OcspGeneralizedTime(GeneralizedTime::from_unix_duration(since).expect("a time"))
}
