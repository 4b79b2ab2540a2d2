//! Accepts a client whose certificate is a SPIFFE X509-SVID. See the README for what that proves.

pub mod bundles;
pub mod codes;
pub mod id;
pub mod pattern;
pub mod rule;
pub mod sections;
pub mod settings;
pub mod svid;

use portcullis_guest::{
    Assets, Certificate, Description, Handshake, Policy, Verdict, log, signatures,
};

use bundles::Bundles;
use rule::Rule;
use settings::Settings;

/// The policy, configured.
pub struct SpiffeIdPolicy(Rule);

impl Policy for SpiffeIdPolicy {
    fn describe() -> Description {
        Description {
            name: "spiffe-id".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "The client holds an X509-SVID of a trusted domain, and its ID is allowed."
                .to_owned(),
            settings_schema: settings::SCHEMA.to_owned(),
            assets: vec!["bundles".to_owned()],
            rejection_codes: codes::all().map(str::to_owned).collect(),
        }
    }

    fn configure(settings: &str, assets: &Assets) -> Result<Self, String> {
        let settings = Settings::parse(settings).map_err(|error| error.to_string())?;
        let content = assets.require("bundles").map_err(|error| error.to_string())?;
        let trust_domain = settings.trust_domain.as_ref();
        let (bundles, warnings) = Bundles::parse(content, trust_domain, Certificate::parse)
            .map_err(|error| format!("asset `bundles`: {error}"))?;
        for warning in warnings.into_iter().chain(settings.patterns_without_bundle(&bundles)) {
            log::warn(&warning);
        }
        Ok(Self(Rule::new(settings, bundles)))
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        Ok(self.0.judge(&handshake.chain(), handshake.time(), signatures::ALL).into())
    }
}

portcullis_guest::export!(SpiffeIdPolicy);
