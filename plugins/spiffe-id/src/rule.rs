//! The decision.

use portcullis_guest::paths::{self, Facts, Terms, check_key, check_lifetime, codes as path_codes};
use portcullis_guest::{Acceptance, Attribute, Rejection, Timestamp};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::KeyUsage;

use crate::bundles::Bundles;
use crate::codes;
use crate::id::SpiffeId;
use crate::pattern::Pattern;
use crate::settings::Settings;
use crate::svid;

/// Patterns that the detail of a rejection names.
const PATTERNS_SHOWN: usize = 5;

/// The rule with all that it goes by.
#[derive(Debug)]
pub struct Rule {
    settings: Settings,
    bundles: Bundles,
}

impl Rule {
    /// The rule of these settings and bundles.
    pub fn new(settings: Settings, bundles: Bundles) -> Self {
        Self { settings, bundles }
    }

    /// Judges a chain, the leaf first, the others in any order, at a time.
    ///
    /// # Errors
    /// Why the client may not come in.
    pub fn judge<C: Facts>(
        &self,
        chain: &[C],
        time: Timestamp,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<Acceptance, Rejection> {
        let Some((leaf, authorities)) = chain.split_first() else {
            let detail = "the client sent no certificate";
            return Err(Rejection::new(path_codes::BAD_CERTIFICATE, detail));
        };
        // Path building tries every order of the certificates that fit by name: their number bounds its work.
        let (sent, maximum) = (authorities.len(), self.settings.maximum_intermediates);
        if sent > maximum as usize {
            let detail =
                format!("the client sent {sent} certificates beside its own: at most {maximum}");
            return Err(Rejection::new(path_codes::PATH_TOO_COMPLEX, detail));
        }

        let id = svid::leaf(leaf)?;
        let terms = Terms { time, algorithms, minimum_rsa_bits: self.settings.minimum_rsa_bits };
        let last_second = self.prove(&id, leaf, authorities, terms)?;
        // Only now: whoever cannot prove an ID does not learn from the alert which ones are allowed.
        self.check_allowed(&id)?;
        Ok(Acceptance {
            principal: Some(id.to_string()),
            attributes: vec![
                Attribute::new("spiffe-id.trust-domain", id.trust_domain().to_string()),
                Attribute::new("spiffe-id.path", id.path()),
            ],
            // A certificate is valid in the second of its not-after: the verdict holds to the end of that.
            valid_until: Some(last_second.saturating_add(1)),
        })
    }

    /// Finds a path to the bundle of the ID's own trust domain, and gives the last second of all that is on it.
    fn prove<C: Facts>(
        &self,
        id: &SpiffeId,
        leaf: &C,
        authorities: &[C],
        terms: Terms<'_>,
    ) -> Result<Timestamp, Rejection> {
        let trust_domain = id.trust_domain();
        let anchors = self.bundles.of(trust_domain).ok_or_else(|| {
            let detail = format!("there is no bundle of the trust domain of `{id}`");
            Rejection::new(codes::UNKNOWN_TRUST_DOMAIN, detail)
        })?;
        let purpose = KeyUsage::client_auth();
        let path = paths::verify(leaf, authorities, anchors, terms, purpose, |path| {
            path.authorities.iter().try_for_each(|ca| svid::check_authority(*ca, trust_domain))
        })?;
        let whose = || "the client's certificate".to_owned();
        check_key(&leaf.public_key(), terms.minimum_rsa_bits, whose)?;
        check_lifetime(leaf, self.settings.maximum_validity_hours)?;
        Ok(path.not_after().min(leaf.not_after()))
    }

    fn check_allowed(&self, id: &SpiffeId) -> Result<(), Rejection> {
        match &self.settings.patterns {
            Some(patterns) if !patterns.iter().any(|pattern| pattern.matches(id)) => {
                let detail = format!("no pattern matches `{id}`: {}", some_of(patterns));
                Err(Rejection::new(codes::SPIFFE_ID_NOT_ALLOWED, detail))
            }
            _ => Ok(()),
        }
    }
}

/// The first patterns, and how many there are more.
fn some_of(patterns: &[Pattern]) -> String {
    let shown: Vec<String> = patterns
        .iter()
        .take(PATTERNS_SHOWN)
        .map(|pattern| format!("`{}`", pattern.text()))
        .collect();
    let more = match patterns.len().saturating_sub(PATTERNS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}
