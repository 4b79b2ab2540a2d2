//! Accepts a client whose certificate was issued by a listed CA, for no longer than that CA may. See the README for what
//! that proves.

pub mod rule;
pub mod settings;

use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::{Assets, Description, Handshake, Policy, Verdict, signatures};

use rule::Rule;
use settings::Settings;

/// The policy, configured.
pub struct IssuerCeiling(Rule);

impl Policy for IssuerCeiling {
    fn describe() -> Description {
        Description {
            name: "issuer-ceiling".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary:
                "A listed CA has issued the client's certificate, for no longer than that CA may."
                    .to_owned(),
            settings_schema: settings::SCHEMA.to_owned(),
            assets: vec!["issuers".to_owned()],
            rejection_codes: rule::CODES.iter().map(|&code| code.to_owned()).collect(),
        }
    }

    fn configure(settings: &str, assets: &Assets) -> Result<Self, String> {
        let settings = Settings::parse(settings).map_err(|error| error.to_string())?;
        Ok(Self(Rule::new(settings, Anchors::from_asset(assets, "issuers")?)))
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        let chain = handshake.chain();
        let leaf = chain.first().ok_or("the client sent no certificate")?;
        Ok(self.0.judge(leaf, handshake.time(), signatures::ALL).into())
    }
}

portcullis_guest::export!(IssuerCeiling);
