//! Requests for the next certificate (PKCS #10, RFC 2986), and the names in them (RFC 7030, 4.2.2).

use portcullis_core::Certificate;
use portcullis_pki::KeyPair;
use x509_cert::attr::Attributes;
use x509_cert::der::asn1::{BitString, ObjectIdentifier, SetOfVec};
use x509_cert::der::{self, Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The certificate cannot be read again, or the request not be written.
    #[error("the request cannot be written: {0}")]
    Encoding(String),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] portcullis_pki::Error),
}

impl From<der::Error> for RequestError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// Asks for a certificate with the names of this one and this key, signed by the key. DER.
///
/// # Errors
/// Any [`RequestError`].
pub fn request(certificate: &Certificate, key: &KeyPair) -> Result<Vec<u8>, RequestError> {
    let before = x509_cert::Certificate::from_der(certificate.der())?.tbs_certificate;
    let names = before.extensions.unwrap_or_default();
    let names: Vec<_> =
        names.into_iter().filter(|extension| extension.extn_id == SUBJECT_ALT_NAME).collect();
    let mut attributes = SetOfVec::new();
    if !names.is_empty() {
        attributes.insert(ExtensionReq(names).try_into()?)?;
    }
    let info = CertReqInfo {
        version: Version::V1,
        subject: before.subject,
        public_key: SubjectPublicKeyInfoOwned::from_der(&key.public_key_der())?,
        attributes,
    };
    let signature = key.sign(&info.to_der()?)?;
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned::from_der(signature.algorithm_der)?,
        signature: BitString::from_bytes(&signature.bytes)?,
    };
    Ok(request.to_der()?)
}

/// The names that a certificate has or a request asks for: the subject and the subject alternative names. These in any
/// order; everything else has to be the same to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    subject: Vec<u8>,
    alt_names: Vec<Vec<u8>>,
}

impl Names {
    /// Those of a DER certificate.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_certificate(der: &[u8]) -> der::Result<Self> {
        let certificate = x509_cert::Certificate::from_der(der)?.tbs_certificate;
        Self::new(&certificate.subject, &certificate.extensions.unwrap_or_default())
    }

    /// Those of a DER request.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_request(der: &[u8]) -> der::Result<Self> {
        let info = CertReq::from_der(der)?.info;
        Self::new(&info.subject, &requested(&info.attributes)?)
    }

    fn new(subject: &impl Encode, extensions: &[Extension]) -> der::Result<Self> {
        let mut alt_names = Vec::new();
        for extension in extensions.iter().filter(|known| known.extn_id == SUBJECT_ALT_NAME) {
            for name in SubjectAltName::from_der(extension.extn_value.as_bytes())?.0 {
                alt_names.push(name.to_der()?);
            }
        }
        alt_names.sort_unstable();
        Ok(Self { subject: subject.to_der()?, alt_names })
    }
}

/// The extensions that a request asks for.
fn requested(attributes: &Attributes) -> der::Result<Vec<Extension>> {
    let asked = attributes.iter().filter(|attribute| attribute.oid == EXTENSION_REQUEST);
    let mut extensions = Vec::new();
    for value in asked.flat_map(|attribute| attribute.values.iter()) {
        extensions.extend(value.decode_as::<Vec<Extension>>()?);
    }
    Ok(extensions)
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{AltName, Authority, KeyType, Profile, Validity};
    use proptest::prelude::*;

    use super::*;

    fn certificate(name: &str, alt_names: &[AltName]) -> Certificate {
        let validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let mut profile = Profile::client(name, validity);
        profile.alt_names = alt_names.to_vec();
        Certificate::from_der(root.issue(&profile).unwrap().certificate_der).unwrap()
    }

    fn names() -> [AltName; 2] {
        let id = "spiffe://example.org/alice".to_owned();
        [AltName::Uri(id), AltName::Dns("alice.example.org".to_owned())]
    }

    #[test]
    fn a_request_asks_for_the_names_that_the_certificate_has() {
        for kind in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519] {
            let key = KeyPair::generate(kind).unwrap();
            for certificate in [certificate("alice", &names()), certificate("Älice, O=x", &[])] {
                let request = request(&certificate, &key).unwrap();
                let asked = Names::of_request(&request).unwrap();
                assert_eq!(asked, Names::of_certificate(certificate.der()).unwrap());
            }
        }
    }

    #[test]
    fn names_differ_when_one_is_missing_or_another_and_not_by_their_order() {
        let [id, dns] = names();
        let of = |name: &str, alt_names: &[AltName]| {
            Names::of_certificate(certificate(name, alt_names).der()).unwrap()
        };
        let all = of("alice", &names());
        assert_eq!(all, of("alice", &[dns.clone(), id.clone()]));
        for other in [
            of("bob", &names()),
            of("alice", &[]),
            of("alice", std::slice::from_ref(&id)),
            of("alice", &[id.clone(), dns, AltName::Dns("more.example.org".to_owned())]),
            of("alice", &[id, AltName::Email("alice.example.org".to_owned())]),
        ] {
            assert_ne!(all, other);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Names::of_request(&bytes).is_err());
            prop_assert!(Names::of_certificate(&bytes).is_err());
        }

        #[test]
        fn a_damaged_request_gives_an_error_or_names(at in any::<prop::sample::Index>(), with in 1u8..) {
            let key = KeyPair::generate(KeyType::P256).unwrap();
            let mut bytes = request(&certificate("alice", &names()), &key).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            let _ = Names::of_request(&bytes);
            prop_assert!(Names::of_request(&bytes[..at]).is_err());
        }
    }
}
