//! The decision.

use std::cell::RefCell;
use std::time::Duration;

use portcullis_guest::{Acceptance, Attribute, PublicKey, Rejection, Timestamp, timestamp_text};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath,
};

use crate::anchors::{Anchor, Anchors};
use crate::codes;
use crate::facts::Facts;
use crate::principal;
use crate::settings::{ExtendedKeyUsage, Settings};

/// The rule with all that it goes by.
#[derive(Debug)]
pub struct Rule {
    settings: Settings,
    anchors: Anchors,
}

/// What a verified path says.
struct Proven<'a> {
    anchor: &'a Anchor,
    /// CA certificates between the leaf and the anchor.
    depth: usize,
    /// The earliest last second of the anchor and those between.
    not_after: Timestamp,
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
        let Some((leaf, issuers)) = chain.split_first() else {
            return Err(Rejection::new(codes::BAD_CERTIFICATE, "the client sent no certificate"));
        };
        // Path building tries every order of the certificates that fit by name: their number bounds its work.
        let maximum = self.settings.maximum_intermediates;
        if issuers.len() > maximum as usize {
            let sent = issuers.len();
            let detail =
                format!("the client sent {sent} certificates beside its own: at most {maximum}");
            return Err(Rejection::new(codes::PATH_TOO_COMPLEX, detail));
        }

        let proven = self.prove(leaf, issuers, time, algorithms)?;
        self.check_leaf(leaf)?;
        let last_second = proven.not_after.min(self.check_lifetime(leaf)?);
        Ok(Acceptance {
            principal: principal::of(leaf, self.settings.principal)?,
            attributes: vec![
                Attribute::new("ca-chain.anchor", &proven.anchor.subject),
                Attribute::new("ca-chain.anchor-sha256", &proven.anchor.sha256),
                Attribute::new("ca-chain.depth", proven.depth.to_string()),
            ],
            // A certificate is valid in the second of its not-after: the verdict holds to the end of that.
            valid_until: Some(last_second.saturating_add(1)),
        })
    }

    /// Finds a path from the leaf to an anchor that webpki and [`check_path`](Self::check_path) both take.
    fn prove<C: Facts>(
        &self,
        leaf: &C,
        issuers: &[C],
        time: Timestamp,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<Proven<'_>, Rejection> {
        let leaf_der = CertificateDer::from(leaf.der());
        let ders: Vec<CertificateDer<'_>> =
            issuers.iter().map(|issuer| CertificateDer::from(issuer.der())).collect();
        let leaf = EndEntityCert::try_from(&leaf_der).map_err(|error| codes::rejection(&error))?;

        // webpki goes on looking when a path is not taken, and its own errors cannot carry ours.
        let checked = RefCell::new(None);
        let check = |path: &VerifiedPath<'_>| {
            let result = self.check_path(path, issuers, &ders, time);
            let taken = result.is_ok();
            checked.replace(Some(result));
            if taken { Ok(()) } else { Err(Error::CertDistrusted) }
        };
        let verified = leaf.verify_for_usage(
            algorithms,
            &self.anchors.trusted,
            &ders,
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time).unwrap_or(0))),
            MeantFor(&self.settings.extended_key_usages),
            None,
            Some(&check),
        );
        match (verified.map(|_| ()), checked.into_inner()) {
            (Ok(()), Some(Ok(proven))) => Ok(proven),
            (Ok(()) | Err(Error::CertDistrusted), Some(Err(rejection))) => Err(rejection),
            (Err(Error::InvalidSignatureForPublicKey), _) => {
                Err(self.explain_bad_signature(&leaf, issuers, &ders))
            }
            (Err(error), _) => Err(codes::rejection(&error)),
            (Ok(()), None) => Err(codes::rejection(&Error::UnknownIssuer)),
        }
    }

    /// What webpki leaves out: the anchor's validity, the key usage of the CAs, and the size of their keys.
    fn check_path<C: Facts>(
        &self,
        path: &VerifiedPath<'_>,
        issuers: &[C],
        ders: &[CertificateDer<'_>],
        time: Timestamp,
    ) -> Result<Proven<'_>, Rejection> {
        let unknown = || codes::rejection(&Error::UnknownIssuer);
        let anchor = self.anchors.facts_of(path.anchor()).ok_or_else(unknown)?;
        check_validity(anchor, time)?;
        self.check_key(&anchor.key, || format!("the anchor `{}`", anchor.subject))?;

        let mut proven = Proven { anchor, depth: 0, not_after: anchor.not_after };
        for certificate in path.intermediate_certificates() {
            let address = certificate.der().as_ptr();
            let index = ders.iter().position(|der| der.as_ptr() == address).ok_or_else(unknown)?;
            let issuer = issuers.get(index).ok_or_else(unknown)?;
            if issuer.key_usages().is_some_and(|usages| !has(&usages, "keyCertSign")) {
                let detail = format!("the CA `{}` may not issue certificates", issuer.subject());
                return Err(Rejection::new(codes::WRONG_USAGE, detail));
            }
            self.check_key(&issuer.public_key(), || format!("the CA `{}`", issuer.subject()))?;
            proven.not_after = proven.not_after.min(issuer.not_after());
            proven.depth += 1;
        }
        Ok(proven)
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
        self.check_key(&leaf.public_key(), || "the client's certificate".to_owned())
    }

    /// Gives the last second of the leaf.
    fn check_lifetime<C: Facts>(&self, leaf: &C) -> Result<Timestamp, Rejection> {
        let not_after = leaf.not_after();
        if let Some(hours) = self.settings.maximum_validity_hours {
            // Both ends belong to the validity (RFC 5280, 4.1.2.5).
            let seconds = not_after.saturating_sub(leaf.not_before()).saturating_add(1);
            if seconds > i64::from(hours) * 3600 {
                let detail =
                    format!("the client's certificate is valid for {seconds} s: at most {hours} h");
                return Err(Rejection::new(codes::LIFETIME_TOO_LONG, detail));
            }
        }
        Ok(not_after)
    }

    fn check_key(&self, key: &PublicKey, whose: impl Fn() -> String) -> Result<(), Rejection> {
        match self.weakness(key) {
            Some(weakness) => {
                Err(Rejection::new(codes::WEAK_KEY, format!("{} has {weakness}", whose())))
            }
            None => Ok(()),
        }
    }

    fn weakness(&self, key: &PublicKey) -> Option<String> {
        let minimum = self.settings.minimum_rsa_bits;
        match key.algorithm.as_str() {
            "rsa" if key.bits < minimum => {
                Some(format!("an RSA key of {} bits: at least {minimum}", key.bits))
            }
            "rsa" | "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "ed25519" => None,
            // ML-DSA-44, -65 and -87.
            "2.16.840.1.101.3.4.3.17" | "2.16.840.1.101.3.4.3.18" | "2.16.840.1.101.3.4.3.19" => {
                None
            }
            other => Some(format!("a key of algorithm `{other}`, which is not accepted")),
        }
    }

    /// The host verifies no signature of a key that is too small, which looks like a wrong signature from here.
    fn explain_bad_signature<C: Facts>(
        &self,
        leaf: &EndEntityCert<'_>,
        issuers: &[C],
        ders: &[CertificateDer<'_>],
    ) -> Rejection {
        let parsed: Vec<_> =
            ders.iter().filter_map(|der| EndEntityCert::try_from(der).ok()).collect();
        let names = [leaf.issuer()].into_iter().chain(parsed.iter().map(|one| one.issuer()));
        let of_issuers = issuers
            .iter()
            .map(|one| self.check_key(&one.public_key(), || format!("the CA `{}`", one.subject())));
        let of_anchors = names
            .flat_map(|name| self.anchors.of_subject(name))
            .map(|one| self.check_key(&one.key, || format!("the anchor `{}`", one.subject)));
        of_issuers
            .chain(of_anchors)
            .find_map(Result::err)
            .unwrap_or_else(|| codes::rejection(&Error::InvalidSignatureForPublicKey))
    }
}

fn check_validity(anchor: &Anchor, time: Timestamp) -> Result<(), Rejection> {
    let (code, end) = match time {
        early if early < anchor.not_before => (codes::NOT_YET_VALID, anchor.not_before),
        late if late > anchor.not_after => (codes::EXPIRED, anchor.not_after),
        _ => return Ok(()),
    };
    let (subject, verb) =
        (&anchor.subject, if code == codes::EXPIRED { "ended" } else { "begins" });
    let detail =
        format!("the validity of the anchor `{subject}` {verb} at {}", timestamp_text(end));
    Err(Rejection::new(code, detail))
}

fn has(usages: &[String], wanted: &str) -> bool {
    usages.iter().any(|usage| usage == wanted)
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
