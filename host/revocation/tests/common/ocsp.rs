//! OCSP answers that can be wrong in one way each.

use aws_lc_rs::digest;
use portcullis_core::Certificate;

use super::der::{self, sequence};
use super::{HOUR, NOW, Party};

/// What is in an answer.
#[derive(Clone)]
pub struct Answer {
    /// The content of CertStatus's choice, whole.
    pub status: Vec<u8>,
    pub serial: Vec<u8>,
    pub issuer: (Vec<u8>, Vec<u8>),
    pub this_update: i64,
    pub next_update: Option<i64>,
    pub produced_at: i64,
    pub nonce: Option<Vec<u8>>,
    /// Further extensions of the response, whole.
    pub extensions: Vec<Vec<u8>>,
    /// The certificates that come along.
    pub certificates: Vec<Vec<u8>>,
    /// The responder ID; the signer's key hash if none is given.
    pub responder_id: Option<Vec<u8>>,
    /// How often the same single response stands in it.
    pub copies: usize,
}

pub fn good() -> Vec<u8> {
    der::tlv(0x80, &[])
}

pub fn revoked(at: i64) -> Vec<u8> {
    der::tlv(0xa1, &[&der::time(at)])
}

pub fn unknown() -> Vec<u8> {
    der::tlv(0x82, &[])
}

impl Answer {
    pub fn about(client: &Certificate, issuer: &Certificate, status: Vec<u8>) -> Self {
        Self {
            status,
            serial: der::serial(client.der()).to_vec(),
            issuer: (sha1(der::subject(issuer.der())), sha1(der::key(issuer.der()))),
            this_update: NOW - HOUR,
            next_update: Some(NOW + HOUR),
            produced_at: NOW - HOUR,
            nonce: None,
            extensions: Vec::new(),
            certificates: Vec::new(),
            responder_id: None,
            copies: 1,
        }
    }

    pub fn sign(&self, signer: &Party) -> Vec<u8> {
        let hash = sequence(&[&der::oid("1.3.14.3.2.26"), &der::tlv(5, &[])]);
        let id = sequence(&[
            &hash,
            &der::octets(&self.issuer.0),
            &der::octets(&self.issuer.1),
            &der::integer(&self.serial),
        ]);
        let next =
            self.next_update.map(|next| der::tlv(0xa0, &[&der::time(next)])).unwrap_or_default();
        let single = sequence(&[&id, &self.status, &der::time(self.this_update), &next]);
        let singles = sequence(&vec![&single[..]; self.copies]);
        let by_key = || der::tlv(0xa2, &[&der::octets(&sha1(der::key(signer.certificate.der())))]);
        let responder = self.responder_id.clone().unwrap_or_else(by_key);
        let nonce = self
            .nonce
            .as_ref()
            .map(|nonce| der::extension("1.3.6.1.5.5.7.48.1.2", false, &der::octets(nonce)));
        let extensions: Vec<Vec<u8>> = nonce.into_iter().chain(self.extensions.clone()).collect();
        let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
        let extensions = match &extensions[..] {
            [] => Vec::new(),
            extensions => der::tlv(0xa1, &[&sequence(extensions)]),
        };
        let data = sequence(&[&responder, &der::time(self.produced_at), &singles, &extensions]);
        let certificates: Vec<&[u8]> = self.certificates.iter().map(Vec::as_slice).collect();
        let certificates = match &certificates[..] {
            [] => Vec::new(),
            certificates => der::tlv(0xa0, &[&sequence(certificates)]),
        };
        let signature = der::bits(&signer.sign(&data));
        let basic = sequence(&[&data, &der::ecdsa_with_sha256(), &signature, &certificates]);
        let bytes = sequence(&[&der::oid("1.3.6.1.5.5.7.48.1.1"), &der::octets(&basic)]);
        sequence(&[&der::tlv(0x0a, &[&[0]]), &der::tlv(0xa0, &[&bytes])])
    }
}

/// An answer with a status and nothing else: 1 malformedRequest, 2 internalError, 3 tryLater, 5 sigRequired,
/// 6 unauthorized.
pub fn refusal(status: u8) -> Vec<u8> {
    sequence(&[&der::tlv(0x0a, &[&[status]])])
}

/// The nonce in a request's DER.
pub fn nonce_of(request: &[u8]) -> Vec<u8> {
    let oid = der::oid("1.3.6.1.5.5.7.48.1.2");
    let at = request.windows(oid.len()).position(|window| window == oid).expect("a nonce");
    // An OCTET STRING of 34 bytes around one of 32.
    request[at + oid.len() + 4..][..32].to_vec()
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}
