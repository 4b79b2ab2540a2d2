//! Requests about one certificate (RFC 6960, 4.1 and appendix A).

use aws_lc_rs::digest;
use bytes::Bytes;
use data_encoding::BASE64;
use x509_cert::der::asn1::{Null, ObjectIdentifier, OctetString};
use x509_cert::der::{self, Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest, Version};

use crate::certificate::Pair;
use crate::der::{INTEGER, OCTET_STRING, write};
use crate::fetch::Query;
use crate::options::OcspOptions;
use crate::url::Url;

pub(crate) const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
pub(crate) const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

/// A GET whose encoded request has so many bytes or more is a POST (RFC 6960, A.1).
const MAXIMUM_GET_BYTES: usize = 255;

/// SHA-1, with which responders know certificates by name and key; no signature hangs on it.
pub(crate) fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

/// How the certificate is named in requests and answers.
pub(crate) fn cert_id(pair: &Pair<'_>) -> Result<CertId, der::Error> {
    Ok(CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA_1, parameters: Some(Null.into()) },
        issuer_name_hash: OctetString::new(sha1(pair.issuer_parts.subject))?,
        issuer_key_hash: OctetString::new(sha1(pair.issuer_parts.key.bits))?,
        serial_number: SerialNumber::from_der(&write(INTEGER, pair.subject_parts.serial))?,
    })
}

/// A request's DER.
pub(crate) fn encode(cert_id: CertId, nonce: Option<&[u8]>) -> Result<Vec<u8>, der::Error> {
    let nonce = match nonce {
        Some(nonce) => Some(vec![Extension {
            extn_id: NONCE,
            critical: false,
            extn_value: OctetString::new(write(OCTET_STRING, nonce))?,
        }]),
        None => None,
    };
    let request = Request { req_cert: cert_id, single_request_extensions: None };
    let tbs_request = TbsRequest {
        version: Version::V1,
        requestor_name: None,
        request_list: vec![request],
        request_extensions: nonce,
    };
    OcspRequest { tbs_request, optional_signature: None }.to_der()
}

/// How the request goes out: by GET if it is short enough, so that caches on the way can answer.
pub(crate) fn query(url: &Url, request: &[u8], options: &OcspOptions) -> Query {
    let encoded = percent_encode(&BASE64.encode(request));
    if encoded.len() >= MAXIMUM_GET_BYTES {
        return post(url, request, options);
    }
    let path = format!("{}/{encoded}", url.path.trim_end_matches('/'));
    Query { url: Url { path, ..url.clone() }, post: None, ..post(url, request, options) }
}

pub(crate) fn post(url: &Url, request: &[u8], options: &OcspOptions) -> Query {
    Query {
        url: url.clone(),
        post: Some((Bytes::copy_from_slice(request), "application/ocsp-request")),
        maximum_bytes: options.maximum_bytes,
        timeout: std::time::Duration::from_millis(options.timeout_milliseconds.into()),
    }
}

/// The characters of Base64 that a path must not have.
fn percent_encode(base64: &str) -> String {
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
