//! The files that the operator named for a policy.

use crate::Asset;

/// The assets of one load.
#[derive(Clone, Debug)]
pub struct Assets(Vec<Asset>);

impl Assets {
    /// Assets from elsewhere than the host: in a test, for instance.
    pub fn new(assets: Vec<Asset>) -> Self {
        Self(assets)
    }

    /// The content of an asset that may be left out.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|asset| asset.name == name).map(|asset| asset.content.as_slice())
    }

    /// The content of an asset that the policy cannot do without.
    ///
    /// # Errors
    /// The asset is not there.
    pub fn require(&self, name: &str) -> Result<&[u8], MissingAsset> {
        self.get(name).ok_or_else(|| MissingAsset { name: name.to_owned() })
    }
}

/// An asset that the policy needs was not given.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("asset `{name}` is missing: name its file in the policy's `assets`")]
pub struct MissingAsset {
    /// The name under which the policy's description lists it.
    pub name: String,
}
