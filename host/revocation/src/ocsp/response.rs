//! Responses, decoded (RFC 6960, 4.2.1).

use x509_cert::der::Decode as _;
use x509_cert::ext::Extensions;
use x509_ocsp::{BasicOcspResponse, OcspResponseStatus};

use super::error::OcspError;
use super::request::NONCE;
use crate::der::{Reader, SEQUENCE, constructed};
use crate::signed::Signed;

/// id-pkix-ocsp-basic.
const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
/// How many of a response's certificates are looked at.
const MAXIMUM_CERTIFICATES: usize = 8;

/// A successful response whose signature is still to be checked.
#[derive(Clone, Debug)]
pub struct OcspResponse {
    pub(crate) basic: BasicOcspResponse,
    /// The encoding of `basic`, in which the signed bytes are found as they were signed.
    der: Vec<u8>,
}

/// Decodes an OCSP response's DER. Nothing in it is checked beyond its form.
///
/// # Errors
///
/// When it is malformed, is of another type than basic, has a critical extension, or says that the responder would not
/// answer.
pub fn parse_ocsp_response(der: &[u8]) -> Result<OcspResponse, OcspError> {
    let malformed = |error: x509_cert::der::Error| OcspError::Malformed(error.to_string());
    let response = x509_ocsp::OcspResponse::from_der(der).map_err(malformed)?;
    match response.response_status {
        OcspResponseStatus::Successful => {}
        OcspResponseStatus::MalformedRequest => return Err(OcspError::Refused("malformedRequest")),
        OcspResponseStatus::InternalError => return Err(OcspError::Refused("internalError")),
        OcspResponseStatus::TryLater => return Err(OcspError::Refused("tryLater")),
        OcspResponseStatus::SigRequired => return Err(OcspError::Refused("sigRequired")),
        OcspResponseStatus::Unauthorized => return Err(OcspError::Refused("unauthorized")),
    }
    let bytes = response
        .response_bytes
        .ok_or_else(|| OcspError::Malformed("it is successful and has no content".to_owned()))?;
    if bytes.response_type.to_string() != BASIC {
        return Err(OcspError::Malformed(format!("its type is `{}`", bytes.response_type)));
    }
    let der = bytes.response.into_bytes();
    let basic = BasicOcspResponse::from_der(&der).map_err(malformed)?;
    let data = &basic.tbs_response_data;
    refuse_critical(data.response_extensions.as_ref())?;
    for single in &data.responses {
        refuse_critical(single.single_extensions.as_ref())?;
    }
    Ok(OcspResponse { basic, der })
}

fn refuse_critical(extensions: Option<&Extensions>) -> Result<(), OcspError> {
    let mut extensions = extensions.into_iter().flatten();
    match extensions.find(|extension| extension.critical && extension.extn_id != NONCE) {
        Some(extension) => Err(OcspError::CriticalExtension(extension.extn_id.to_string())),
        None => Ok(()),
    }
}

impl OcspResponse {
    /// What was signed, and the signature.
    pub(crate) fn signed(&self) -> Result<Signed<'_>, OcspError> {
        Ok(Signed::read(&mut Reader::new(&self.der).inside(SEQUENCE)?)?)
    }

    /// The certificates that came along, the first few of them.
    pub(crate) fn certificates(&self) -> Result<Vec<&[u8]>, OcspError> {
        let mut parts = Reader::new(&self.der).inside(SEQUENCE)?;
        Signed::read(&mut parts)?;
        let Some(list) = parts.optional(constructed(0))? else { return Ok(Vec::new()) };
        let mut list = Reader::new(list).inside(SEQUENCE)?;
        let mut found = Vec::new();
        while !list.is_empty() && found.len() < MAXIMUM_CERTIFICATES {
            found.push(list.element(SEQUENCE)?.whole);
        }
        Ok(found)
    }

    /// The nonce, if there is one; none, too, when there are two.
    pub(crate) fn nonce(&self) -> Option<Vec<u8>> {
        let extensions = self.basic.tbs_response_data.response_extensions.as_ref()?;
        let mut nonces = extensions.iter().filter(|extension| extension.extn_id == NONCE);
        let nonce = nonces.next()?;
        let value = Reader::new(nonce.extn_value.as_bytes()).value(crate::der::OCTET_STRING);
        value.ok().filter(|_| nonces.next().is_none()).map(<[u8]>::to_vec)
    }
}
