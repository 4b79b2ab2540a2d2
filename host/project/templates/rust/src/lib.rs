//! Accepts a client whose certificate carries one of the DNS names of the settings, and names the client after it.

use portcullis_guest::{
    Acceptance, Assets, Description, Handshake, Policy, Rejection, SubjectAltName, Verdict,
};

/// The policy, configured. What this holds is made once, at load, and costs nothing in a handshake.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DnsNames {
    dns_names: Vec<String>,
}

impl Policy for DnsNames {
    fn describe() -> Description {
        Description {
            name: "my-policy".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "The client's certificate carries a DNS name of the settings.".to_owned(),
            settings_schema: include_str!("settings.schema.json").to_owned(),
            assets: Vec::new(),
            rejection_codes: vec!["name-not-listed".to_owned()],
        }
    }

    fn configure(settings: &str, _assets: &Assets) -> Result<Self, String> {
        portcullis_guest::settings::parse(settings).map_err(|error| error.to_string())
    }

    fn evaluate(&self, handshake: &Handshake) -> Result<Verdict, String> {
        let chain = handshake.chain();
        let leaf = chain.first().ok_or("the client sent no certificate")?;
        Ok(self.judge(&leaf.subject_alt_names()).into())
    }
}

portcullis_guest::export!(DnsNames);

impl DnsNames {
    /// The decision, on plain values: `cargo test` runs it on any machine.
    fn judge(&self, names: &[SubjectAltName]) -> Result<Acceptance, Rejection> {
        let of_client: Vec<&str> = names
            .iter()
            .filter(|name| name.kind == "dns")
            .map(|name| name.text.as_str())
            .collect();
        let listed = self
            .dns_names
            .iter()
            .find(|listed| of_client.iter().any(|name| name.eq_ignore_ascii_case(listed)));
        match listed {
            Some(name) => {
                Ok(Acceptance { principal: Some(name.clone()), ..Acceptance::default() })
            }
            None => {
                let detail = format!("none of [{}] is listed", of_client.join(", "));
                Err(Rejection::new("name-not-listed", detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_names_is_refused() {
        let policy = DnsNames { dns_names: vec!["agent.example.org".to_owned()] };
        let rejection = policy.judge(&[]).expect_err("refused");
        assert_eq!(rejection.code, "name-not-listed");
    }
}
