//! What one message of the agent comes to.

use std::collections::BTreeMap;

use portcullis_core::{Timestamp, pem};
use spiffe::{X509Bundle, X509Context};

use crate::choice::Choice;
use crate::svid::{Svid, SvidError};

/// SVIDs in one message. A message has at most 4 MiB in all, which is gRPC's own limit.
const MAXIMUM_SVIDS: usize = 100;
/// Trust domains in one message, the own one included.
const MAXIMUM_TRUST_DOMAINS: usize = 1000;

/// The SVID to use and the CAs of every trust domain, as one message gave them.
#[derive(Clone, Debug)]
pub struct Material {
    svid: Svid,
    /// DER, by the trust domain's name.
    bundles: BTreeMap<String, Vec<Vec<u8>>>,
}

/// Why a message is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It does not have the SVID any longer, or never had.
    #[error("the agent gives {0}")]
    NotThere(Choice),
    #[error(transparent)]
    Svid(#[from] SvidError),
    #[error("{what}: {actual} are more than {maximum}")]
    TooMany { what: &'static str, actual: usize, maximum: usize },
}

impl Material {
    /// What the message gives. Every message is complete (SPIFFE Workload API, section 4.3): what it does not have has
    /// been taken back.
    ///
    /// An SVID that cannot be used does not keep back the CAs beside it: the SVID `held` then stays, with what was wrong.
    pub(crate) fn new(
        message: &X509Context,
        choice: &Choice,
        held: Option<&Self>,
        now: Timestamp,
    ) -> Result<(Self, Option<SvidError>), Unusable> {
        bounded("SVIDs", message.svids().len(), MAXIMUM_SVIDS)?;
        bounded("trust domains", message.bundle_set().len(), MAXIMUM_TRUST_DOMAINS)?;
        let given = message.svids().iter().find(|svid| choice.fits(svid.spiffe_id(), svid.hint()));
        let given = given.ok_or_else(|| Unusable::NotThere(choice.clone()))?;
        let (svid, problem) = match (Svid::new(given, now), held) {
            (Ok(svid), _) => (svid, None),
            (Err(error), Some(held)) if held.svid.id() == given.spiffe_id() => {
                (held.svid.clone(), Some(error))
            }
            (Err(error), _) => return Err(error.into()),
        };
        let bundles = message.bundle_set().iter();
        let bundles = bundles
            .map(|(trust_domain, bundle)| (trust_domain.to_string(), authorities(bundle)))
            .collect();
        Ok((Self { svid, bundles }, problem))
    }

    /// Who this process is.
    #[must_use]
    pub fn svid(&self) -> &Svid {
        &self.svid
    }

    /// The CAs of the trust domain that the SVID is of, as [`Material::all_bundles`].
    #[must_use]
    pub fn own_bundle(&self) -> String {
        let own = self.svid.id().trust_domain().to_string();
        section(&own, self.authorities(&own))
    }

    /// The CAs of every trust domain, the federated ones included: PEM, those of each below a line with its ID.
    #[must_use]
    pub fn all_bundles(&self) -> String {
        self.bundles.iter().map(|(name, authorities)| section(name, authorities)).collect()
    }

    /// The CAs of a trust domain, in DER; none of one that is not known.
    pub(crate) fn authorities(&self, trust_domain: &str) -> &[Vec<u8>] {
        self.bundles.get(trust_domain).map_or(&[], Vec::as_slice)
    }

    /// The names of the trust domains that there are CAs of.
    pub fn trust_domains(&self) -> impl Iterator<Item = &str> {
        self.bundles.keys().map(String::as_str)
    }

    /// Whether it has the same SVID and the same CAs.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.svid.certificate().sha256() == other.svid.certificate().sha256()
            && self.bundles == other.bundles
    }
}

fn bounded(what: &'static str, actual: usize, maximum: usize) -> Result<(), Unusable> {
    match actual {
        actual if actual > maximum => Err(Unusable::TooMany { what, actual, maximum }),
        _ => Ok(()),
    }
}

/// In one order, whatever the agent's.
fn authorities(bundle: &X509Bundle) -> Vec<Vec<u8>> {
    let mut ders: Vec<_> =
        bundle.authorities().iter().map(|authority| authority.as_bytes().to_vec()).collect();
    ders.sort_unstable();
    ders
}

fn section(trust_domain: &str, authorities: &[Vec<u8>]) -> String {
    let mut text = format!("spiffe://{trust_domain}\n");
    text.extend(authorities.iter().map(|der| pem("CERTIFICATE", der)));
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_pki::{AltName, Authority, Issued, Profile, Validity};
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject as _;
    use spiffe::{TrustDomain, X509BundleSet, X509Svid};

    use super::*;

    const VALID: Validity = Validity { not_before: 1_700_000_000, not_after: 1_800_000_000 };
    const NOW: Timestamp = 1_750_000_000;
    const GATE: &str = "spiffe://example.org/gate";

    struct Agent {
        root: Authority,
        message: (Vec<Arc<X509Svid>>, X509BundleSet),
    }

    impl Agent {
        fn new() -> Self {
            let root = Authority::root(&Profile::authority("Example", VALID)).unwrap();
            let mut agent = Self { root, message: (Vec::new(), X509BundleSet::new()) };
            let der = agent.root.certificate_der().to_vec();
            agent.trust("example.org", &[&der]);
            agent
        }

        fn trust(&mut self, name: &str, authorities: &[&[u8]]) {
            let name = TrustDomain::new(name).unwrap();
            let bundle = X509Bundle::from_x509_authorities(name, authorities).unwrap();
            self.message.1.add_bundle(bundle);
        }

        fn issue(&self, id: &str, validity: Validity) -> Issued {
            let mut profile = Profile::client("workload", validity);
            profile.alt_names = vec![AltName::Uri(id.to_owned())];
            self.root.issue(&profile).unwrap()
        }

        /// A certificate and a key, which may be another's.
        fn give(&mut self, certificate: &Issued, key: &Issued, hint: Option<&str>) {
            let key = PrivateKeyDer::from_pem_slice(key.key_pem.as_bytes()).unwrap();
            let svid = X509Svid::parse_from_der_with_hint(
                &certificate.certificate_der,
                key.secret_der(),
                hint.map(Arc::from),
            );
            self.message.0.push(Arc::new(svid.unwrap()));
        }

        fn give_new(&mut self, id: &str, hint: Option<&str>) {
            let issued = self.issue(id, VALID);
            self.give(&issued, &issued, hint);
        }

        fn says(
            &self,
            choice: &Choice,
            held: Option<&Material>,
        ) -> Result<(Material, Option<SvidError>), Unusable> {
            let (svids, bundles) = self.message.clone();
            Material::new(&X509Context::new(svids, bundles), choice, held, NOW)
        }

        fn gives(&self, choice: &Choice) -> String {
            self.says(choice, None).unwrap().0.svid().id().to_string()
        }
    }

    #[test]
    fn of_several_svids_the_first_counts_or_that_of_the_hint_or_of_the_id() {
        let mut agent = Agent::new();
        for (id, hint) in [("a", None), ("b", Some("out")), ("c", Some("out"))] {
            agent.give_new(&format!("spiffe://example.org/{id}"), hint);
        }
        assert_eq!(agent.gives(&Choice::First), "spiffe://example.org/a");
        assert_eq!(agent.gives(&Choice::Hint("out".to_owned())), "spiffe://example.org/b");
        let third = Choice::Id("spiffe://example.org/c".parse().unwrap());
        assert_eq!(agent.gives(&third), "spiffe://example.org/c");
    }

    #[test]
    fn an_svid_that_is_not_among_those_given_has_been_taken_back() {
        let mut agent = Agent::new();
        agent.give_new("spiffe://example.org/other", None);
        let choice = Choice::Id(GATE.parse().unwrap());
        assert_eq!(agent.says(&choice, None).unwrap_err(), Unusable::NotThere(choice));
    }

    #[test]
    fn the_key_of_another_certificate_and_an_expired_one_are_of_no_use() {
        let id = || spiffe::SpiffeId::new(GATE).unwrap();
        let mut agent = Agent::new();
        let (certificate, other) = (agent.issue(GATE, VALID), agent.issue(GATE, VALID));
        agent.give(&certificate, &other, None);
        let error = agent.says(&Choice::First, None).unwrap_err();
        assert_eq!(error, SvidError::Mismatch { id: id() }.into());

        let mut agent = Agent::new();
        let expired = agent.issue(GATE, Validity { not_after: NOW - 1, ..VALID });
        agent.give(&expired, &expired, None);
        let error = agent.says(&Choice::First, None).unwrap_err();
        assert_eq!(error, SvidError::Expired { id: id() }.into());
    }

    #[test]
    fn a_bad_svid_leaves_the_last_good_one_and_does_not_keep_back_new_cas() {
        let mut agent = Agent::new();
        agent.give_new(GATE, None);
        let (held, _) = agent.says(&Choice::First, None).unwrap();

        let (certificate, other) = (agent.issue(GATE, VALID), agent.issue(GATE, VALID));
        agent.message.0.clear();
        agent.give(&certificate, &other, None);
        let rotated = Authority::root(&Profile::authority("Rotated", VALID)).unwrap();
        agent.trust("example.org", &[rotated.certificate_der()]);
        let (material, problem) = agent.says(&Choice::First, Some(&held)).unwrap();
        assert!(matches!(problem, Some(SvidError::Mismatch { .. })), "{problem:?}");
        assert_eq!(material.svid().certificate().sha256(), held.svid().certificate().sha256());
        assert!(material.all_bundles().contains(&rotated.certificate_pem()));
        assert!(!material.is_same(&held));
    }

    #[test]
    fn bundles_are_pem_below_the_ids_of_their_trust_domains() {
        let mut agent = Agent::new();
        agent.give_new(GATE, None);
        let partner = Authority::root(&Profile::authority("Partner", VALID)).unwrap();
        agent.trust("partner.example", &[partner.certificate_der()]);
        let (material, _) = agent.says(&Choice::First, None).unwrap();
        let own = format!("spiffe://example.org\n{}", agent.root.certificate_pem());
        assert_eq!(material.own_bundle(), own);
        let theirs = format!("spiffe://partner.example\n{}", partner.certificate_pem());
        assert_eq!(material.all_bundles(), own + &theirs);
    }

    #[test]
    fn the_order_of_the_cas_makes_no_difference() {
        let mut agent = Agent::new();
        agent.give_new(GATE, None);
        let second = Authority::root(&Profile::authority("Second", VALID)).unwrap();
        let ders = [agent.root.certificate_der().to_vec(), second.certificate_der().to_vec()];
        agent.trust("example.org", &[&ders[0], &ders[1]]);
        let (one, _) = agent.says(&Choice::First, None).unwrap();
        agent.trust("example.org", &[&ders[1], &ders[0]]);
        let (other, _) = agent.says(&Choice::First, None).unwrap();
        assert!(one.is_same(&other));
    }

    #[test]
    fn more_svids_or_trust_domains_than_anybody_needs_are_refused() {
        let mut agent = Agent::new();
        let issued = agent.issue(GATE, VALID);
        for _ in 0..=MAXIMUM_SVIDS {
            agent.give(&issued, &issued, None);
        }
        let error = agent.says(&Choice::First, None).unwrap_err();
        assert!(matches!(error, Unusable::TooMany { what: "SVIDs", .. }), "{error}");

        agent.message.0.truncate(1);
        for number in 0..MAXIMUM_TRUST_DOMAINS {
            agent.trust(&format!("t{number}.example"), &[]);
        }
        let error = agent.says(&Choice::First, None).unwrap_err();
        assert!(matches!(error, Unusable::TooMany { what: "trust domains", .. }), "{error}");
    }

    #[test]
    fn neither_errors_nor_debug_show_the_key() {
        let mut agent = Agent::new();
        let (certificate, other) = (agent.issue(GATE, VALID), agent.issue(GATE, VALID));
        agent.give(&certificate, &certificate, None);
        let (material, _) = agent.says(&Choice::First, None).unwrap();
        agent.message.0.clear();
        agent.give(&certificate, &other, None);
        let error = agent.says(&Choice::First, None).unwrap_err();
        let texts = format!("{material:?} {error:?} {error}");
        for key in [&certificate.key_pem, &other.key_pem] {
            let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let bytes: Vec<String> = der.secret_der()[40..60].iter().map(u8::to_string).collect();
            assert!(!texts.contains(&bytes.join(", ")), "{texts}");
            assert!(!texts.contains(key.lines().nth(1).unwrap()), "{texts}");
        }
    }
}
