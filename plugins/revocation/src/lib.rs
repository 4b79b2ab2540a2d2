//! Accepts a client whose certificates were not revoked. See the README for what that proves.

pub mod codes;
mod exemption;
pub mod host;
pub mod inquiry;
pub mod rule;
pub mod settings;

use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::{Assets, Description, Handshake, Policy, Verdict};

use host::Gate;
use rule::Rule;
use settings::Settings;

/// The policy, configured.
pub struct RevocationPolicy(Rule);

impl Policy for RevocationPolicy {
    fn describe() -> Description {
        Description {
            name: "revocation".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "No certificate from the client's to the CA of the bundle was revoked."
                .to_owned(),
            settings_schema: settings::SCHEMA.to_owned(),
            assets: vec!["anchors".to_owned()],
            rejection_codes: codes::ALL.iter().map(|&code| code.to_owned()).collect(),
        }
    }

    fn configure(settings: &str, assets: &Assets) -> Result<Self, String> {
        let settings = Settings::parse(settings).map_err(|error| error.to_string())?;
        Ok(Self(Rule::new(settings, Anchors::from_asset(assets, "anchors")?)))
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        Ok(self.0.judge(&Gate, &handshake.chain(), handshake.time())?.into())
    }
}

portcullis_guest::export!(RevocationPolicy);
