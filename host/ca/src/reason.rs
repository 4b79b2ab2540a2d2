//! Why certificates are revoked (RFC 5280, 5.3.1).

use portcullis_pki::RevocationReason;

/// A reason by its name in the RFC.
pub type Reason = RevocationReason;

/// The reasons that can be given. A hold is not among them, as nothing here lifts one; nor what only attribute
/// authorities and delta CRLs know.
pub const REASONS: [(&str, Reason); 7] = [
    ("unspecified", Reason::Unspecified),
    ("keyCompromise", Reason::KeyCompromise),
    ("cACompromise", Reason::CaCompromise),
    ("affiliationChanged", Reason::AffiliationChanged),
    ("superseded", Reason::Superseded),
    ("cessationOfOperation", Reason::CessationOfOperation),
    ("privilegeWithdrawn", Reason::PrivilegeWithdrawn),
];

/// The reason of a number in the index. One that this version does not know is unspecified: the certificate is revoked
/// all the same.
pub(crate) fn of(code: i64) -> Reason {
    let known = REASONS.iter().find(|(_, reason)| *reason as i64 == code);
    known.map_or(Reason::Unspecified, |&(_, reason)| reason)
}

/// The name of a reason.
pub(crate) fn name(reason: Reason) -> &'static str {
    let known = REASONS.iter().find(|(_, known)| *known == reason);
    known.map_or("unspecified", |&(name, _)| name)
}
