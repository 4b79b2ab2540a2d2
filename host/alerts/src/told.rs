//! What has been said already.

use portcullis_core::{Timestamp, Urgency};

use crate::alert::Level;

/// What was said last of one thing, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    urgency: Urgency,
    at: Timestamp,
}

impl Told {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { urgency: Urgency::None, at: 0 };

    /// The level to speak at, if there is anything to say that was not said within the last `repeat_seconds`. Takes it
    /// for said.
    pub(crate) fn news(
        &mut self,
        urgency: Urgency,
        now: Timestamp,
        repeat_seconds: i64,
    ) -> Option<Level> {
        let level = level(urgency);
        let is_due = now.saturating_sub(self.at) >= repeat_seconds;
        // An urgency that went down, for the clock was set back, is no news: but the next rise is.
        let is_news = urgency > self.urgency || (urgency == self.urgency && is_due);
        if level.is_some() && is_news {
            self.at = now;
        }
        self.urgency = urgency;
        level.filter(|_| is_news)
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.urgency == Urgency::None
    }
}

fn level(urgency: Urgency) -> Option<Level> {
    match urgency {
        Urgency::None => None,
        Urgency::ExpiresSoon => Some(Level::Warning),
        Urgency::Expired => Some(Level::Expired),
    }
}
