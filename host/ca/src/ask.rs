//! What a certificate is asked to be.

use portcullis_core::Timestamp;
use portcullis_pki::{AltName, KeyType, Profile, Validity};

use crate::name::{self, NameError};

/// What the owner's clock may be behind, in seconds: certificates are valid from so long ago.
pub(crate) const SKEW_SECONDS: i64 = 60;

/// A certificate as it is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The common name.
    pub name: String,
    /// The subject alternative names, as the parsers of this crate give them.
    pub alt_names: Vec<AltName>,
    /// What it is for.
    pub usage: Usage,
    /// How long it is valid from now on, in seconds.
    pub lifetime: i64,
    /// The key that is made for it.
    pub key: KeyType,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// TLS clients.
    #[default]
    Client,
    /// TLS servers.
    Server,
}

impl Ask {
    /// What the certificate says; its SPIFFE ID has to be one of `trust_domain`, where there is one.
    pub(crate) fn profile(
        &self,
        now: Timestamp,
        trust_domain: Option<&str>,
    ) -> Result<Profile, NameError> {
        name::check_common_name(&self.name)?;
        let validity = Validity {
            not_before: now.saturating_sub(SKEW_SECONDS),
            not_after: now.saturating_add(self.lifetime),
        };
        self.check_names(trust_domain)?;
        let mut profile = match self.usage {
            Usage::Client => Profile::client(&self.name, validity),
            Usage::Server => Profile::server(&self.name, Vec::new(), validity),
        };
        profile.alt_names = self.alt_names.clone();
        profile.key = self.key;
        Ok(profile)
    }

    fn check_names(&self, trust_domain: Option<&str>) -> Result<(), NameError> {
        let mut ids = self.alt_names.iter().filter_map(|name| match name {
            AltName::Uri(id) => Some(id.as_str()),
            _ => None,
        });
        if let Some(id) = ids.next()
            && let Some(allowed) = trust_domain
            && name::trust_domain(id) != Some(allowed)
        {
            return Err(NameError::new(
                id,
                "a SPIFFE ID of this authority",
                "it keeps to one trust domain",
            ));
        }
        if let Some(second) = ids.next() {
            // X509-SVID, 2.
            let problem = "a certificate has one SPIFFE ID and no more";
            return Err(NameError::new(second, "acceptable", problem));
        }
        let reachable = |name: &AltName| matches!(name, AltName::Dns(_) | AltName::Ip(_));
        if self.usage == Usage::Server && !self.alt_names.iter().any(reachable) {
            let problem = "clients look for a host name or an address, and it has neither";
            return Err(NameError::new(&self.name, "a server that can be reached", problem));
        }
        Ok(())
    }
}
