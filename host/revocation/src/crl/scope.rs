//! Which certificates a CRL speaks for (RFC 5280, 5.2.5 and 6.3.3).

use portcullis_core::Certificate;

use super::error::{CrlError, UseError};
use crate::der::{DerError, Reader, SEQUENCE, constructed, context};
use crate::name::NameKey;

const CRL_DISTRIBUTION_POINTS: &str = "2.5.29.31";
const DIRECTORY_NAME: u8 = constructed(4);
const URI: u8 = context(6);

/// The certificates that a CRL covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The distribution point's names; none when the CRL is for all of them.
    names: Option<Vec<PointName>>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    All,
    Attribute,
    Ca,
    User,
}

/// A name of a distribution point.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PointName {
    Directory(NameKey),
    /// The whole encoding of another GeneralName.
    Other(Box<[u8]>),
}

impl Scope {
    /// Reads an IssuingDistributionPoint; `issuer` is the content of the CRL issuer's Name.
    pub(crate) fn read(value: &[u8], issuer: &[u8]) -> Result<Self, CrlError> {
        let mut outer = Reader::new(value);
        let mut fields = outer.inside(SEQUENCE)?;
        outer.end()?;
        let names = match fields.optional(constructed(0))? {
            Some(name) => Some(point_names(name, issuer)?),
            None => None,
        };
        let user = fields.boolean(context(1))?;
        let ca = fields.boolean(context(2))?;
        let some_reasons = fields.optional(context(3))?.is_some();
        let indirect = fields.boolean(context(4))?;
        let attribute = fields.boolean(context(5))?;
        fields.end()?;
        if indirect {
            return Err(CrlError::Indirect);
        }
        if some_reasons {
            return Err(CrlError::Reasons);
        }
        let kind = match (user, ca, attribute) {
            (false, false, false) => Kind::All,
            (true, false, false) => Kind::User,
            (false, true, false) => Kind::Ca,
            (false, false, true) => Kind::Attribute,
            _ => return Err(CrlError::Invalid("it is only for two kinds of certificates at once")),
        };
        Ok(Self { names, kind })
    }

    /// Whether the CRL speaks for this certificate, whose issuer is the CRL's.
    pub(crate) fn covers(&self, certificate: &Certificate, issuer: &[u8]) -> Result<(), UseError> {
        match self.kind {
            Kind::User if certificate.is_ca() => {
                return Err(UseError::Scope("it is only for certificates that are no CA's"));
            }
            Kind::Ca if !certificate.is_ca() => {
                return Err(UseError::Scope("it is only for CA certificates"));
            }
            Kind::Attribute => {
                return Err(UseError::Scope("it is only for attribute certificates"));
            }
            _ => {}
        }
        let Some(names) = &self.names else { return Ok(()) };
        let points = distribution_points(certificate, issuer)
            .map_err(|_| UseError::Scope("the certificate's distribution points are malformed"))?;
        let Some(points) = points else {
            // A certificate without distribution points counts as one that names its issuer as the point.
            let issuer = NameKey::of(issuer).ok().map(PointName::Directory);
            return match issuer {
                Some(issuer) if names.contains(&issuer) => Ok(()),
                _ => Err(UseError::Scope("it is for another distribution point")),
            };
        };
        let matching = |point: &&Point<'_>| point.names.iter().any(|name| names.contains(name));
        match points.iter().filter(matching).map(|point| point.some_reasons).min() {
            Some(false) => Ok(()),
            Some(true) => Err(UseError::Scope(
                "the certificate names its distribution point for some reasons only",
            )),
            None => Err(UseError::Scope("it is for another distribution point")),
        }
    }
}

/// One distribution point of a certificate, whose CRLs the certificate's own issuer signs.
struct Point<'a> {
    names: Vec<PointName>,
    uris: Vec<&'a str>,
    some_reasons: bool,
}

/// The URIs at which a certificate says that complete CRLs of its own issuer are (RFC 5280, 4.2.1.13).
pub(crate) fn distribution_uris<'a>(
    certificate: &'a Certificate,
    issuer: &[u8],
) -> Result<Vec<&'a str>, DerError> {
    let points = distribution_points(certificate, issuer)?.unwrap_or_default();
    Ok(points
        .into_iter()
        .filter(|point| !point.some_reasons)
        .flat_map(|point| point.uris)
        .collect())
}

/// None when the certificate has no such extension.
fn distribution_points<'a>(
    certificate: &'a Certificate,
    issuer: &[u8],
) -> Result<Option<Vec<Point<'a>>>, DerError> {
    let Some(value) = certificate.extension(CRL_DISTRIBUTION_POINTS) else { return Ok(None) };
    let issuer = Reader::new(issuer).value(SEQUENCE)?;
    let mut list = Reader::new(value).inside(SEQUENCE)?;
    let mut points = Vec::new();
    while !list.is_empty() {
        let mut fields = list.inside(SEQUENCE)?;
        let name = fields.optional(constructed(0))?;
        let some_reasons = fields.optional(context(1))?.is_some();
        let other_signer = fields.optional(constructed(2))?.is_some();
        fields.end()?;
        // With a cRLIssuer the CRL is an indirect one, which is not used.
        if let (Some(name), false) = (name, other_signer) {
            let (names, uris) = (point_names(name, issuer)?, uris(name)?);
            points.push(Point { names, uris, some_reasons });
        }
    }
    Ok(Some(points))
}

/// The names of a DistributionPointName; one that is relative is relative to `issuer`.
fn point_names(value: &[u8], issuer: &[u8]) -> Result<Vec<PointName>, DerError> {
    let mut reader = Reader::new(value);
    let choice = reader.any()?;
    reader.end()?;
    if choice.tag == constructed(1) {
        return Ok(vec![PointName::Directory(NameKey::of_relative_names(issuer, choice.value)?)]);
    }
    if choice.tag != constructed(0) {
        return Err(DerError::new("an unexpected tag"));
    }
    let mut general = Reader::new(choice.value);
    let mut names = Vec::new();
    while !general.is_empty() {
        let name = general.any()?;
        names.push(if name.tag == DIRECTORY_NAME {
            PointName::Directory(NameKey::of(name.value)?)
        } else {
            PointName::Other(name.whole.into())
        });
    }
    Ok(names)
}

fn uris(value: &[u8]) -> Result<Vec<&str>, DerError> {
    let Some(general) = Reader::new(value).optional(constructed(0))? else {
        return Ok(Vec::new());
    };
    let mut general = Reader::new(general);
    let mut uris = Vec::new();
    while !general.is_empty() {
        let name = general.any()?;
        if name.tag == URI {
            uris.extend(std::str::from_utf8(name.value).ok());
        }
    }
    Ok(uris)
}
