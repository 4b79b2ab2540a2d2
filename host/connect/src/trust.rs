//! How the gate's own certificate is believed.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;

use crate::roots::Roots;

/// How the gate's own certificate is believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// By a path to one of these roots, and the name of the server in it.
    Roots(Roots),
    /// As somebody else decides, who may go by other roots from one moment to the next.
    Verifier {
        /// Who decides.
        verifier: Arc<dyn ServerCertVerifier>,
        /// By which roots, for people.
        origin: String,
    },
}

impl Trust {
    pub(crate) fn origin(&self) -> &str {
        match self {
            Self::Roots(roots) => &roots.origin,
            Self::Verifier { origin, .. } => origin,
        }
    }
}

impl From<Roots> for Trust {
    fn from(roots: Roots) -> Self {
        Self::Roots(roots)
    }
}
