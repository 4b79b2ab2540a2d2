//! Certificate signing requests (PKCS #10, RFC 2986).

use portcullis_est::Names;
use portcullis_pki::PublicKey;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as Key;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The largest request that is looked at, in bytes.
const MAXIMUM_BYTES: usize = 64 * 1024;
/// The shortest RSA key that is certified, in bits.
const MINIMUM_RSA_BITS: usize = 2048;
/// The largest that TLS stacks take, in bits.
const MAXIMUM_RSA_BITS: usize = 8192;

/// A request whose sender has the key.
///
/// The key is all that is taken from it. The names and extensions that it asks for are not: what is in a certificate is
/// for the authority's operator to say. A renewal is refused unless it asks for the names that there are.
#[derive(Clone, Debug)]
pub struct Request {
    key: PublicKey,
    names: Names,
}

/// Why a request is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A key that is not certified.
    #[error("the key is not certified: {0}")]
    Key(String),
    /// Not PKCS #10.
    #[error("not a certificate signing request (PKCS #10), in PEM or DER: {0}")]
    Malformed(String),
    /// Whoever sent it does not have the key, or has signed in a way that is not known here.
    #[error("the request's signature does not verify: {0}")]
    Possession(&'static str),
    /// More than 64 KiB.
    #[error("{0} bytes are more than a request has")]
    TooLarge(usize),
}

impl Request {
    /// Reads a request in PEM or DER, and checks that its sender has the key and that the key is strong enough.
    ///
    /// # Errors
    /// Any [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAXIMUM_BYTES {
            return Err(RequestError::TooLarge(bytes.len()));
        }
        let malformed = |problem: &str| RequestError::Malformed(problem.to_owned());
        let pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
        let der = match pem {
            true => CertificateSigningRequestDer::from_pem_slice(bytes)
                .map_err(|_| malformed("the PEM text holds none"))?,
            false => CertificateSigningRequestDer::from(bytes),
        };
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| RequestError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed("bytes follow it"));
        }
        let key = &request.certification_request_info.subject_pki;
        check_key(key)?;
        request.verify_signature().map_err(|error| {
            RequestError::Possession(match error {
                X509Error::SignatureUnsupportedAlgorithm => {
                    "it is of an algorithm that is not known here; ECDSA on P-256 and P-384, RSA and Ed25519 are"
                }
                _ => "the key has not made it",
            })
        })?;
        let key = PublicKey::from_der(key.raw).map_err(|_| {
            RequestError::Key("it is of an algorithm that is not known here".to_owned())
        })?;
        let names = Names::of_request(&der).map_err(|_| malformed("its names cannot be read"))?;
        Ok(Self { key, names })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }
}

fn check_key(key: &SubjectPublicKeyInfo<'_>) -> Result<(), RequestError> {
    let parsed = key.parsed().map_err(|error| RequestError::Key(error.to_string()))?;
    let Key::RSA(rsa) = parsed else { return Ok(()) };
    // Leading zeros do not make a key strong.
    let bits = rsa.modulus.iter().skip_while(|&&byte| byte == 0).count() * 8;
    if (MINIMUM_RSA_BITS..=MAXIMUM_RSA_BITS).contains(&bits) {
        return Ok(());
    }
    Err(RequestError::Key(format!(
        "RSA of {bits} bits; {MINIMUM_RSA_BITS} to {MAXIMUM_RSA_BITS} are accepted"
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn request() -> Vec<u8> {
        let params = CertificateParams::new(vec!["admin.example.org".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        params.serialize_request(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_request_is_read_in_der_and_pem_and_nothing_may_follow_it() {
        let mut der = request();
        assert!(Request::parse(&der).is_ok());
        der.push(0);
        assert!(matches!(Request::parse(&der), Err(RequestError::Malformed(_))));
        for text in [&b"-----BEGIN CERTIFICATE-----\n"[..], b"", b"hello"] {
            assert!(matches!(Request::parse(text), Err(RequestError::Malformed(_))));
        }
        assert!(matches!(Request::parse(&vec![0; 65 * 1024]), Err(RequestError::TooLarge(_))));
    }

    #[test]
    fn a_request_of_somebody_without_the_key_is_refused() {
        let mut der = request();
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(matches!(Request::parse(&der), Err(RequestError::Possession(_))));
    }

    proptest! {
        #[test]
        fn no_change_of_a_request_changes_what_is_certified(at in 0usize..400, with in 1u8..) {
            let mut der = request();
            let key = Request::parse(&der).unwrap().key;
            let at = at % der.len();
            der[at] ^= with;
            // What stands outside of what is signed may be written in more than one way.
            if let Ok(changed) = Request::parse(&der) {
                prop_assert_eq!(format!("{:?}", changed.key), format!("{key:?}"));
            }
            prop_assert!(Request::parse(&der[..at]).is_err());
        }
    }
}
