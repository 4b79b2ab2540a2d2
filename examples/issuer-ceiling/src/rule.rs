//! The decision.

use data_encoding::HEXLOWER;
use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::paths::codes::LIFETIME_TOO_LONG;
use portcullis_guest::paths::{self, Facts, Terms, check_lifetime};
use portcullis_guest::{Acceptance, Attribute, Rejection, Timestamp};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::KeyUsage;

use crate::settings::Settings;

/// None of the listed CAs has issued the certificate.
pub const ISSUER_NOT_LISTED: &str = "issuer-not-listed";

/// Every code that [`Rule::judge`] gives.
pub const CODES: &[&str] = &[ISSUER_NOT_LISTED, LIFETIME_TOO_LONG];

/// The rule with all that it goes by.
#[derive(Debug)]
pub struct Rule {
    settings: Settings,
    issuers: Anchors,
}

impl Rule {
    /// The rule of these settings and listed CAs.
    pub fn new(settings: Settings, issuers: Anchors) -> Self {
        Self { settings, issuers }
    }

    /// Judges a client's certificate at a time.
    ///
    /// # Errors
    /// Why the client may not come in.
    pub fn judge<C: Facts>(
        &self,
        leaf: &C,
        time: Timestamp,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<Acceptance, Rejection> {
        // A path without a CA in between: the listed CA has signed this certificate itself.
        let terms = Terms { time, algorithms, minimum_rsa_bits: 2048 };
        let path =
            paths::verify(leaf, &[], &self.issuers, terms, KeyUsage::client_auth(), |_| Ok(()))
                .map_err(|rejection| {
                    let Rejection { code, detail } = rejection;
                    Rejection::new(ISSUER_NOT_LISTED, format!("{code}: {detail}"))
                })?;

        let spki_sha256 = HEXLOWER.encode(&path.anchor.key.spki_sha256);
        let ceiling = self.settings.ceilings.get(&spki_sha256).copied();
        check_lifetime(leaf, Some(ceiling.unwrap_or(self.settings.maximum_validity_hours)))?;
        Ok(Acceptance {
            attributes: vec![
                Attribute::new("issuer-ceiling.issuer", &path.anchor.subject),
                Attribute::new("issuer-ceiling.issuer-spki-sha256", spki_sha256),
            ],
            ..Acceptance::default()
        })
    }
}
