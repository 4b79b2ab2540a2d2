//! Accepts a client whose certificate chains to one of the operator's CAs. See the README for what that proves.

pub mod codes;
mod oid;
mod principal;
pub mod rule;
pub mod settings;

use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::{Assets, Description, Handshake, Policy, Verdict, signatures};

use rule::Rule;
use settings::Settings;

/// The policy, configured.
pub struct CaChainPolicy(Rule);

impl Policy for CaChainPolicy {
    fn describe() -> Description {
        Description {
            name: "ca-chain".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary:
                "The client's certificate chains to a CA of the bundle, for client authentication."
                    .to_owned(),
            settings_schema: settings::SCHEMA.to_owned(),
            assets: vec!["anchors".to_owned()],
            rejection_codes: codes::all().map(str::to_owned).collect(),
        }
    }

    fn configure(settings: &str, assets: &Assets) -> Result<Self, String> {
        let settings = Settings::parse(settings).map_err(|error| error.to_string())?;
        Ok(Self(Rule::new(settings, Anchors::from_asset(assets, "anchors")?)))
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        Ok(self.0.judge(&handshake.chain(), handshake.time(), signatures::ALL).into())
    }
}

portcullis_guest::export!(CaChainPolicy);
