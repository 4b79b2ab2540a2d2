//! What the sources say of one certificate, and what follows from it.

use std::cmp;

use portcullis_guest::{Rejection, RevocationAnswer, Timestamp, timestamp_text};

use crate::codes;
use crate::settings::{Mode, Settings, Source};

/// A certificate was not revoked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cleared {
    /// Who said so. None, when nobody knew and the settings allow that.
    pub sources: Vec<Source>,
    /// The first second at which it must be asked for again.
    pub until: Option<Timestamp>,
    /// When the oldest of the statements was made.
    pub this_update: Option<Timestamp>,
}

impl Cleared {
    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        Self {
            sources: self.sources,
            until: earliest(self.until, other.until),
            this_update: earliest(self.this_update, other.this_update),
        }
    }
}

/// One answer, weighed.
enum Said {
    Good(Cleared),
    Revoked(String),
    Stale(String),
    Unknown(String),
}

/// Asks the sources of the settings about one certificate. `whose` is for the detail.
///
/// # Errors
/// It was revoked, or that cannot be told.
pub fn ask(
    settings: &Settings,
    time: Timestamp,
    whose: &str,
    answer: impl Fn(Source) -> RevocationAnswer,
) -> Result<Cleared, Rejection> {
    let mut cleared = Cleared::default();
    let mut doubts = Vec::new();
    let mut code = codes::REVOCATION_UNKNOWN;
    for &source in &settings.sources {
        match weigh(settings, time, source, &answer(source)) {
            Said::Good(good) if settings.mode == Mode::Prefer => return Ok(good),
            Said::Good(good) => cleared = cleared.and(good),
            // Old or not, in either mode: nobody says it of a certificate that is still good.
            Said::Revoked(how) => {
                return Err(Rejection::new(codes::REVOKED, format!("{whose} was revoked {how}")));
            }
            Said::Stale(why) => {
                code = codes::REVOCATION_STALE;
                doubts.push(why);
            }
            Said::Unknown(why) => doubts.push(why),
        }
    }
    match doubts.is_empty() || settings.allow_unknown {
        true => Ok(cleared),
        false => {
            let detail = format!("whether {whose} was revoked is unknown: {}", doubts.join("; "));
            Err(Rejection::new(code, detail))
        }
    }
}

/// A status that is not known here counts as unknown, as the contract wants.
fn weigh(settings: &Settings, time: Timestamp, source: Source, answer: &RevocationAnswer) -> Said {
    let name = source.name();
    match answer.status.as_str() {
        "good" => match until(settings, time, answer) {
            Ok(until) => Said::Good(Cleared {
                sources: vec![source],
                until,
                this_update: answer.this_update,
            }),
            Err(why) => Said::Stale(format!("{name} says that it was not, but {why}")),
        },
        "revoked" => Said::Revoked(match answer.revoked_at {
            Some(at) => format!("at {}, as {name} says", timestamp_text(at)),
            None => format!("as {name} says"),
        }),
        "unknown" => Said::Unknown(format!("{name}: {}", answer.detail)),
        other => Said::Unknown(format!("{name} answers `{}`", other.escape_debug())),
    }
}

/// Until when an answer holds, if it still does. The second of its next update is its last.
fn until(
    settings: &Settings,
    time: Timestamp,
    answer: &RevocationAnswer,
) -> Result<Option<Timestamp>, String> {
    let replaced = answer.next_update.map(|next| next.saturating_add(1));
    let aged = match (settings.maximum_age_hours, answer.this_update) {
        (None, _) => None,
        (Some(_), None) => return Err("not when it said so".to_owned()),
        (Some(hours), Some(this_update)) => {
            Some(this_update.saturating_add(i64::from(hours) * 3600).saturating_add(1))
        }
    };
    let old = |end: Option<Timestamp>| end.is_some_and(|end| end <= time);
    if old(replaced) {
        let next_update = timestamp_text(answer.next_update.unwrap_or_default());
        return Err(format!("was to say it anew by {next_update}"));
    }
    if old(aged) {
        let this_update = timestamp_text(answer.this_update.unwrap_or_default());
        return Err(format!("said so at {this_update}, which is too long ago"));
    }
    Ok(earliest(replaced, aged))
}

/// The earlier of two times, of which none is later than all.
pub(crate) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(cmp::min(one, other)),
        (one, other) => one.or(other),
    }
}
