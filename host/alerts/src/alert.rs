//! What there is to say.

use std::borrow::Cow;

use portcullis_core::{Timestamp, rfc_3339};
use serde::{Serialize, Serializer};

use crate::expiring::Expiring;

/// Something that an operator has to know. As JSON it is what hooks get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// When it was noticed. In JSON as RFC 3339.
    #[serde(serialize_with = "as_rfc_3339")]
    pub time: Timestamp,
    /// What it is about: "server-certificate", "trusted-certificate", "client-certificate", "crl", ... More may follow.
    pub kind: Cow<'static, str>,
    /// How bad it is.
    pub level: Level,
    /// The certificate's subject; a CRL's issuer.
    pub subject: String,
    /// In hexadecimal; empty where there is none.
    pub serial_number: String,
    /// The last second of the validity. In JSON as RFC 3339.
    #[serde(serialize_with = "as_rfc_3339_if_any")]
    pub not_after: Option<Timestamp>,
    /// From `time` to `not_after`; negative afterwards.
    pub seconds_left: Option<i64>,
    /// Keys of the configuration, paths, URLs; a client's address.
    pub sources: Vec<String>,
    /// All of it, for people.
    pub message: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Level {
    /// What was warned of is over: renewed, or no longer in use.
    Resolved,
    /// There is time to act.
    Warning,
    /// The end has passed.
    Expired,
}

impl Level {
    /// "resolved", "warning" or "expired".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Resolved => "resolved",
            Self::Warning => "warning",
        }
    }
}

impl Alert {
    pub(crate) fn of(what: &Expiring, sources: Vec<String>, level: Level, now: Timestamp) -> Self {
        let event = match level {
            Level::Expired => "expired at",
            Level::Resolved => "is no longer in use; it ends at",
            Level::Warning => "expires at",
        };
        let (kind, from, end) =
            (what.kind.replace('-', " "), sources.join(", "), rfc_3339(what.last));
        Self {
            time: now,
            kind: what.kind.into(),
            level,
            subject: what.subject.clone(),
            serial_number: what.serial_number.clone(),
            not_after: Some(what.last),
            seconds_left: Some(what.last.saturating_sub(now)),
            message: format!("the {kind} of `{}` ({from}) {event} {end}", what.subject),
            sources,
        }
    }

    /// One line of the log, with the target `portcullis::alert`.
    pub(crate) fn log(&self) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "portcullis::alert",
                    kind = &*self.kind,
                    level = self.level.as_str(),
                    subject = self.subject,
                    serial_number = self.serial_number,
                    not_after = self.not_after.map(rfc_3339),
                    seconds_left = self.seconds_left,
                    sources = self.sources.join(", "),
                    "{}", self.message
                )
            };
        }
        match self.level {
            Level::Expired => line!(error),
            Level::Resolved => line!(info),
            Level::Warning => line!(warn),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_rfc_3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc_3339(*time))
}

fn as_rfc_3339_if_any<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(rfc_3339).serialize(serializer)
}
