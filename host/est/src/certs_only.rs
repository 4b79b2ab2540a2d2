//! Certificates without a signature around them: degenerate SignedData (PKCS #7; RFC 5652, 5.2).

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfos};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Any, ObjectIdentifier, SetOfVec};
use x509_cert::der::{self, Decode as _, Encode as _};

/// The most certificates that are read.
pub const MAXIMUM_CERTIFICATES: usize = 32;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Why bytes are not certificates in PKCS #7.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCertsOnly {
    /// It holds no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// Not DER, not SignedData, or certificates that are none.
    #[error("not certificates in PKCS #7: {0}")]
    Malformed(String),
    /// More than [`MAXIMUM_CERTIFICATES`].
    #[error("{0} certificates are more than {MAXIMUM_CERTIFICATES}")]
    TooMany(usize),
}

/// Puts DER certificates into a message. They are a set: the order is not kept.
///
/// # Errors
/// [`NotCertsOnly::Malformed`] if one of them is no certificate, or stands twice.
pub fn certs_only(certificates: &[&[u8]]) -> Result<Vec<u8>, NotCertsOnly> {
    let certificates = certificates.iter().map(|&der| Certificate::from_der(der));
    let choices = certificates.map(|certificate| certificate.map(CertificateChoices::Certificate));
    let choices: Vec<_> = choices.collect::<Result<_, _>>().map_err(malformed)?;
    message(choices).map_err(malformed)
}

/// The field of CRLs is optional (RFC 5652, 5.1), and there are none.
fn message(choices: Vec<CertificateChoices>) -> der::Result<Vec<u8>> {
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo { econtent_type: DATA, econtent: None },
        certificates: Some(CertificateSet(SetOfVec::try_from(choices)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    };
    ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()
}

/// The DER certificates of a message, in no order.
///
/// # Errors
/// Any [`NotCertsOnly`].
pub fn certificates(message: &[u8]) -> Result<Vec<Vec<u8>>, NotCertsOnly> {
    let message = ContentInfo::from_der(message).map_err(malformed)?;
    if message.content_type != SIGNED_DATA {
        return Err(NotCertsOnly::Malformed("it is not SignedData".to_owned()));
    }
    let signed: SignedData = message.content.decode_as().map_err(malformed)?;
    let set = signed.certificates.map(|set| set.0).unwrap_or_default();
    if set.is_empty() {
        return Err(NotCertsOnly::Empty);
    }
    if set.len() > MAXIMUM_CERTIFICATES {
        return Err(NotCertsOnly::TooMany(set.len()));
    }
    let certificates = set.iter().filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate.to_der()),
        // Of another format.
        CertificateChoices::Other(_) => None,
    });
    certificates.collect::<Result<_, _>>().map_err(malformed)
}

fn malformed(error: der::Error) -> NotCertsOnly {
    NotCertsOnly::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcullis_pki::{Authority, Profile, Validity};
    use proptest::prelude::*;

    use super::*;

    fn three() -> Vec<Vec<u8>> {
        let validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let issue = |name| root.issue(&Profile::client(name, validity)).unwrap().certificate_der;
        vec![root.certificate_der().to_vec(), issue("one"), issue("two")]
    }

    fn message(certificates: &[Vec<u8>]) -> Vec<u8> {
        certs_only(&certificates.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn certificates_come_back_byte_for_byte() {
        let three = three();
        let read: BTreeSet<_> = certificates(&message(&three)).unwrap().into_iter().collect();
        assert_eq!(read, three.into_iter().collect());
    }

    #[test]
    fn what_holds_no_certificate_is_refused() {
        assert_eq!(certificates(&message(&[])), Err(NotCertsOnly::Empty));
        for bytes in [&b""[..], b"hello", &three()[0]] {
            assert!(matches!(certificates(bytes), Err(NotCertsOnly::Malformed(_))));
        }
        assert!(matches!(certs_only(&[b"hello"]), Err(NotCertsOnly::Malformed(_))));
        let mut longer = message(&three());
        longer.push(0);
        assert!(matches!(certificates(&longer), Err(NotCertsOnly::Malformed(_))));
    }

    #[test]
    fn more_certificates_than_any_chain_has_are_refused() {
        let validity = Validity { not_before: 1_790_000_000, not_after: 1_800_000_000 };
        let root = Authority::root(&Profile::authority("Test", validity)).unwrap();
        let many: Vec<_> = (0..=MAXIMUM_CERTIFICATES)
            .map(|_| root.issue(&Profile::client("one", validity)).unwrap().certificate_der)
            .collect();
        let count = MAXIMUM_CERTIFICATES + 1;
        assert_eq!(certificates(&message(&many)), Err(NotCertsOnly::TooMany(count)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = certificates(&bytes);
        }

        #[test]
        fn a_damaged_message_gives_an_error_or_certificates(at in any::<prop::sample::Index>(), with in 1u8..) {
            let mut bytes = message(&three());
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            if let Ok(read) = certificates(&bytes) {
                prop_assert!((1..=MAXIMUM_CERTIFICATES).contains(&read.len()));
            }
            prop_assert!(certificates(&bytes[..at]).is_err());
        }
    }
}
