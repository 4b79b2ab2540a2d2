//! Where a certificate says that its revocation can be asked about.

use portcullis_pki::Extension;
use x509_cert::der::asn1::{Ia5String, ObjectIdentifier};
use x509_cert::der::{self, Encode};
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax};

use crate::error::Error;
use crate::index::Terms;

/// id-ad-ocsp (RFC 5280, 4.2.2.1).
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const AUTHORITY_INFORMATION_ACCESS: &str = "1.3.6.1.5.5.7.1.1";
const CRL_DISTRIBUTION_POINTS: &str = "2.5.29.31";

/// The CRL distribution point and the OCSP responder (RFC 5280, 4.2.1.13 and 4.2.2.1), as far as the authority has them.
pub(crate) fn extensions(terms: &Terms) -> Result<Vec<Extension>, Error> {
    let mut extensions = Vec::new();
    if let Some(url) = &terms.crl_url {
        let name = DistributionPointName::FullName(vec![uri(url)?]);
        let points = CrlDistributionPoints(vec![DistributionPoint {
            distribution_point: Some(name),
            reasons: None,
            crl_issuer: None,
        }]);
        extensions.push(extension(CRL_DISTRIBUTION_POINTS, &points)?);
    }
    if let Some(url) = &terms.ocsp_url {
        let access = AuthorityInfoAccessSyntax(vec![AccessDescription {
            access_method: OCSP,
            access_location: uri(url)?,
        }]);
        extensions.push(extension(AUTHORITY_INFORMATION_ACCESS, &access)?);
    }
    Ok(extensions)
}

fn uri(url: &str) -> Result<GeneralName, Error> {
    Ia5String::new(url).map(GeneralName::UniformResourceIdentifier).map_err(failed)
}

fn extension(oid: &str, value: &impl Encode) -> Result<Extension, Error> {
    let value = value.to_der().map_err(failed)?;
    Ok(Extension { oid: oid.to_owned(), critical: false, value })
}

fn failed(error: der::Error) -> Error {
    Error::Encoding(error.to_string())
}
