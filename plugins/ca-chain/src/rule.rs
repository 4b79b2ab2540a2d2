//! The decision.

use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::paths::{self, Facts, Terms, check_key, check_lifetime, codes, has};
use portcullis_guest::{Acceptance, Attribute, Rejection, Timestamp};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::{
    Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};

use crate::principal;
use crate::settings::{ExtendedKeyUsage, Settings};

/// The rule with all that it goes by.
#[derive(Debug)]
pub struct Rule {
    settings: Settings,
    anchors: Anchors,
}

impl Rule {
    /// The rule of these settings and anchors.
    pub fn new(settings: Settings, anchors: Anchors) -> Self {
        Self { settings, anchors }
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
            return Err(Rejection::new(codes::BAD_CERTIFICATE, "the client sent no certificate"));
        };
        // Path building tries every order of the certificates that fit by name: their number bounds its work.
        let (sent, maximum) = (authorities.len(), self.settings.maximum_intermediates);
        if sent > maximum as usize {
            let detail =
                format!("the client sent {sent} certificates beside its own: at most {maximum}");
            return Err(Rejection::new(codes::PATH_TOO_COMPLEX, detail));
        }

        let minimum_rsa_bits = self.settings.minimum_rsa_bits;
        let terms = Terms { time, algorithms, minimum_rsa_bits };
        let purpose = MeantFor(&self.settings.extended_key_usages);
        let path = paths::verify(leaf, authorities, &self.anchors, terms, purpose, |_| Ok(()))?;
        self.check_leaf(leaf)?;
        let last_second = path.not_after().min(leaf.not_after());
        Ok(Acceptance {
            principal: principal::of(leaf, self.settings.principal)?,
            attributes: vec![
                Attribute::new("ca-chain.anchor", &path.anchor.subject),
                Attribute::new("ca-chain.anchor-sha256", &path.anchor.sha256),
                Attribute::new("ca-chain.depth", path.authorities.len().to_string()),
            ],
            // A certificate is valid in the second of its not-after: the verdict holds to the end of that.
            valid_until: Some(last_second.saturating_add(1)),
        })
    }

    /// What webpki leaves out about the leaf.
    fn check_leaf<C: Facts>(&self, leaf: &C) -> Result<(), Rejection> {
        if let Some(usages) = leaf.key_usages() {
            if has(&usages, "keyCertSign") {
                let detail = "the key usage of the client's own certificate has keyCertSign";
                return Err(Rejection::new(codes::CA_AS_LEAF, detail));
            }
            if !has(&usages, "digitalSignature") {
                let detail = "the key usage of the client's certificate lacks digitalSignature";
                return Err(Rejection::new(codes::WRONG_USAGE, detail));
            }
        }
        // webpki has checked the usages that are there; for it, a certificate without the extension is good for all.
        if !self.settings.allow_absent_extended_key_usage && leaf.extended_key_usages().is_empty() {
            let detail = "the client's certificate has no extended key usage";
            return Err(Rejection::new(codes::WRONG_USAGE, detail));
        }
        let whose = || "the client's certificate".to_owned();
        check_key(&leaf.public_key(), self.settings.minimum_rsa_bits, whose)?;
        check_lifetime(leaf, self.settings.maximum_validity_hours)
    }
}

/// The extended key usages that every certificate of the path must allow, if it has the extension at all.
struct MeantFor<'a>(&'a [ExtendedKeyUsage]);

impl ExtendedKeyUsageValidator for MeantFor<'_> {
    fn validate(&self, present: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let present: Vec<KeyPurposeId<'_>> = present.collect::<Result<_, _>>()?;
        let allowed = |usage: &ExtendedKeyUsage| present.contains(&KeyPurposeId::new(&usage.der));
        if present.is_empty() || self.0.iter().all(allowed) {
            return Ok(());
        }
        // The context can only name usages known at compile time; the code does not depend on it.
        Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required: KeyUsage::client_auth(),
            present: Vec::new(),
        }))
    }
}
