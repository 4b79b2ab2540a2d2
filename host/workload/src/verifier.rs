//! Whether the other side is who it should be: a server with the SVID of one SPIFFE ID.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use spiffe::SpiffeId;
use spiffe::cert::spiffe_id_from_der;

use crate::api::WorkloadApi;
use crate::material::Material;

/// Believes a server that has the SVID of this ID, by the CAs that the Workload API gives at the moment for the ID's own
/// trust domain (X509-SVID, section 5). The name under which the server was reached says nothing.
pub struct SvidVerifier {
    api: WorkloadApi,
    id: SpiffeId,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a server is not the one that is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotTheServer {
    #[error("it is not known by which CAs to believe it: {0}")]
    NothingToGoBy(String),
    #[error("it is that of `{found}`, not of `{wanted}`")]
    OfAnother { found: SpiffeId, wanted: SpiffeId },
    #[error("it is no SVID: {0}")]
    NoSvid(String),
}

impl SvidVerifier {
    /// Of the server with this ID.
    #[must_use]
    pub fn new(api: WorkloadApi, id: SpiffeId) -> Self {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Self { api, id, algorithms }
    }
}

impl ServerCertVerifier for SvidVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let material = self.api.material();
        let material = material.ok_or_else(|| NotTheServer::NothingToGoBy(self.api.why_not()))?;
        verify(&material, &self.id, end_entity, intermediates, now, self.algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn verify(
    material: &Material,
    wanted: &SpiffeId,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
    algorithms: WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    let authorities = material.authorities(wanted.trust_domain().as_ref());
    roots.add_parsable_certificates(
        authorities.iter().map(|der| CertificateDer::from(der.as_slice())),
    );
    if roots.is_empty() {
        let none = format!("the Workload API gives no CA of `{}`", wanted.trust_domain());
        return Err(NotTheServer::NothingToGoBy(none).into());
    }
    let parsed = ParsedCertificate::try_from(leaf)?;
    let all = algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, all)?;
    let found =
        spiffe_id_from_der(leaf).map_err(|error| NotTheServer::NoSvid(error.to_string()))?;
    match found == *wanted {
        true => Ok(()),
        false => Err(NotTheServer::OfAnother { found, wanted: wanted.clone() }.into()),
    }
}

impl From<NotTheServer> for Error {
    fn from(why: NotTheServer) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
    }
}

impl fmt::Debug for SvidVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SvidVerifier").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{AltName, Authority, Issued, Profile, Validity};
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject as _;
    use spiffe::{TrustDomain, X509Bundle, X509BundleSet, X509Context, X509Svid};

    use super::*;
    use crate::choice::Choice;

    const VALID: Validity = Validity { not_before: 1_700_000_000, not_after: 1_800_000_000 };
    const NOW: i64 = 1_750_000_000;

    fn root(name: &str) -> Authority {
        Authority::root(&Profile::authority(name, VALID)).unwrap()
    }

    fn issue(root: &Authority, uris: &[&str], validity: Validity) -> Issued {
        let names = uris.iter().map(|uri| AltName::Uri((*uri).to_owned())).collect();
        root.issue(&Profile::server("", names, validity)).unwrap()
    }

    /// What an agent gives that has these CAs.
    fn material(bundles: &[(&str, &Authority)]) -> Material {
        let mut set = X509BundleSet::new();
        for (name, root) in bundles {
            let name = TrustDomain::new(name).unwrap();
            let authorities = [root.certificate_der()];
            set.add_bundle(X509Bundle::from_x509_authorities(name, &authorities).unwrap());
        }
        let own = issue(bundles[0].1, &["spiffe://example.org/client"], VALID);
        let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
        let svid = X509Svid::parse_from_der(&own.certificate_der, key.secret_der()).unwrap();
        let message = X509Context::new([Arc::new(svid)], set);
        Material::new(&message, &Choice::First, None, NOW).unwrap().0
    }

    fn verdict(material: &Material, wanted: &str, server: &Issued) -> Result<(), Error> {
        let (leaf, id) =
            (CertificateDer::from(server.certificate_der.clone()), SpiffeId::new(wanted).unwrap());
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW as u64));
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        verify(material, &id, &leaf, &[], now, algorithms)
    }

    fn text(verdict: Result<(), Error>) -> String {
        match verdict.unwrap_err() {
            Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.to_string(),
            error => panic!("{error}"),
        }
    }

    const GATE: &str = "spiffe://example.org/gate";

    #[test]
    fn the_svid_of_the_id_is_believed_whatever_the_trust_domain() {
        let (own, partner) = (root("Own"), root("Partner"));
        let material = material(&[("example.org", &own), ("partner.example", &partner)]);
        verdict(&material, GATE, &issue(&own, &[GATE], VALID)).unwrap();
        let theirs = "spiffe://partner.example/gate";
        verdict(&material, theirs, &issue(&partner, &[theirs], VALID)).unwrap();
    }

    #[test]
    fn that_of_another_id_or_of_none_or_of_several_is_not() {
        let own = root("Own");
        let material = material(&[("example.org", &own)]);
        let other = issue(&own, &["spiffe://example.org/other"], VALID);
        assert_eq!(
            text(verdict(&material, GATE, &other)),
            format!("it is that of `spiffe://example.org/other`, not of `{GATE}`")
        );
        for uris in [&[][..], &[GATE, "spiffe://example.org/other"], &["https://example.org/"]] {
            let reason = text(verdict(&material, GATE, &issue(&own, uris, VALID)));
            assert!(reason.starts_with("it is no SVID"), "{uris:?}: {reason}");
        }
    }

    #[test]
    fn the_cas_of_one_trust_domain_vouch_for_no_other_and_what_has_expired_is_not_believed() {
        let (own, partner) = (root("Own"), root("Partner"));
        let material = material(&[("example.org", &own), ("partner.example", &partner)]);
        let forged = issue(&partner, &[GATE], VALID);
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(verdict(&material, GATE, &forged), Err(unknown));
        let expired = issue(&own, &[GATE], Validity { not_after: NOW - 1, ..VALID });
        let error = verdict(&material, GATE, &expired).unwrap_err();
        let is_expired =
            matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. }));
        assert!(is_expired, "{error}");
        let elsewhere = "spiffe://elsewhere.example/gate";
        let reason = text(verdict(&material, elsewhere, &issue(&own, &[elsewhere], VALID)));
        assert!(reason.contains("no CA of `elsewhere.example`"), "{reason}");
    }
}
