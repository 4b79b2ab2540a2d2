//! The CAs of each trust domain, from the asset.
//!
//! The asset has the bundle of one trust domain, which the setting `trust-domain` then names, or those of several, which
//! it names itself. It is PEM or the SPIFFE bundle format; [`sections`] reads either.

use std::collections::BTreeMap;

use portcullis_guest::paths::Facts;
use portcullis_guest::paths::anchors::Anchors;

use crate::id::{TrustDomain, TrustDomainError};
use crate::sections::{self, FormatError, Section};
use crate::svid;

/// The bundles. A trust domain without a CA is not there.
#[derive(Debug)]
pub struct Bundles(BTreeMap<TrustDomain, Anchors>);

/// Why an asset cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundlesError {
    /// It is in neither format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It names trust domains, and so does the setting.
    #[error("it names its trust domains itself: leave out the setting `trust-domain`")]
    NamedTwice,
    /// There is no CA in it.
    #[error("no CA of any trust domain is in it: {}", .0.join("; "))]
    NothingLeft(Vec<String>),
    /// A name that is no trust domain's.
    #[error("{place}: the trust domain {problem}")]
    TrustDomain {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        problem: TrustDomainError,
    },
    /// Nothing says of which trust domain it is.
    #[error("nothing says of which trust domain {0} is: give the setting `trust-domain`")]
    Unnamed(String),
}

impl Bundles {
    /// Reads the asset, with `parse` for the facts of a certificate. Gives the bundles, and a line for each entry that
    /// was skipped and for each trust domain of which nothing is left: neither must lock out the clients of the others.
    ///
    /// # Errors
    /// It cannot be read, or no CA is left.
    pub fn parse<C: Facts>(
        content: &[u8],
        trust_domain: Option<&TrustDomain>,
        parse: impl Fn(&[u8]) -> Result<C, String>,
    ) -> Result<(Self, Vec<String>), BundlesError> {
        let mut bundles: BTreeMap<TrustDomain, Anchors> = BTreeMap::new();
        let mut warnings = Vec::new();
        for section in sections::read(content)? {
            let trust_domain = named(&section, trust_domain)?;
            let anchors = bundles.entry(trust_domain.clone()).or_default();
            for found in section.certificates {
                let added = found.der.and_then(|der| {
                    let facts = parse(&der)?;
                    // A CA of another trust domain is here by mistake, and would let in whom it likes.
                    svid::check_authority_id(&facts, &trust_domain)
                        .map_err(|rejection| rejection.detail)?;
                    anchors.add(&der, &facts)
                });
                if let Err(problem) = added {
                    warnings.push(format!("{} is skipped: {problem}", found.place));
                }
            }
        }
        for (empty, _) in bundles.extract_if(.., |_, anchors| anchors.is_empty()) {
            warnings.push(format!("no CA of the trust domain `{empty}` is in it"));
        }
        match bundles.is_empty() {
            true => Err(BundlesError::NothingLeft(warnings)),
            false => Ok((Self(bundles), warnings)),
        }
    }

    /// The CAs of a trust domain.
    pub fn of(&self, trust_domain: &TrustDomain) -> Option<&Anchors> {
        self.0.get(trust_domain)
    }
}

/// The trust domain of a section: its own, or that of the settings.
fn named(section: &Section, setting: Option<&TrustDomain>) -> Result<TrustDomain, BundlesError> {
    let place = section.place.clone();
    match (&section.trust_domain, setting) {
        (Some(_), Some(_)) => Err(BundlesError::NamedTwice),
        (Some(name), None) => {
            TrustDomain::parse(name).map_err(|problem| BundlesError::TrustDomain { place, problem })
        }
        (None, Some(setting)) => Ok(setting.clone()),
        (None, None) => Err(BundlesError::Unnamed(place)),
    }
}
