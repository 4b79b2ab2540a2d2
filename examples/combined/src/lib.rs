//! Accepts a client for whose server name the attributes suffice that earlier policies established. See the README for
//! what that proves.

use std::collections::BTreeMap;

use portcullis_guest::{
    Acceptance, Assets, Attribute, Description, Handshake, Policy, Rejection, Verdict,
};

const ATTRIBUTE_MISSING: &str = "attribute-missing";
const ATTRIBUTE_NOT_ALLOWED: &str = "attribute-not-allowed";
const SERVER_NOT_LISTED: &str = "server-not-listed";

/// The policy, configured.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Combined {
    /// By server name: the attributes that a client must have, each with one of these values.
    servers: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    other_servers: OtherServers,
}

/// What becomes of a client that asks for a server that is not listed.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OtherServers {
    Accept,
    #[default]
    Reject,
}

impl Policy for Combined {
    fn describe() -> Description {
        let codes = [ATTRIBUTE_MISSING, ATTRIBUTE_NOT_ALLOWED, SERVER_NOT_LISTED];
        Description {
            name: "combined".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "What earlier policies established suffices for the server that the client asks for."
                .to_owned(),
            settings_schema: include_str!("settings.schema.json").to_owned(),
            assets: Vec::new(),
            rejection_codes: codes.iter().map(|&code| code.to_owned()).collect(),
        }
    }

    fn configure(settings: &str, _assets: &Assets) -> Result<Self, String> {
        let combined: Self =
            portcullis_guest::settings::parse(settings).map_err(|error| error.to_string())?;
        // The gate hands server names over in lower case.
        match combined.servers.keys().find(|name| **name != name.to_lowercase()) {
            Some(name) => Err(format!("setting `servers` has `{name}`: expected lower case")),
            None => Ok(combined),
        }
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        let server_name = handshake.server_name();
        Ok(self.judge(server_name.as_deref(), &handshake.attributes()).into())
    }
}

portcullis_guest::export!(Combined);

impl Combined {
    fn judge(
        &self,
        server_name: Option<&str>,
        established: &[Attribute],
    ) -> Result<Acceptance, Rejection> {
        let Some(required) = server_name.and_then(|name| self.servers.get(name)) else {
            return match self.other_servers {
                OtherServers::Accept => Ok(Acceptance::default()),
                OtherServers::Reject => {
                    let detail = format!("it asks for `{}`", server_name.unwrap_or_default());
                    Err(Rejection::new(SERVER_NOT_LISTED, detail))
                }
            };
        };
        for (name, values) in required {
            let mut of_client =
                established.iter().filter(|attribute| attribute.name == *name).peekable();
            if of_client.peek().is_none() {
                let detail = format!("no earlier policy established `{name}`");
                return Err(Rejection::new(ATTRIBUTE_MISSING, detail));
            }
            if !of_client.any(|attribute| values.contains(&attribute.value)) {
                let detail = format!("its `{name}` is not one of {}", values.join(", "));
                return Err(Rejection::new(ATTRIBUTE_NOT_ALLOWED, detail));
            }
        }
        Ok(Acceptance::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combined() -> Combined {
        let settings =
            r#"{ "servers": { "a.example.org": { "team": ["x", "y"], "issuer": ["i"] } } }"#;
        portcullis_guest::settings::parse(settings).expect("settings")
    }

    fn code(established: &[(&str, &str)]) -> Option<String> {
        let established: Vec<Attribute> =
            established.iter().map(|(name, value)| Attribute::new(name, *value)).collect();
        combined().judge(Some("a.example.org"), &established).err().map(|rejection| rejection.code)
    }

    #[test]
    fn every_attribute_is_required_and_one_of_its_values_is_enough() {
        assert_eq!(code(&[("team", "y"), ("issuer", "i")]), None);
        assert_eq!(code(&[("team", "z"), ("team", "x"), ("issuer", "i")]), None);
        assert_eq!(code(&[("team", "x")]).as_deref(), Some(ATTRIBUTE_MISSING));
        assert_eq!(code(&[("team", "z"), ("issuer", "i")]).as_deref(), Some(ATTRIBUTE_NOT_ALLOWED));
    }

    #[test]
    fn a_client_that_asks_for_no_server_is_refused() {
        let rejection = combined().judge(None, &[]).expect_err("refused");
        assert_eq!(rejection.code, SERVER_NOT_LISTED);
    }
}
