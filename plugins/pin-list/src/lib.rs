//! Accepts a client whose key or certificate stands in a list. See the README for what that proves.

pub mod line;
pub mod list;
pub mod rule;
pub mod settings;

use portcullis_guest::{Assets, Description, Handshake, Policy, Verdict};

use list::PinList;
use rule::Leaf;
use settings::Settings;

/// The policy, configured.
pub struct PinListPolicy {
    settings: Settings,
    pins: PinList,
}

impl Policy for PinListPolicy {
    fn describe() -> Description {
        Description {
            name: "pin-list".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "The client's key or certificate stands in the pin list.".to_owned(),
            settings_schema: settings::SCHEMA.to_owned(),
            assets: vec!["pins".to_owned()],
            rejection_codes: rule::CODES.iter().map(|&code| code.to_owned()).collect(),
        }
    }

    fn configure(settings: &str, assets: &Assets) -> Result<Self, String> {
        let settings = Settings::parse(settings).map_err(|error| error.to_string())?;
        let content = assets.require("pins").map_err(|error| error.to_string())?;
        let pins = PinList::parse(content).map_err(|error| format!("asset `pins`, {error}"))?;
        settings.check(&pins).map_err(|error| error.to_string())?;
        if pins.is_empty() {
            portcullis_guest::log::warn("the pin list is empty: no client is accepted");
        }
        Ok(Self { settings, pins })
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        let chain = handshake.chain();
        let leaf = chain.first().ok_or("the client sent no certificate")?;
        let leaf = Leaf { spki_sha256: leaf.public_key().spki_sha256, sha256: leaf.sha256() };
        Ok(rule::judge(&self.settings, &self.pins, &leaf, handshake.time()).into())
    }
}

portcullis_guest::export!(PinListPolicy);
