//! The decision.

use portcullis_guest::paths::anchors::Anchors;
use portcullis_guest::paths::{self, Facts, Path, Terms};
use portcullis_guest::{Acceptance, Attribute, Rejection, Timestamp, timestamp_text};
use webpki::{Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use crate::codes::UNKNOWN_ISSUER;
use crate::exemption;
use crate::host::Host;
use crate::inquiry::{self, Cleared, earliest};
use crate::settings::{Depth, Settings, Source};

/// The rule with all that it goes by.
#[derive(Debug)]
pub struct Rule {
    settings: Settings,
    anchors: Anchors,
}

impl Rule {
    /// The rule of these settings and anchors.
    pub fn new(settings: Settings, anchors: Anchors) -> Self {
        Self { settings, anchors }
    }

    /// Judges a chain, the leaf first, the others in any order, at a time.
    ///
    /// # Errors
    /// The outer one: the policy cannot judge, since the host does not parse an anchor that it has parsed before. The
    /// inner one: why the client may not come in.
    pub fn judge<H: Host>(
        &self,
        host: &H,
        chain: &[H::Certificate],
        time: Timestamp,
    ) -> Result<Result<Acceptance, Rejection>, String> {
        let Some((leaf, authorities)) = chain.split_first() else {
            return Ok(Err(Rejection::new(UNKNOWN_ISSUER, "the client sent no certificate")));
        };
        let path = match self.find_path(host, leaf, authorities, time) {
            Ok(path) => path,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let anchor = host.parse(&path.anchor.der)?;
        Ok(self.check(host, leaf, &path, &anchor, time))
    }

    /// Who issued what. A source must not be asked about an issuer that only has the right name.
    fn find_path<'a, H: Host>(
        &'a self,
        host: &H,
        leaf: &H::Certificate,
        authorities: &'a [H::Certificate],
        time: Timestamp,
    ) -> Result<Path<'a, H::Certificate>, Rejection> {
        // How large keys must be is for the policies that trust them.
        let terms = Terms { time, algorithms: host.algorithms(), minimum_rsa_bits: 0 };
        paths::verify(leaf, authorities, &self.anchors, terms, AnyPurpose, |_| Ok(())).map_err(
            |Rejection { code, detail }| {
                let detail = format!("no path to ask about revocation on: {detail} (`{code}`)");
                Rejection::new(UNKNOWN_ISSUER, detail)
            },
        )
    }

    /// Asks about the leaf, and about each CA below the anchor.
    fn check<H: Host>(
        &self,
        host: &H,
        leaf: &H::Certificate,
        path: &Path<'_, H::Certificate>,
        anchor: &H::Certificate,
        time: Timestamp,
    ) -> Result<Acceptance, Rejection> {
        let ask = |subject: &H::Certificate, issuer: &H::Certificate, whose: &str| {
            let answer = |source: Source| host.check(subject, issuer, source.name());
            inquiry::ask(&self.settings, time, whose, answer)
        };
        let issuers: Vec<&H::Certificate> =
            path.authorities.iter().copied().chain([anchor]).collect();

        let mut of_leaf = exemption::of(leaf, &self.settings).map(str::to_owned);
        let mut cleared = Cleared::default();
        if let (None, Some(issuer)) = (&of_leaf, issuers.first()) {
            cleared = ask(leaf, issuer, "the client's certificate")?;
            of_leaf = Some(names(&cleared.sources));
        }
        if self.settings.check == Depth::Path {
            for pair in issuers.windows(2) {
                let &[subject, issuer] = pair else { continue };
                let whose = format!("the CA `{}`", subject.subject());
                cleared = cleared.and(ask(subject, issuer, &whose)?);
            }
        }

        let mut attributes = vec![Attribute::new("revocation.leaf", of_leaf.unwrap_or_default())];
        attributes.extend(
            cleared
                .this_update
                .map(|oldest| Attribute::new("revocation.this-update", timestamp_text(oldest))),
        );
        // The path is one up to the end of its last second only.
        let end = path.not_after().min(leaf.not_after()).saturating_add(1);
        let valid_until = earliest(cleared.until, Some(end));
        Ok(Acceptance { principal: None, attributes, valid_until })
    }
}

/// Who said that a certificate is good, as the attribute has it.
fn names(sources: &[Source]) -> String {
    match sources {
        [] => "unknown".to_owned(),
        some => some.iter().map(|source| source.name()).collect::<Vec<_>>().join("+"),
    }
}

/// What certificates are meant for is for the policies that trust them.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
