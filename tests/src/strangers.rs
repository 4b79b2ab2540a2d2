//! Clients of one CA that never came before: for benches in which nobody is to be known already.

use portcullis_pki::{AltName, Authority, Issued, PathLength, Profile, PublicKey, Validity, oid};
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The organisational unit of every client.
pub const UNIT: &str = "Card Payments";

/// Clients two signatures away from their root, all with one key: what is pinned of one is pinned of all.
pub struct Strangers {
    /// The trust anchor.
    pub root: Authority,
    /// Who issues the clients' certificates.
    pub intermediate: Authority,
    /// The key of all clients, PKCS #8 in PEM.
    pub key_pem: String,
    key: PublicKey,
    validity: Validity,
}

impl Strangers {
    /// Nobody yet.
    #[must_use]
    pub fn new(validity: Validity) -> Self {
        let profile = |name: &str, path_length| Profile {
            ca: Some(path_length),
            ..Profile::authority(name, validity)
        };
        let root = Authority::root(&profile("Root", PathLength::AtMost(1))).expect("a root");
        let intermediate = root
            .intermediate(&profile("Intermediate", PathLength::AtMost(0)))
            .expect("an intermediate");
        let first = intermediate.issue(&client(0, validity)).expect("a certificate");
        let (key, key_pem) = (public_key(&first), first.key_pem);
        Self { root, intermediate, key_pem, key, validity }
    }

    /// The certificate of a client of this number, with a SPIFFE ID of `example.org`: another one at each call.
    #[must_use]
    pub fn client(&self, number: usize) -> Vec<u8> {
        let profile = client(number, self.validity);
        self.intermediate.certify(&profile, &self.key).expect("a certificate").certificate_der
    }
}

fn client(number: usize, validity: Validity) -> Profile {
    let mut client = Profile::client(&format!("client-{number}"), validity);
    client.subject.push((oid::ORGANIZATIONAL_UNIT.to_owned(), UNIT.to_owned()));
    client.alt_names.push(AltName::Uri(format!("spiffe://example.org/agent/client-{number}")));
    client
}

fn public_key(issued: &Issued) -> PublicKey {
    let certificate = CertificateDer::from(issued.certificate_der.as_slice());
    let parsed = EndEntityCert::try_from(&certificate).expect("our own certificate");
    PublicKey::from_der(&parsed.subject_public_key_info()).expect("our own key")
}
